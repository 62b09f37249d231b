"""The benchmark of the local Studio's pages: it measures all of them, and its table says which are too slow."""

from __future__ import annotations

from pathlib import Path

from bench.pages import PageTime, format_times, measure
from bench.review_delay import format_delays


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
