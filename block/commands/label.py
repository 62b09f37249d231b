"""`python -m block label DIR --out OUT`: label a folder of recordings.

The run of the AI Action with a folder for Studio. Scores go into `OUT/scores`, what is known of the files into
`OUT/manifest.json`; the label files are written from these two at the end, and from nothing else, so that a run that
was interrupted and began again ends with the same files as one that was not.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from block.cluster.settings import ClusterSettings, read_cluster
from block.commands.exit_codes import ALL_LABELED, NOTHING_STARTED, SOME_FAILED
from block.commands.job_options import read_job
from block.commands.label_options import read_label, recorded
from block.folder import decide, manifest, output_folder
from block.folder.compute import Crew, Work
from block.folder.listing import Listing, Stamp, shown
from block.folder.location import Place
from block.folder.manifest import Manifest
from block.folder.object_store import place_of
from block.folder.output_folder import RunFile
from block.folder.source import is_unchanged
from block.labeling.job import Job
from block.runtime.cancel import CANCELLED
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
        return _label(options, job, place, target, files, listing.stamps, cluster)


def _warn(text: str) -> None:
    print(f"warning: {text}", flush=True)


def _tell(listing: Listing, place: Place) -> None:
    """What the walk found, on one line."""
    told = [f"{len(listing.files)} sound files in {shown(str(place))}"]
    told += [f"{listing.others} other files"] * bool(listing.others)
    told += [f"{listing.linked} folders that are links, which are not followed"] * bool(listing.linked)
    told += [f"{len(listing.unreadable)} folders that cannot be read"] * bool(listing.unreadable)
    print("; ".join(told), flush=True)


def _label(
    options: argparse.Namespace,
    job: Job,
    place: Place,
    target: Path,
    files: Manifest,
    stamps: Mapping[str, Stamp] | None,
    cluster: ClusterSettings | None,
) -> int:
    crew = _alone(job) if cluster is None else _joined(job, cluster, place)
    try:
        return _label_by(crew, options, job, place, target, files, stamps)
    finally:
        crew.leave()


def _alone(job: Job) -> Crew:
    try:
        from block.folder.local_executor import Alone
        from block.labeling.engine import start
    except (ImportError, OSError) as error:
        raise SettingsError(
            f"PyTorch cannot be used ({error}): pip install -r locked/run.txt -r locked/torch.txt"
        ) from None
    return Alone(start(job))


def _joined(job: Job, cluster: ClusterSettings, place: Place) -> Crew:
    from block.cluster.executor import join

    return join(job, cluster, f"label {shown(place.name)}")


def _label_by(
    crew: Crew,
    options: argparse.Namespace,
    job: Job,
    place: Place,
    target: Path,
    files: Manifest,
    stamps: Mapping[str, Stamp] | None,
) -> int:
    checkpoint = job.checkpoint
    key = Key.of(checkpoint, job.windows, job.compute.fill, job.compute.mode, crew.dtype_name)
    run = RunFile(
        place.name, checkpoint.name, checkpoint.class_names, key, recorded(options),
        not options.no_score_store,
    )  # fmt: skip
    store: ScoreStore | None = None
    try:
        # First: this is how a folder is known as one that may be written into again.
        run.save(target)
        files.save()
        if not options.no_score_store:
            store = ScoreStore(target / output_folder.SCORES, key, checkpoint.class_names, _warn)
        done = Work(place, job, crew, files, store, options.verbose, options.max_hours, stamps).done()
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
        return CANCELLED
    if done.summary.ended and not found.labeled:
        return NOTHING_STARTED
    return SOME_FAILED if found.failed else ALL_LABELED
