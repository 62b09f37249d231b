"""`python -m block label DIR --out OUT`: label a folder of recordings.

The run of the AI Action with a folder for Studio. Scores go into `OUT/scores`, what is known of the files into
`OUT/manifest.json`; the label files are written from these two at the end, and from nothing else, so that a run that
was interrupted and began again ends with the same files as one that was not.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from block.action import ALL_LABELED, NOTHING_STARTED, SOME_FAILED
from block.cancel import CANCELLED
from block.folder import decided, manifest, out
from block.folder.listing import Listing, find, shown
from block.folder.manifest import Manifest
from block.folder.options import read_label, recorded
from block.folder.run_file import RunFile
from block.folder.source import is_unchanged
from block.job import Job, read_job
from block.score_store import Key, ScoreStore
from block.score_store.shard import need_pyarrow
from block.settings import SettingsError


def main(argv: Sequence[str]) -> int:
    """Label a folder. Returns the exit code; raises SettingsError, LabelError or CheckpointError."""
    options = read_label(argv)
    root, target = Path(options.folder), Path(options.out)
    job = read_job(options)
    decided.check_text(job.decisions)
    out.check_folders(root, target)
    if not options.no_score_store:
        need_pyarrow()
    with out.locked(target):
        listing = find(root, without=target)
        _tell(listing, root)
        known = manifest.load(target / out.MANIFEST, warn=_warn)
        files = known.relisted(listing.files, listing.unreadable, lambda entry: is_unchanged(options.folder, entry))
        return _label(options, job, target, files)


def _warn(text: str) -> None:
    print(f"warning: {text}", flush=True)


def _tell(listing: Listing, root: Path) -> None:
    """What the walk found, on one line."""
    told = [f"{len(listing.files)} sound files in {shown(os.fspath(root))}"]
    told += [f"{listing.others} other files"] * bool(listing.others)
    told += [f"{listing.linked} folders that are links, which are not followed"] * bool(listing.linked)
    told += [f"{len(listing.unreadable)} folders that cannot be read"] * bool(listing.unreadable)
    print("; ".join(told), flush=True)


def _label(options: argparse.Namespace, job: Job, target: Path, files: Manifest) -> int:
    try:
        from block.engine import start
        from block.folder.groups import Journal
        from block.folder.work import Work
    except (ImportError, OSError) as error:
        raise SettingsError(f"PyTorch cannot be used ({error}); install what requirements.txt names") from None

    engine = start(job)
    compute, checkpoint = job.compute, job.checkpoint
    key = Key.of(checkpoint, job.windows, compute.fill, compute.mode, engine.device.dtype_name)
    run = RunFile(
        os.path.realpath(options.folder), checkpoint.name, checkpoint.class_names, key, recorded(options),
        not options.no_score_store,
    )  # fmt: skip
    journal = Journal(target / out.SCORES / f"groups-{key.digest}.jsonl")
    store: ScoreStore | None = None
    try:
        # First: this is how a folder is known as one that may be written into again.
        run.save(target)
        files.save()
        if not options.no_score_store:
            store = ScoreStore(target / out.SCORES, key, checkpoint.class_names, _warn)
        done = Work(options.folder, engine, files, store, journal, options.verbose, options.max_hours).done()
        if store is None:
            found = decided.outcome(files, done.labeled)
        else:
            found = decided.decide_all(files, store, job.decisions, store.broken)
        files.save()
        decided.write(target, run, job.decisions, found)
    except OSError as error:
        print(f"{target} cannot be written: {error.strerror or error}", file=sys.stderr)
        return SOME_FAILED
    finally:
        if store is not None:
            store.close()
    decided.tell(target, run, found)
    if done.summary.cancelled:
        print("the same command again goes on from here")
        return CANCELLED
    if done.summary.ended and not found.labeled:
        return NOTHING_STARTED
    return SOME_FAILED if found.failed else ALL_LABELED
