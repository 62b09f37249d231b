"""The AI Action: from arguments and environment to a run. What is wrong with them is refused before torch is imported.

Exit codes: 0 every recording labelled, 1 some failed, 2 nothing could start, 130 cancelled.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from block.cluster.settings import read_cluster
from block.commands.executor import Executor, start_executor
from block.commands.exit_codes import ALL_LABELED, NOTHING_STARTED, SOME_FAILED
from block.commands.job_options import read_job
from block.commands.options import parse
from block.edge_impulse.access import Access, read_access, read_ids, write_ids
from block.edge_impulse.client import StudioClient, in_the_open
from block.edge_impulse.details import VARIABLE, DetailsReporter, DetailsWriter
from block.edge_impulse.executor import ProjectResult, ProjectRun
from block.edge_impulse.journal import NAME as JOURNAL_NAME
from block.edge_impulse.journal import Journal
from block.edge_impulse.label_owner import JOB
from block.edge_impulse.project import Project, projects_of
from block.labeling.interfaces import Summary
from block.labeling.job import Job, fingerprint, metadata
from block.runtime import cancel
from block.runtime.cancel import CANCELED
from block.score_store import check_folder
from block.settings import SettingsError


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
    job, cluster = read_job(options), read_cluster(options)
    if options.score_store:
        check_folder(Path(options.score_store))
    if not ids:
        print(f"nothing to do: {options.data_ids_file} names no samples")
        if options.failed_ids_file:
            _write_ids("--failed-ids-file", options.failed_ids_file, [])
        return ALL_LABELED
    stop = threading.Event()
    client = StudioClient(access.endpoint, access.key, stop=stop)
    project_id = _project_id(client, access)
    executor = start_executor(job, cluster, f"label project {project_id}")
    try:
        return ProjectJob(options, ids, job, client, access.key, project_id, stop).run(executor)
    finally:
        with cancel.defer():
            executor.leave()


@dataclass(frozen=True)
class ProjectJob:
    """Label the samples `ids` of a project as `job` says. `stop` is set once the run is over; `key` is the API key."""

    options: argparse.Namespace
    ids: list[int]
    job: Job
    client: StudioClient
    key: str = field(repr=False)
    project_id: int
    stop: threading.Event

    def run(self, executor: Executor) -> int:
        """Label them; say what became of them. Return the exit code."""
        options, job, ids = self.options, self.job, self.ids
        checkpoint = job.checkpoint
        progress = executor.progress(len(ids), options.verbose, options.max_hours)
        store = executor.store(Path(options.score_store), progress) if options.score_store else None
        described = metadata(
            job.decisions, job.windows, job.compute.fill, checkpoint.name, executor.digest, executor.dtype_name
        )
        described[JOB] = fingerprint(job, executor.digest, executor.dtype_name)
        project = Project(
            self.client, self.project_id, described, options.propose_actions, options.dry_run,
            progress.say_some, progress.warn_once, checkpoint.front_end.rate_hz,
            options.skip_labeled, options.overwrite_hand_labels,
        )  # fmt: skip
        journal = self._journal(project, progress.warn_once)
        details = self._details(progress.warn_once)
        reporter = DetailsReporter(progress, details) if details is not None else progress
        done = [recording_id for recording_id in ids if journal is not None and recording_id in journal.done]
        left = [recording_id for recording_id in ids if journal is None or recording_id not in journal.done]
        if journal is not None and done:
            progress.before(len(done), f"by the journal {journal.path}")
        labeled = ProjectResult(Summary())
        if left:
            orders = ProjectRun(project, journal, store, progress, reporter, details is not None, self.stop, self.key)
            labeled = executor.label_project(orders, left)
        summary = labeled.summary
        summary.done += done
        # The run is over: what is left are its last words, and a signal is no reason to swallow them.
        with cancel.defer():
            if journal is not None:
                if not summary.not_reached:
                    journal.ended()
                journal.close()
            if details is not None:
                details.close()
            if store is not None:
                # Making one file of many can wait until nobody does.
                store.flush() if summary.cancelled else store.close()
            # Before the last words: these may go to somebody who no longer listens.
            wrote_failed = bool(options.failed_ids_file) and _write_ids(
                "--failed-ids-file", options.failed_ids_file, summary.unlabeled
            )
            for line in labeled.lines:
                progress.say(line)
            if labeled.fell_back:
                self._tell_of_fall_back(labeled, progress.say)
            progress.finish(summary, options.failed_ids_file if wrote_failed else None)
        if summary.cancelled:
            return CANCELED
        if summary.ended and not summary.labeled and not summary.done:
            return NOTHING_STARTED
        return SOME_FAILED if summary.unlabeled else ALL_LABELED

    def _journal(self, project: Project, warn: Callable[[str], None]) -> Journal | None:
        """Where to note what is labelled; nowhere in a dry run, which labels nothing. Raises SettingsError."""
        options = self.options
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

    def _details(self, warn: Callable[[str], None]) -> DetailsWriter | None:
        """Where to say why; the local Studio names a file by the environment. Raises SettingsError."""
        path = self.options.details or os.environ.get(VARIABLE)
        return DetailsWriter(Path(path), warn) if path else None

    def _tell_of_fall_back(self, labeled: ProjectResult, say: Callable[[str], None]) -> None:
        """Which recordings had been labelled the fast way before fast mode fell back to exact, and are final."""
        path = self.options.fast_ids_file
        posted = set(labeled.summary.labeled)
        fast = [recording_id for recording_id in labeled.fast_ids if recording_id in posted]
        where = (
            f"; ids written to {path}, to label again with --mode exact"
            if _write_ids("--fast-ids-file", path, fast)
            else ""
        )
        say(f"labelled the fast way before the fall-back: {len(fast)} recordings{where}")


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


def _write_ids(option: str, path: str, ids: list[int]) -> bool:
    """Write an ids file; False, and a line on standard error, where that cannot be done."""
    try:
        write_ids(path, ids)
    except OSError as error:
        print(f"{option} {path} cannot be written: {error.strerror or error}", file=sys.stderr)
        return False
    return True
