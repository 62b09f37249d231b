"""`python -m block label DIR --out OUT`: label a folder of recordings.

The run of the AI Action with a folder for Studio. Scores go into `OUT/scores`, what is known of the files into
`OUT/manifest.json`; the label files are written from these two at the end, and from nothing else, so that a run that
was interrupted and began again ends with the same files as one that was not.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from block.cluster.settings import read_cluster
from block.commands.executor import Executor, start_executor
from block.commands.exit_codes import ALL_LABELED, NOTHING_STARTED, SOME_FAILED
from block.commands.job_options import read_job
from block.commands.label_options import read_label, recorded
from block.folder import decide, manifest, output_folder
from block.folder.compute import FolderResult, FolderRun
from block.folder.listing import FileStamp, FolderListing, shown
from block.folder.location import Location
from block.folder.manifest import Manifest
from block.folder.object_store import place_of
from block.folder.output_folder import RunFile
from block.folder.source import is_unchanged
from block.labeling.interfaces import Summary
from block.labeling.job import Job
from block.runtime.cancel import CANCELED
from block.score_store import Key, ScoreStore
from block.score_store.shard import need_pyarrow
from block.settings import SettingsError


def main(argv: Sequence[str]) -> int:
    """Label a folder. Returns the exit code; raises SettingsError, LabelError or CheckpointError."""
    options = read_label(argv)
    place, target = place_of(options.folder), output_folder.folder_of(options.out)
    job, cluster = read_job(options), read_cluster(options)
    if cluster is not None and options.no_score_store:
        raise SettingsError("--no-score-store and --ray: what comes from many machines is kept as it comes; give one")
    decide.check_text(job.decisions)
    output_folder.check_folders(place, target)
    if not options.no_score_store:
        need_pyarrow()
    with output_folder.locked(target):
        listing = place.find(without=target)
        _tell(listing, place)
        known = manifest.load(target / output_folder.MANIFEST, warn=_warn)
        files = known.relisted(listing.files, listing.unreadable, lambda entry: is_unchanged(place, entry, listing))
        executor = start_executor(job, cluster, f"label {shown(place.name)}")
        try:
            return FolderJob(options, job, place, target, files, listing.stamps).run(executor)
        finally:
            executor.leave()


@dataclass(frozen=True)
class FolderJob:
    """Label the recordings `files` of `place` as `job` says, into the folder `target`."""

    options: argparse.Namespace
    job: Job
    place: Location
    target: Path
    files: Manifest
    stamps: Mapping[str, FileStamp] | None

    def run(self, executor: Executor) -> int:
        """Compute what is missing and write the label files. Return the exit code."""
        job, target, files, checkpoint = self.job, self.target, self.files, self.job.checkpoint
        key = Key.of(checkpoint, job.windows, job.compute.fill, job.compute.mode, executor.dtype_name)
        keep = not self.options.no_score_store
        run = RunFile(self.place.name, checkpoint.name, checkpoint.class_names, key, recorded(self.options), keep)
        store: ScoreStore | None = None
        try:
            # First: this is how a folder is known as one that may be written into again.
            run.save(target)
            files.save()
            if keep:
                store = ScoreStore(target / output_folder.SCORES, key, checkpoint.class_names, _warn)
            done = self._compute(executor, store)
            if store is None:
                found = decide.outcome(files, done.labeled)
            else:
                found = decide.decide_all(files, store, job.decisions, store.broken, done.labeled)
            files.save()
            decide.write(target, run, job.decisions, found)
        except OSError as error:
            print(f"{target} cannot be written: {error.strerror or error}", file=sys.stderr)
            return SOME_FAILED
        finally:
            if store is not None:
                store.close()
        decide.tell(target, run, found)
        if done.summary.cancelled:
            print("the same command again goes on from here")
            return CANCELED
        if done.summary.ended and not found.labeled:
            return NOTHING_STARTED
        return SOME_FAILED if found.failed else ALL_LABELED

    def _compute(self, executor: Executor, store: ScoreStore | None) -> FolderResult:
        """Compute what `store` lacks. Never raise for what happens to a recording."""
        work = FolderRun(self.place, self.job, self.files, store, self.stamps)
        ids, total = work.ids(), len(self.files.entries)
        if len(ids) < total:
            print(f"{total - len(ids)} of {total} recordings are unchanged and have their scores", flush=True)
        if not ids:
            return FolderResult(Summary(), {})
        progress = executor.progress(len(ids), self.options.verbose, self.options.max_hours)
        progress.failures_in = "failed.csv gets all"
        done = executor.compute(work, ids, progress)
        for recording_id in done.summary.not_reached:
            self.files.fail(self.files.entry(recording_id).path, decide.NO_SCORES)
        if store is not None:
            store.flush()
        progress.finish(done.summary, None)
        return done


def _warn(text: str) -> None:
    print(f"warning: {text}", flush=True)


def _tell(listing: FolderListing, place: Location) -> None:
    """What the walk found, on one line."""
    told = [f"{len(listing.files)} sound files in {shown(str(place))}"]
    told += [f"{listing.others} other files"] * bool(listing.others)
    told += [f"{listing.linked} folders that are links, which are not followed"] * bool(listing.linked)
    told += [f"{len(listing.unreadable)} folders that cannot be read"] * bool(listing.unreadable)
    print("; ".join(told), flush=True)
