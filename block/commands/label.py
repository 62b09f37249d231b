"""`python -m block label DIR --out OUT`: label a folder of recordings.

This runs the AI Action's job on a folder instead of a Studio project. Scores go into `OUT/scores`, facts about the
files into `OUT/manifest.json`. The label files are written at the end from only these two, so an interrupted run that
is resumed ends with the same files as one that never stopped.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from block.cluster.settings import read_cluster
from block.commands import ALL_LABELED, NOTHING_STARTED, SOME_FAILED
from block.commands.executor import Executor, start_executor
from block.commands.label_options import collect_run_options, read_label, read_last_decisions
from block.commands.options import read_job
from block.folder import decide, output_folder
from block.folder.changes import read_labels
from block.folder.clips import ClipsReport
from block.folder.decide import FolderDecisions
from block.folder.executor import FolderResult, FolderRun
from block.folder.label_files import CSV, FAILED
from block.folder.listing import (
    FileStamp,
    FolderListing,
    check_any_recording,
    describe_left_out,
    name_uniquely,
    show_path,
)
from block.folder.location import Location
from block.folder.manifest import Manifest, load_manifest
from block.folder.object_store import parse_location
from block.folder.output_folder import RunFile
from block.folder.source import is_unchanged, warn_without_decoder
from block.formatting import count, list_first, make_printable, print_warning
from block.labeling.interfaces import Summary
from block.labeling.job import Job
from block.labeling.progress import Progress, TimeBudget
from block.runtime.cancel import CANCELED
from block.score_store import ScoreStore
from block.score_store.shard import need_pyarrow
from block.settings import SettingsError


def main(argv: Sequence[str]) -> int:
    """Label a folder. Return the exit code; raise SettingsError, LabelError or CheckpointError."""
    options = read_label(argv)
    location, out = parse_location(options.folder), output_folder.parse_out(options.out)
    job, cluster = read_job(options), read_cluster(options)
    if cluster is not None and options.no_score_store:
        raise SettingsError(
            "--no-score-store can't be combined with --ray: a cluster's scores are stored as they arrive"
        )
    if options.keep_embeddings and options.no_score_store:
        raise SettingsError("--keep-embeddings can't be combined with --no-score-store, which stores nothing")
    decide.check_labels(job.decisions)
    output_folder.check_folders(location, out)
    if not options.no_score_store:
        options.no_score_store = not _can_store(out, is_needed=cluster is not None or options.keep_embeddings)
    listing = location.find_recordings(exclude=out)
    check_any_recording(listing, location)
    with output_folder.lock(out):
        _print_listing(listing, location)
        warn_without_decoder(listing.files, print_warning)
        manifest = load_manifest(out / output_folder.MANIFEST, print_warning).with_files(
            listing.files,
            listing.unreadable,
            lambda entry: is_unchanged(location, entry, listing),
            options.allow_truncated,
        )
        executor = start_executor(job, cluster, f"label {show_path(location.name)}")
        try:
            return FolderJob(options, job, location, out, manifest, listing.stamps).run(executor)
        finally:
            executor.leave()


@dataclass(frozen=True)
class FolderJob:
    """One run of `job` over the recordings of `manifest` at `location`, with `out` as the folder for the results."""

    options: argparse.Namespace
    job: Job
    location: Location
    out: Path
    manifest: Manifest
    stamps: Mapping[str, FileStamp] | None

    def run(self, executor: Executor) -> int:
        """Compute missing scores and write the label files. Return the exit code."""
        job, out, manifest, checkpoint = self.job, self.out, self.manifest, self.job.checkpoint
        key = job.score_key(executor.dtype_name)
        keep = not self.options.no_score_store
        options = collect_run_options(self.options)
        old = output_folder.find_old_options(out, key)
        run = RunFile(self.location.name, checkpoint.name, checkpoint.class_names, key, options, keep, old)
        known = {entry.path for entry in manifest.entries if entry.content}
        trusts_unknown = old is not None and read_last_decisions(old, checkpoint.class_names) == job.decisions
        store: ScoreStore | None = None
        try:
            # Write run.json first: it tells a later run that it may write into this folder.
            run.save(out)
            manifest.save()
            if keep:
                store = ScoreStore(out / output_folder.SCORES, key, checkpoint.class_names, print_warning)
            result = self._compute(executor, store, trusts_unknown, known)
            if store is None:
                found = decide.collect_files(manifest, result.labeled)
            else:
                found = decide.decide_all(manifest, store, job.decisions, store.write_error, result.labeled)
            manifest.save()
            lost = self._find_lost(found, known)
            if not lost:
                decide.write_label_files(out, run, job.decisions, found)
            # Clips may take long, and a canceled run must end soon: the next one writes them.
            is_over = result.summary.canceled or bool(lost)
            clips = ClipsReport() if is_over else decide.write_chosen_clips(out, run, found, self.location)
        except OSError as error:
            reason = error.strerror or error
            text = f"{show_path(out)} can't be written: {reason}; run the same command again to continue"
            print(text, file=sys.stderr)
            return SOME_FAILED
        finally:
            if store is not None:
                store.close()
        if lost:
            print(
                f"the label files in {show_path(out)} stay as they are: {count(len(lost), 'recording')} that had labels"
                f" before can't be labeled now, because scores are missing: {list_first(lost)}"
            )
        else:
            decide.print_summary(out, run, found)
            clips.print()
        if result.summary.canceled:
            print("run the same command again to continue")
            return CANCELED
        if result.summary.end_reason and not found.labeled:
            return NOTHING_STARTED
        if lost:
            print("run the same command again to continue")
        return SOME_FAILED if found.failed or clips.problems else ALL_LABELED

    def _find_lost(self, found: FolderDecisions, known: Collection[str]) -> list[str]:
        """Return the recordings that would lose their labels only because they have no scores.

        `known` are the paths of those whose content was known before this run. An interrupted run, or one that can't
        store scores, must not replace the label files of a complete one.
        """
        unscored = decide.find_unscored(found)
        if not unscored or not (self.out / FAILED).exists():  # no label files yet
            return []
        labeled = {*map(name_uniquely, known), *(read_labels(self.out / CSV) or ())}
        return [make_printable(name) for name in unscored if name in labeled]

    def _compute(
        self, executor: Executor, store: ScoreStore | None, trusts_unknown: bool, known: Collection[str]
    ) -> FolderResult:
        """Compute the scores that `store` lacks. A recording that fails doesn't raise: the manifest says why."""
        manifest, total = self.manifest, len(self.manifest.entries)
        ids, fast = list(range(1, total + 1)), list[int]()
        if store is not None:
            needs = decide.find_score_needs(
                manifest, store, self.job.decisions, trusts_unknown, self.job.compute.keep_embeddings
            )
            ids, fast = needs.unscored, needs.fast
        if len(ids) < total:
            print(
                f"reusing stored scores: {total - len(ids):,} of {count(total, 'recording')} did not change", flush=True
            )
        if not ids:
            return FolderResult(Summary(), {})
        budget = TimeBudget(self.options.max_hours, executor.speedups)
        progress = Progress(len(ids), self.options.verbose, budget=budget)
        progress.failures_in = "failed.csv lists all of them"
        run = FolderRun(self.location, manifest, store, self.stamps, self.options.allow_truncated, fast)
        progress.expect_sizes({recording_id: run.size(recording_id) for recording_id in ids})
        result = executor.label_folder(run, ids, progress)
        for recording_id in result.summary.not_reached:
            if manifest.get_entry(recording_id).path not in known:
                manifest.mark_failed(recording_id, decide.NO_SCORES)
        if store is not None:
            store.flush()
        progress.finish(result.summary, None)
        return result


def _can_store(out: Path, is_needed: bool) -> bool:
    """Return False, with a warning, if pyarrow is missing. Raise SettingsError if a store is needed or in `out`."""
    try:
        need_pyarrow()
    except SettingsError as error:
        if is_needed:
            raise
        if (out / output_folder.SCORES).exists():
            raise SettingsError(f"{error}; or add --no-score-store") from None
        print_warning(f"scores aren't stored, so relabel can't be used and an interrupted run starts over: {error}")
        return False
    return True


def _print_listing(listing: FolderListing, location: Location) -> None:
    """Print how many recordings `listing` found, and what it left out."""
    found = f"{count(len(listing.files), 'recording')} in {show_path(location)}"
    print("\n".join([found, *(f"left out: {what}" for what in describe_left_out(listing))]), flush=True)
