"""A small soak, and the soak's checks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.faults.row import Row
from tests.faults.rows import ROWS
from tests.soak import faults, recordings, tables
from tests.soak.check import at_most, no_problems
from tests.soak.recordings import Memory, Soaked, Tenth

CALM = Soaked(
    count=5000, seconds=60, audio_s=9000, code=0, log_lines=104, labeled=5000, doubled=0, peak_mb=56.0,
    growth_mb=1.0, halves_mb=0.2, tenths=(Tenth(9, 30, 400), *[Tenth(10, 30, 400)] * 8, Tenth(11, 33, 400)),
)  # fmt: skip


def broken(soaked: Soaked) -> list[str]:
    return [check.name for check in soaked.checks() if not check.kept]


@pytest.mark.slow
def test_a_small_soak_keeps_the_promises_of_the_big_one() -> None:
    soaked = recordings.main(200)
    assert broken(soaked) == []
    assert soaked.log_lines >= 200
    assert 20 < soaked.peak_mb < 500
    assert len(soaked.tenths) == 10


def test_a_row_with_the_real_time_limits_ends_as_the_table_says() -> None:
    gone = next(row for row in ROWS if row.happens == "a sample is deleted between reading and writing")
    assert [one.problems for one in faults.main([gone])] == [[]]


def test_a_row_that_ends_differently_than_the_table_says_fails_the_soak() -> None:
    untrue = Row("", "nothing happens", "fails", "3 failed: …", lambda _: [], code=1, failed=(3,))
    ran = faults.main([untrue])
    assert [check.kept for check in faults.checks(ran)] == [False]
    assert set(ran[0].problems) >= {"exit code 0, expected 1", "no line like '3 failed: …'"}


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"code": 1}, "exit code"),
        ({"labeled": 4999}, "labeled in Studio"),
        ({"doubled": 1}, "written more than once"),
        ({"log_lines": 1001}, "log lines"),
        ({"growth_mb": 5.1}, "memory growth over the last 80 % of the run"),
        ({"halves_mb": 5.1}, "peak memory of the second half minus that of the first"),
        (
            {"tenths": (*CALM.tenths[:9], Tenth(15.1, 30, 400))},
            "median call in the last tenth of the run, relative to the second tenth",
        ),
    ],
)
def test_a_soak_fails_if_it_breaks_any_promise(change: dict[str, object], name: str) -> None:
    assert broken(CALM) == []
    assert broken(replace(CALM, **change)) == [name]


def test_a_leak_counts_as_growth_but_pools_that_fill_at_the_start_do_not() -> None:
    times = np.arange(0, 100, 0.5)
    leaks = [Memory(at, int(50e6 + 1e5 * at)) for at in times]
    fills = [Memory(at, int(50e6 + 5e6 * min(1, at / 10))) for at in times]
    assert recordings._growth_mb(leaks)[0] == pytest.approx(8.0, abs=0.1)
    assert recordings._growth_mb(leaks)[1] == pytest.approx(4.0, abs=0.2)
    assert recordings._growth_mb(fills) == pytest.approx((0.0, 0.0), abs=0.01)


def test_recordings_differ_in_name_and_length_and_are_reproducible(tmp_path: Path) -> None:
    for name in ("a", "b"):
        recordings.make_recordings(tmp_path / name, 120)
    first, second = (
        {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.wav")}
        for name in ("a", "b")
    )
    assert first == second
    assert len(first) == 120
    sizes = [len(content) for content in first.values()]
    assert min(sizes) < 2 * 16000 < 2 * 2 * 16000 < max(sizes)


def test_the_tables_for_the_documentation_show_the_figures() -> None:
    table = tables.recordings_table(CALM)
    assert "| recordings | 5,000, 2.5 hours of audio |" in table
    assert "| median call in ms, by tenths of the run | 9.0 · 10.0" in table
    killed = {"points": 3, "killed": 2, "scenarios": {"no journal": {"points": 3, "most_written_again": 1}},
              "problems": []}  # fmt: skip
    assert "| no journal | 3 | 1 |" in tables.kills_table(killed)
    assert "3 runs, of which 2" in tables.kills_table(killed)


def test_checks_say_what_was_found() -> None:
    assert str(at_most("growth", 6.0, 5.0, "MB")) == "FAILED growth: 6.0 MB, at most 5.0 MB"
    assert str(no_problems("rows", [])) == "ok     rows: no problems"
    assert str(no_problems("rows", ["a", "b"])) == "FAILED rows: a; b"
