"""The benchmark of the local Studio's pages: it measures all of them, and its table says which are too slow."""

from __future__ import annotations

from pathlib import Path

from bench.pages import PageTime, add_recordings, format_times, measure
from bench.review_delay import format_delays
from bench.threshold_delay import keep_scores
from block.local_studio.data.project import LocalProject
from block.local_studio.jobs.comparison import JobDeciders
from block.local_studio.jobs.files import JobFiles
from block.local_studio.jobs.kept_scores import KeptScores, read_record
from block.local_studio.jobs.store import JobStore


def test_every_page_of_a_filled_project_is_measured(tmp_path: Path) -> None:
    times = measure(tmp_path, 3)
    assert {"/", "/review", "/jobs/1", "/recordings/2"} <= {one.path for one in times}
    assert all(one.first_ms > 0 and one.median_ms > 0 for one in times)


def test_the_table_names_the_pages_that_are_too_slow() -> None:
    table = format_times([PageTime("/", 150.4, 90, 20, 10), PageTime("/jobs/1", 90, 10, 201, 9)], 1000)
    assert "| / | 150 | 90 | 20 | 10 |" in table
    assert table.endswith("over 200 ms: /jobs/1")


def test_the_delays_of_verdicts_are_summed_up() -> None:
    assert format_delays([10.0, 20.0, 400.0]) == (
        "3 verdicts: the next segment plays after 20 ms in the median, 400 ms at most; 1 later than 300 ms"
    )


def test_the_job_with_random_scores_can_be_decided_again(tmp_path: Path) -> None:
    project = LocalProject(tmp_path)
    add_recordings(project, 3)
    job_id = keep_scores(project, 4)
    store = JobStore(project.store)
    job = store.get(job_id)
    assert job is not None
    record = read_record(job)
    compared = JobDeciders(KeptScores(JobFiles(project.root), store)).get(job, record.key.windows)
    assert len(compared.compare(record.decisions).samples) == 3
    project.close()
