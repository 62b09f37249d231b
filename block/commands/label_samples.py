"""Label the samples of a project: open what the run writes to, let an executor label them, and report the results."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from block.cluster.settings import ClusterSettings
from block.commands import ALL_LABELED, NOTHING_STARTED, SOME_FAILED
from block.commands.executor import Executor
from block.edge_impulse.access import Access
from block.edge_impulse.client import StudioClient
from block.edge_impulse.details import SCORES_VARIABLE, VARIABLE, DetailsReporter
from block.edge_impulse.executor import ProjectResult, ProjectRun
from block.edge_impulse.ids_file import try_write_ids
from block.edge_impulse.journal import NAME as JOURNAL_NAME
from block.edge_impulse.journal import Journal
from block.edge_impulse.project import Project, ProjectSettings
from block.edge_impulse.run_record import RunRecord
from block.formatting import count
from block.labeling.interfaces import Summary
from block.labeling.job import Job
from block.labeling.progress import Progress, TimeBudget
from block.runtime import cancel
from block.runtime.cancel import CANCELED
from block.score_store import Key, ScoreStore
from block.settings import SettingsError


@dataclass(frozen=True)
class Action:
    """The checked arguments and environment: label the samples `ids` as `job` says, on `cluster` if there is one."""

    options: argparse.Namespace
    access: Access
    ids: list[int]
    job: Job
    cluster: ClusterSettings | None


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
    options, job = action.options, action.job
    progress = Progress(len(action.ids), options.verbose, budget=TimeBudget(options.max_hours, executor.speedups))
    record = RunRecord(
        job.score_key(executor.dtype_name), job.decisions, job.audit, job.checkpoint.name, options.existing_labels,
        options.overwrite_hand_labels,
    )  # fmt: skip
    store = open_store(options.score_store, record.key, job.checkpoint.class_names, progress)
    settings = ProjectSettings(
        project_id, record.metadata, record.make_policy(is_preview=options.propose_actions is not None),
        options.propose_actions, options.dry_run, options.verbose, job.checkpoint.front_end.rate_hz,
    )  # fmt: skip
    project = Project(client, settings, progress.say_limited, progress.warn_once)
    journal, details = None, None
    journal_path = options.journal or (Path(options.score_store) / JOURNAL_NAME if options.score_store else None)
    if journal_path is not None and not options.dry_run:  # a dry run labels nothing
        run = {
            "endpoint": client.endpoint, "project": project_id, "job": record.fingerprint, "proposed": settings.job
        }  # fmt: skip
        journal = Journal(Path(journal_path), run, progress.warn_once)
    if options.details:
        details = DetailsReporter(Path(options.details), progress, progress.warn_once)
    elif details_path := os.environ.get(VARIABLE):
        details = DetailsReporter(Path(details_path), progress, progress.warn_once, record)
    return ProjectRun(project, progress, store, journal, details)


def open_store(folder: str | None, key: Key, class_names: Sequence[str], progress: Progress) -> ScoreStore | None:
    """Open the score store in `folder`, or the one that the local Studio names in the environment.

    Raise SettingsError if `folder` can't be written, or without pyarrow. The local Studio's is only a help: without it,
    warn.
    """
    if folder:
        return ScoreStore(Path(folder), key, class_names, progress.warn_once)
    if named := os.environ.get(SCORES_VARIABLE):
        try:
            return ScoreStore(Path(named), key, class_names, progress.warn_once)
        except SettingsError as error:
            progress.warn_once(f"scores aren't kept, so labels can't be decided again without the model: {error}")
    return None
