"""The AI Action: label the samples of an Edge Impulse project.

Errors in the arguments and the environment are reported before torch is imported. Exit codes: 0 all recordings labeled,
1 some failed, 2 nothing could start, 130 canceled.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from block.cluster.settings import ClusterSettings, read_cluster
from block.commands import ALL_LABELED, NOTHING_STARTED, SOME_FAILED
from block.commands.executor import Executor, start_executor
from block.commands.options import parse, read_job
from block.edge_impulse.access import Access, read_access, read_ids, try_write_ids
from block.edge_impulse.client import StudioClient
from block.edge_impulse.details import VARIABLE, DetailsReporter
from block.edge_impulse.executor import ProjectResult, ProjectRun
from block.edge_impulse.journal import NAME as JOURNAL_NAME
from block.edge_impulse.journal import Journal
from block.edge_impulse.label_owner import JOB
from block.edge_impulse.label_policy import LabelPolicy
from block.edge_impulse.project import Project, find_project
from block.formatting import count, make_printable, print_warning
from block.labeling.interfaces import Summary
from block.labeling.job import Job, build_metadata, compute_fingerprint
from block.runtime import cancel
from block.runtime.cancel import CANCELED
from block.score_store import check_folder
from block.settings import FILL_GAPS


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
        print(f"nothing to do: {make_printable(action.options.data_ids_file)} has no sample ids")
        try_write_ids("--failed-ids-file", action.options.failed_ids_file, [])
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
    options = parse(argv, warn=print_warning)
    access = read_access(os.environ)
    if access.is_exposed:
        print_warning("EI_API_ENDPOINT isn't https://, so others can read the key and the audio in transit")
    job, cluster = read_job(options), read_cluster(options)
    if options.score_store:
        check_folder(Path(options.score_store))
    return Action(options, access, read_ids(options.data_ids_file), job, cluster)


def label_samples(action: Action, client: StudioClient, project_id: int, executor: Executor) -> int:
    """Label the samples and report the results. Return the exit code."""
    run = open_run(action, client, project_id, executor)
    done_before = run.journal.done if run.journal is not None else set()
    done = [sample_id for sample_id in action.ids if sample_id in done_before]
    left = [sample_id for sample_id in action.ids if sample_id not in done_before]
    if run.journal is not None and done:
        run.progress.report_labeled_before(len(done), f"according to the journal {run.journal.path}")
    result = executor.label_project(run, left) if left else ProjectResult(Summary())
    summary = result.summary
    summary.done += done
    # The run is over; a signal must not cut off its summary.
    with cancel.defer():
        run.close(summary)
        # Before the summary, which may go to a closed pipe.
        failed_path = action.options.failed_ids_file
        has_written = try_write_ids("--failed-ids-file", failed_path, summary.unlabeled)
        for line in result.lines:
            run.progress.say(line)
        if result.fell_back or run.has_fallen_back:
            fast = {*result.final_fast_ids, *summary.fast_done, *(run.journal.fast_done if run.journal else ())}
            fast_ids, fast_path = [one for one in action.ids if one in fast], action.options.fast_ids_file
            where = ""
            if try_write_ids("--fast-ids-file", fast_path, fast_ids):
                where = f"; ids written to {fast_path}; to label them again, use --mode exact"
            labeled = count(len(fast_ids), "recording")
            run.progress.say(f"fast mode labeled {labeled} before it fell back to exact mode{where}")
        run.progress.say_totals()
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
    fills_gaps = options.existing_labels == FILL_GAPS
    job_id = compute_fingerprint(job, executor.digest, executor.dtype_name, fills_gaps=fills_gaps)
    description = build_metadata(
        job.decisions, job.windows, job.compute.filling, checkpoint.name, executor.digest, executor.dtype_name
    )
    policy = LabelPolicy(
        job_id, job.decisions.other_label, options.existing_labels, options.overwrite_hand_labels,
        is_preview=options.propose_actions is not None,
    )  # fmt: skip
    project = Project(
        client, project_id, metadata={**description, JOB: job_id}, job=options.propose_actions, dry_run=options.dry_run,
        say=progress.say_limited, warn=progress.warn_once, policy=policy, model_rate_hz=checkpoint.front_end.rate_hz,
        show_calls=options.verbose,
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
