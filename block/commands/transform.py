"""The AI Action: label the samples of an Edge Impulse project.

Errors in the arguments and the environment are reported before torch is imported. Exit codes: 0 all recordings labeled,
1 some failed, 2 nothing could start, 130 canceled.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from block.cluster.settings import ClusterSettings, read_cluster
from block.commands import ALL_LABELED, NOTHING_STARTED, SOME_FAILED
from block.commands.executor import Executor, start_executor
from block.commands.options import parse, read_job
from block.edge_impulse.access import Access, read_access, read_ids, write_ids
from block.edge_impulse.client import StudioClient
from block.edge_impulse.details import VARIABLE, DetailsReporter
from block.edge_impulse.executor import ProjectResult, ProjectRun
from block.edge_impulse.journal import NAME as JOURNAL_NAME
from block.edge_impulse.journal import Journal
from block.edge_impulse.label_owner import JOB
from block.edge_impulse.project import Project, list_projects
from block.formatting import count
from block.labeling.interfaces import Summary
from block.labeling.job import Job, build_metadata, compute_fingerprint
from block.runtime import cancel
from block.runtime.cancel import CANCELED
from block.score_store import check_folder
from block.settings import SettingsError


@dataclass(frozen=True)
class Action:
    """The checked arguments and environment: label the samples `ids` as `job` says, on `cluster` if there is one."""

    options: argparse.Namespace
    access: Access
    ids: list[int]
    job: Job
    cluster: ClusterSettings | None


def run_action(argv: Sequence[str]) -> int:
    """Label the samples that `argv` names. Return the exit code.

    Raise SettingsError, LabelError, CheckpointError or StudioError if nothing can start.
    """
    action = read_action(argv)
    if not action.ids:
        print(f"nothing to do: {action.options.data_ids_file} has no sample ids")
        _write_ids("--failed-ids-file", action.options.failed_ids_file, [])
        return ALL_LABELED
    client = StudioClient(action.access.endpoint, action.access.key)
    project_id = find_project(client, action.access)
    executor = start_executor(action.job, action.cluster, f"label project {project_id}")
    try:
        return label_samples(action, client, project_id, executor)
    finally:
        with cancel.defer():
            executor.leave()


def read_action(argv: Sequence[str]) -> Action:
    """Read and check arguments and environment. Raise SettingsError, LabelError or CheckpointError."""
    options = parse(argv, warn=lambda text: print(f"warning: {text}", flush=True))
    access = read_access(os.environ)
    if access.is_exposed:
        print(
            "warning: EI_API_ENDPOINT isn't https://, so others can read the key and the audio in transit", flush=True
        )
    action = Action(options, access, read_ids(options.data_ids_file), read_job(options), read_cluster(options))
    if options.score_store:
        check_folder(Path(options.score_store))
    return action


def find_project(client: StudioClient, access: Access) -> int:
    """Return the project to label. Call the API even if the environment names it, so that a bad key ends the run."""
    projects = list_projects(client)
    found = f"project {projects[0]}" if len(projects) == 1 else count(len(projects), "project")
    if access.project_id is None:
        if len(projects) != 1:
            raise SettingsError(f"the API key gives access to {found}; expected one: set EI_PROJECT_ID")
        return projects[0]
    if access.project_id not in projects:
        raise SettingsError(
            f"EI_PROJECT_ID is {access.project_id}, but the API key belongs to {found}; use the key of that project"
        )
    return access.project_id


def label_samples(action: Action, client: StudioClient, project_id: int, executor: Executor) -> int:
    """Label the samples and report the results. Return the exit code."""
    run = open_run(action, client, project_id, executor)
    done_before = run.journal.done if run.journal is not None else set()
    done = [sample_id for sample_id in action.ids if sample_id in done_before]
    left = [sample_id for sample_id in action.ids if sample_id not in done_before]
    if run.journal is not None and done:
        run.progress.report_labeled_before(len(done), f"by the journal {run.journal.path}")
    result = executor.label_project(run, left) if left else ProjectResult(Summary())
    summary = result.summary
    summary.done += done
    # The run is over; a signal must not cut off its summary.
    with cancel.defer():
        run.close(summary)
        # Before the summary, which may go to a closed pipe.
        failed_path = action.options.failed_ids_file
        has_written = _write_ids("--failed-ids-file", failed_path, summary.unlabeled)
        for line in result.lines:
            run.progress.say(line)
        if result.fell_back:
            report_fall_back(result, action.options.fast_ids_file, run)
        run.progress.finish(summary, failed_path if has_written else None)
    if summary.canceled:
        return CANCELED
    if summary.end_reason and not summary.labeled and not summary.done:
        return NOTHING_STARTED
    return SOME_FAILED if summary.unlabeled else ALL_LABELED


def open_run(action: Action, client: StudioClient, project_id: int, executor: Executor) -> ProjectRun:
    """Open everything a run writes to. Raise SettingsError if something can't be written."""
    options, job, checkpoint = action.options, action.job, action.job.checkpoint
    progress = executor.progress(len(action.ids), options.verbose, options.max_hours)
    store = executor.store(Path(options.score_store), progress) if options.score_store else None
    job_id = compute_fingerprint(job, executor.digest, executor.dtype_name)
    description = build_metadata(
        job.decisions, job.windows, job.compute.fill, checkpoint.name, executor.digest, executor.dtype_name
    )
    project = Project(
        client, project_id, {**description, JOB: job_id}, options.propose_actions, options.dry_run,
        progress.say_limited, progress.warn_once, checkpoint.front_end.rate_hz,
        options.skip_labeled, options.overwrite_hand_labels, options.verbose,
    )  # fmt: skip
    journal, details = None, None
    journal_path = options.journal or (Path(options.score_store) / JOURNAL_NAME if options.score_store else None)
    if journal_path is not None and not options.dry_run:  # a dry run labels nothing
        run = {"endpoint": client.endpoint, "project": project_id, "job": job_id, "proposed": project.job}
        journal = Journal(Path(journal_path), run, progress.warn_once)
    # The local Studio names the file in the environment.
    if details_path := options.details or os.environ.get(VARIABLE):
        details = DetailsReporter(Path(details_path), progress, progress.warn_once)
    return ProjectRun(project, progress, store, journal, details)


def report_fall_back(result: ProjectResult, path: str, run: ProjectRun) -> None:
    """Write and print which recordings fast mode labeled before it fell back to exact mode."""
    labeled = set(result.summary.labeled)
    fast_ids = [sample_id for sample_id in result.fast_ids if sample_id in labeled]
    has_written = _write_ids("--fast-ids-file", path, fast_ids)
    where = f"; ids written to {path}; to label them again, use --mode exact" if has_written else ""
    run.progress.say(f"fast mode labeled {count(len(fast_ids), 'recording')} before it fell back to exact mode{where}")


def _write_ids(option: str, path: str | None, ids: list[int]) -> bool:
    """Write an ids file if the option is given. Return True if it was written; print errors to standard error."""
    if path is None:
        return False
    try:
        write_ids(path, ids)
    except OSError as error:
        print(f"can't write {option} {path}: {error.strerror or error}", file=sys.stderr)
        return False
    return True
