"""Proposals that were decided from kept scores fit the recordings as they are now."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from block.local_studio.jobs.decided_job import propose_again, set_thresholds
from block.local_studio.jobs.files import JobFiles
from block.local_studio.jobs.jobs import Jobs
from block.local_studio.jobs.kept_scores import KeptScores
from block.local_studio.jobs.store import RUNNING, JobStore
from tests.local_studio.conftest import Studio, add_recordings, make_audio_bytes
from tests.local_studio.scored_job import VALUES, keep_scores

TOY = Path(__file__).parent / "toy_block"


def test_a_recording_that_has_changed_since_gets_no_labels_from_its_old_scores(studio: Studio):
    project = studio.project
    changed, same = add_recordings(project, 2, make_audio_bytes(3 * VALUES))
    job_id = keep_scores(project, {one: [[0.4]] * 3 for one in (changed, same)}, {"dog": 0.5})
    path = project.root / Path(project.sample(changed).path.decode())
    path.write_bytes(make_audio_bytes(2 * VALUES))
    project.scan()
    jobs = Jobs(project, TOY, studio.address)
    source = jobs.store.get(job_id)
    assert source is not None
    scores = jobs.scores.find(source)
    before = scores.record.decisions
    made = propose_again(
        project, jobs, source, scores, replace(before, labels=set_thresholds(before.labels, [0.3])), [changed, same]
    )
    assert [one.sample_id for one in project.store.open_proposals(made.id)] == [same]
    log = jobs.log(made.id).text
    assert f"skipped: {changed} " in log
    assert "3,200 values now, and its scores are of 4,800: preview it again" in log


class CountingJobs(JobStore):
    """Counts how often the contents of a job are read from the database."""

    read = 0

    def contents(self, job_id: int) -> dict[int, str]:
        self.read += 1
        return super().contents(job_id)


def test_contents_are_read_once_a_job_has_ended_and_again_while_it_runs(studio: Studio):
    ids = add_recordings(studio.project, 2, make_audio_bytes(VALUES))
    job_id = keep_scores(studio.project, {one: [[0.4]] for one in ids}, {"dog": 0.5})
    jobs = CountingJobs(studio.project.store)
    job = jobs.get(job_id)
    assert job is not None
    scores = KeptScores(JobFiles(studio.project.root), jobs)
    running = replace(job, state=RUNNING)
    assert [len(scores.find(running).contents) for _ in range(2)] == [2, 2]
    assert jobs.read == 2
    assert [len(scores.find(job).contents) for _ in range(3)] == [2, 2, 2]
    assert jobs.read == 3
