"""`python -m block relabel OUT`: decide labels again from the scores that a run has kept."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from block.commands import ALL_LABELED, SOME_FAILED
from block.commands.label_options import RELABEL, read_relabel
from block.commands.options import read_decisions
from block.folder import decide, output_folder
from block.folder.manifest import load_manifest
from block.labeling.job import format_decisions
from block.score_store import ScoreStore
from block.settings import SettingsError


def main(argv: Sequence[str]) -> int:
    """Relabel a folder. Return the exit code; raise SettingsError or LabelError."""
    out = Path(read_relabel(argv).out)
    before = output_folder.load_run(out)
    options = read_relabel(argv, before.options)
    if not before.stored:
        raise SettingsError(f"{out} holds no scores: it was written with --no-score-store")
    decisions = read_decisions(options, before.class_names)
    decide.check_labels(decisions)
    started = time.monotonic()
    with output_folder.lock(out):
        path = out / output_folder.MANIFEST
        manifest = load_manifest(path, warn=lambda text: print(f"warning: {text}", flush=True))
        if not manifest.entries and not manifest.unreadable:
            raise SettingsError(f"{out} knows of no recordings: it has no usable {path.name}; label again")
        store = ScoreStore.open_read_only(out / output_folder.SCORES, before.key)
        found = decide.decide_all(manifest, store, decisions)
        changed = {option.name: getattr(options, option.field) for option in RELABEL}
        run = replace(before, options={**before.options, **changed})
        try:
            decide.write_label_files(out, run, decisions, found)
            run.save(out)
        except OSError as error:
            print(f"{out} cannot be written: {error.strerror or error}", file=sys.stderr)
            return SOME_FAILED
    print(f"labels: {format_decisions(decisions)}")
    print(f"decided again in {time.monotonic() - started:.1f} s")
    decide.print_summary(out, run, found)
    return SOME_FAILED if found.failed else ALL_LABELED
