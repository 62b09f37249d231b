"""`python -m block relabel OUT`: decide labels again from the scores that a run has kept."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from block.commands import ALL_LABELED, SOME_FAILED
from block.commands.label_options import CHOICE, RELABEL, read_relabel
from block.commands.options import read_decisions
from block.folder import decide, manifest, output_folder
from block.labeling.job import named
from block.score_store import ScoreStore
from block.settings import SettingsError


def main(argv: Sequence[str]) -> int:
    """Relabel a folder. Returns the exit code; raises SettingsError or LabelError."""
    target = Path(read_relabel(argv).out)
    before = output_folder.load(target)
    options = read_relabel(argv, before.options)
    if not before.stored:
        raise SettingsError(f"{target} holds no scores: it was written with --no-score-store")
    decisions = read_decisions(options, before.class_names)
    decide.check_text(decisions)
    started = time.monotonic()
    with output_folder.locked(target):
        files = manifest.load(target / output_folder.MANIFEST, warn=lambda text: print(f"warning: {text}", flush=True))
        if not files.entries and not files.unreadable:
            raise SettingsError(
                f"{target} knows of no recordings: it has no usable {output_folder.MANIFEST}; label again"
            )
        found = decide.decide_all(files, ScoreStore.reading(target / output_folder.SCORES, before.key), decisions)
        run = before.with_options({one.name: getattr(options, one.field) for one in (*RELABEL, CHOICE)})
        try:
            decide.write(target, run, decisions, found)
            run.save(target)
        except OSError as error:
            print(f"{target} cannot be written: {error.strerror or error}", file=sys.stderr)
            return SOME_FAILED
    print(f"labels: {named(decisions)}")
    print(f"decided again in {time.monotonic() - started:.1f} s")
    decide.tell(target, run, found)
    return SOME_FAILED if found.failed else ALL_LABELED
