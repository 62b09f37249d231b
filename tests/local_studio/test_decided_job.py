"""Proposals that were decided from kept scores fit the recordings as they are now."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from block.local_studio.jobs.decided_job import propose_again, set_thresholds
from block.local_studio.jobs.jobs import Jobs
from tests.local_studio.conftest import Studio, add_recordings, make_audio_bytes
from tests.local_studio.scored_job import VALUES, keep_scores

TOY = Path(__file__).parent / "toy_block"


def test_a_recording_that_has_changed_since_gets_no_labels_from_its_old_scores(studio: Studio):
    project = studio.project
    changed, same = add_recordings(project, 2, make_audio_bytes(3 * VALUES))
    job_id = keep_scores(project, dict.fromkeys((changed, same), [[0.4], [0.4], [0.4]]), {"dog": 0.5})
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
