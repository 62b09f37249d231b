"""The AI Action: from arguments and environment to a run. What is wrong with them is refused before torch is imported.

Exit codes: 0 every recording labelled, 1 some failed, 2 nothing could start, 130 cancelled.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from block import cancel
from block.cancel import CANCELLED
from block.details import VARIABLE, Detailing, Details
from block.job import Job, fingerprint, metadata, read_job
from block.journal import NAME as JOURNAL_NAME
from block.journal import Journal, Journaled
from block.options import parse
from block.parties import Summary
from block.run import Run
from block.score_store import check_folder
from block.settings import FAST, SettingsError
from block.studio.access import Access, read_access, read_ids, write_ids
from block.studio.client import StudioClient, in_the_open
from block.studio.held import JOB
from block.studio.project import Project, projects_of

if TYPE_CHECKING:
    from block.audited import AuditedLabeler

ALL_LABELED, SOME_FAILED, NOTHING_STARTED = 0, 1, 2


def run_action(argv: Sequence[str]) -> int:
    """Label the samples of an Edge Impulse project. Returns the exit code.

    Raises SettingsError, LabelError, CheckpointError or StudioError where nothing could start.
    """
    options = parse(argv, warn=lambda text: print(f"warning: {text}", flush=True))
    access = read_access(os.environ)
    if in_the_open(access.endpoint):
        print(
            "warning: EI_API_ENDPOINT is no https:// address: the key and the audio can be read on the way", flush=True
        )
    ids = read_ids(options.data_ids_file)
    job = read_job(options)
    if options.score_store:
        check_folder(Path(options.score_store))
    if not ids:
        print(f"nothing to do: {options.data_ids_file} names no samples")
        if options.failed_ids_file:
            _write_ids("--failed-ids-file", options.failed_ids_file, [])
        return ALL_LABELED
    stop = threading.Event()
    client = StudioClient(access.endpoint, access.key, stop=stop)
    return _label(options, ids, job, client, _project_id(client, access), stop)


def _project_id(client: StudioClient, access: Access) -> int:
    """Which project to label. Asks the API even where the environment says it: a refused key ends the run here."""
    projects = projects_of(client)
    if access.project_id is not None and access.project_id not in projects:
        raise SettingsError(f"EI_PROJECT_ID is {access.project_id}, but the key belongs to {_told(projects)}")
    if access.project_id is None and len(projects) != 1:
        raise SettingsError(f"the key gives access to {_told(projects)}; say which one: set EI_PROJECT_ID")
    return projects[0] if access.project_id is None else access.project_id


def _told(projects: Sequence[int]) -> str:
    return f"project {projects[0]}" if len(projects) == 1 else f"{len(projects)} projects"


def _label(
    options: argparse.Namespace,
    ids: list[int],
    job: Job,
    client: StudioClient,
    project_id: int,
    stop: threading.Event,
) -> int:
    # From here on torch is needed, which takes seconds to import.
    try:
        from block.engine import start
    except (ImportError, OSError) as error:
        raise SettingsError(f"PyTorch cannot be used ({error}); install what requirements.txt names") from None

    checkpoint = job.checkpoint
    engine = start(job)
    progress = engine.progress(len(ids), options.verbose, options.max_hours)
    store = engine.store(Path(options.score_store), progress) if options.score_store else None
    described = metadata(
        job.decisions, job.windows, job.compute.fill, checkpoint.name, engine.digest, engine.device.dtype_name
    )
    described[JOB] = fingerprint(job, engine.digest, engine.device.dtype_name)
    project = Project(
        client, project_id, described, options.propose_actions, options.dry_run,
        progress.say_some, progress.warn_once, checkpoint.front_end.rate_hz,
        options.skip_labeled, options.overwrite_hand_labels,
    )  # fmt: skip
    journal = _journal(options, project, progress.warn_once)
    details = _details(options, progress.warn_once)
    reporter = Detailing(progress, details) if details is not None else progress
    done = [recording_id for recording_id in ids if journal is not None and recording_id in journal.done]
    left = [recording_id for recording_id in ids if journal is None or recording_id not in journal.done]
    if journal is not None and done:
        progress.before(len(done), f"by the journal {journal.path}")
    summary = Summary()
    labeler = stored = None
    if left:
        labeler = engine.labeler(progress, stored=store is not None, explain=details is not None)
        stored = engine.stored(labeler, store) if store is not None else None
        sink = Journaled(project, journal) if journal is not None else project
        summary = Run(project, sink, stored or labeler, reporter, stop).label(left)
    summary.done += done
    # The run is over: what is left are its last words, and a signal is no reason to swallow them.
    with cancel.deferred():
        if journal is not None:
            if not summary.not_reached:
                journal.ended()
            journal.close()
        if details is not None:
            details.close()
        if store is not None:
            # Making one file of many can wait until nobody does.
            store.flush() if summary.cancelled else store.close()
            if stored is not None:
                progress.say(f"score store {options.score_store}: {stored.told()}")
        # Before the last words: these may go to somebody who no longer listens.
        wrote_failed = bool(options.failed_ids_file) and _write_ids(
            "--failed-ids-file", options.failed_ids_file, summary.unlabeled
        )
        if job.compute.mode == FAST and labeler is not None:
            _tell_of_audit(cast("AuditedLabeler", labeler), summary.labeled, options.fast_ids_file, progress.say)
        progress.finish(summary, options.failed_ids_file if wrote_failed else None)
    if summary.cancelled:
        return CANCELLED
    if summary.ended and not summary.labeled and not summary.done:
        return NOTHING_STARTED
    return SOME_FAILED if summary.unlabeled else ALL_LABELED


def _journal(options: argparse.Namespace, project: Project, warn: Callable[[str], None]) -> Journal | None:
    """Where to note what is labelled; nowhere in a dry run, which labels nothing. Raises SettingsError."""
    path = options.journal or (str(Path(options.score_store) / JOURNAL_NAME) if options.score_store else None)
    if path is None or options.dry_run:
        return None
    run = {
        "endpoint": project.client.endpoint,
        "project": project.id,
        "job": project.metadata[JOB],
        "proposed": project.job,
    }
    return Journal(Path(path), run, warn)


def _details(options: argparse.Namespace, warn: Callable[[str], None]) -> Details | None:
    """Where to say why; the local Studio names a file by the environment. Raises SettingsError."""
    path = options.details or os.environ.get(VARIABLE)
    return Details(Path(path), warn) if path else None


def _tell_of_audit(labeler: AuditedLabeler, labeled: Sequence[int], path: str, say: Callable[[str], None]) -> None:
    """What the audit found; after a fall-back, which recordings had been labelled the fast way and are final."""
    for line in labeler.report():
        say(line)
    if not labeler.fell_back:
        return
    posted = set(labeled)
    fast = [recording_id for recording_id in labeler.fast_ids if recording_id in posted]
    where = (
        f"; ids written to {path}, to label again with --mode exact"
        if _write_ids("--fast-ids-file", path, fast)
        else ""
    )
    say(f"labelled the fast way before the fall-back: {len(fast)} recordings{where}")


def _write_ids(option: str, path: str, ids: list[int]) -> bool:
    """Write an ids file; False, and a line on standard error, where that cannot be done."""
    try:
        write_ids(path, ids)
    except OSError as error:
        print(f"{option} {path} cannot be written: {error.strerror or error}", file=sys.stderr)
        return False
    return True
