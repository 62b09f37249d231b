"""`python -m block relabel OUT`: decide labels again from the scores that a run stored."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from block.commands import ALL_LABELED, SOME_FAILED
from block.commands.label_options import RELABEL, read_last_decisions, read_relabel
from block.commands.options import read_decisions
from block.folder import decide, output_folder
from block.folder.changes import FolderLabels, collect_labels, describe_changes, read_labels
from block.folder.label_files import CSV
from block.folder.listing import show_path
from block.folder.location import LocalFolder
from block.folder.manifest import Manifest, load_manifest
from block.folder.object_store_uri import is_uri
from block.folder.output_folder import RunFile
from block.formatting import count, list_first, make_printable, print_warning
from block.labeling.job import format_decisions
from block.score_store import ScoreStore
from block.settings import SettingsError


def main(argv: Sequence[str]) -> int:
    """Relabel a folder. Return the exit code; raise SettingsError or LabelError."""
    out = Path(read_relabel(argv).out)
    last_run = output_folder.load_run(out)
    options = read_relabel(argv, last_run.options)
    if not last_run.stored:
        raise SettingsError(f"{out} has no scores: it was written with --no-score-store; run label again without it")
    decisions = read_decisions(options, last_run.class_names)
    decide.check_labels(decisions)
    with output_folder.lock(out):
        path = out / output_folder.MANIFEST
        manifest = load_manifest(path, warn=print_warning)
        if not manifest.entries and not manifest.unreadable:
            raise SettingsError(f"{out} lists no recordings: {path.name} is missing, damaged or empty; run label again")
        started = time.monotonic()
        store = ScoreStore.open_read_only(out / output_folder.SCORES, last_run.key)
        found = decide.decide_all(manifest, store, decisions)
        old, names = last_run.old_options, last_run.class_names
        trusts_unknown = old is not None and read_last_decisions(old, names) == decisions
        needs = decide.find_score_needs(manifest, store, decisions, trusts_unknown)
        duration_s = time.monotonic() - started
        before = _find_last_labels(out, last_run, manifest, store)
        _check_lost(out, before or {}, found)
        changed = {option.name: getattr(options, option.field) for option in RELABEL}
        run = replace(last_run, options={**last_run.options, **changed})
        # A folder that was received from someone else must not make this command open a connection.
        location = None if is_uri(run.folder) else LocalFolder(run.folder)
        try:
            decide.write_label_files(out, run, decisions, found)
            run.save(out)
            clips = decide.write_chosen_clips(out, run, found, location)
        except OSError as error:
            print(f"{show_path(out)} can't be written: {error.strerror or error}", file=sys.stderr)
            return SOME_FAILED
    print(f"labels: {format_decisions(decisions)}")
    print("\n".join([f"decided labels again in {duration_s:.1f} s", *needs.describe()]))
    if before is None:
        print(f"can't tell which labels changed: {show_path(out)} has no readable {CSV}")
    else:
        print("\n".join(describe_changes(before, collect_labels(found.labeled))))
    decide.print_summary(out, run, found)
    clips.print()
    return SOME_FAILED if found.failed or clips.problems else ALL_LABELED


def _check_lost(out: Path, before: FolderLabels, found: decide.FolderDecisions) -> None:
    """Raise SettingsError if recordings that have labels would lose them because the store has lost their scores."""
    lost = [make_printable(name) for name in decide.find_unscored(found) if name in before]
    if lost:
        raise SettingsError(
            f"the score store in {out} no longer has the scores of {count(len(lost), 'recording')}: "
            f"{list_first(lost)}; nothing was changed; run label again to label them"
        )


def _find_last_labels(out: Path, last_run: RunFile, manifest: Manifest, store: ScoreStore) -> FolderLabels | None:
    """Return the labels in `out`. Without a labels.csv, decide them again as the last run did; None if that fails."""
    labels = read_labels(out / CSV)
    if labels is not None:
        return labels
    decisions = read_last_decisions(last_run.options, last_run.class_names)
    try:
        return collect_labels(decide.decide_all(manifest, store, decisions).labeled)
    except SettingsError:  # the last run was interrupted before it had all scores that its options need
        return None
