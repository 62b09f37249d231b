"""Store a job that proposes labels without running a block: it has finished as soon as it's there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from block.edge_impulse.run_record import RunRecord
from block.local_studio.data.project import LocalProject
from block.local_studio.data.sample import Proposal, ProposedChanges
from block.local_studio.jobs.files import DONE, LOG
from block.local_studio.jobs.jobs import Jobs
from block.local_studio.jobs.store import FINISHED, StudioJob


@dataclass(frozen=True)
class ExplainedChanges:
    """What to propose for a sample, and the details that a block would report of it."""

    changes: ProposedChanges
    details: Mapping[str, object]


@dataclass(frozen=True)
class FinishedJob:
    """A job on `sample_ids` that proposes what is in `proposals`, by sample id.

    `record` says how the job decides labels from scores, None if it doesn't.
    """

    kind: str
    block: str
    parameters: Mapping[str, str]
    sample_ids: Sequence[int]
    proposals: Mapping[int, ExplainedChanges]
    log: Sequence[str]
    record: RunRecord | None = None


def store_finished(project: LocalProject, jobs: Jobs, made: FinishedJob) -> StudioJob:
    """Store a job with all that it proposes, and return it."""
    with project.store.transaction():
        job = jobs.store.create(made.kind, made.block, made.parameters, made.sample_ids)
        if made.record is not None:
            jobs.store.set_record(job.id, made.record)
        for sample_id, one in made.proposals.items():
            project.store.propose(Proposal(job.id, sample_id, one.changes))
        jobs.store.add_details(job.id, {sample_id: one.details for sample_id, one in made.proposals.items()})
        jobs.store.end(job.id, FINISHED, 0)
    _write_log(jobs, job, made.log)
    return job


def _write_log(jobs: Jobs, job: StudioJob, lines: Sequence[str]) -> None:
    """Write what the page of the job shows. Without it, the job is as good."""
    try:
        jobs.files.make(job.id, job.sample_ids)
        jobs.files.write(job.id, LOG, "".join(f"{line}\n" for line in lines))
        jobs.files.write(job.id, DONE, str(len(job.sample_ids)))
    except OSError:
        return
