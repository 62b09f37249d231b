"""The simulation of runs on a cluster, in cases whose results can be calculated by hand."""

from __future__ import annotations

import math
from dataclasses import fields

import numpy as np
import pytest

from bench.scaling.costs import (
    ASSUMED,
    CPU_FAST,
    EXAMPLE_CORE_HOUR,
    EXAMPLE_GPU_HOUR,
    FORMULA,
    GPU,
    Costs,
    Driver,
    Paths,
    Workers,
    price,
    prices,
    scenarios,
)
from bench.scaling.report import price_rows, rows
from bench.scaling.results import Scaled, limit, shares, walls
from bench.scaling.simulation import AMID, DECIDING, STARTING, TAIL, WRITING, Simulated, Simulation, simulate
from bench.scaling.workload import Recordings, make_field_recordings, split
from tests.conftest import ROOT

MINUTE_WINDOWS = 30
FREE = {field.name: 0.0 for field in fields(Driver)} | {
    "reporters_a_second": math.inf, "save_share": 0.02, "delay_s": 0.0, "driver_bytes_s": math.inf,
    "source_bytes_s": math.inf,
    "worker_bytes_s": math.inf, "first_byte_s": 0.0, "checkpoint_bytes": 0.0, "start_s": 0.0, "start_spread": 0.0,
    "worker_spread": 0.0, "portion_spread": 0.0, "prepare_s": 0.0, "window_s": 0.1,
}  # fmt: skip


def free(**values: float) -> Costs:
    """Return costs that are zero except for the model and the given `values`."""
    return Costs().replace(**{**FREE, **values})


def minutes(count: int) -> Recordings:
    return Recordings(np.full(count, 60.0))


def efficiency(recordings: Recordings, workers: int, costs: Costs) -> float:
    one, many = (simulate(recordings, count, costs) for count in (1, workers))
    return one.total_s / many.total_s / workers


def test_one_worker_takes_as_long_as_all_recordings_together() -> None:
    recordings = make_field_recordings(500, 3)
    found = simulate(recordings, 1, free())
    assert found.total_s == pytest.approx(recordings.windows.sum() * 0.1)
    assert found.useful_s == pytest.approx(found.total_s)


def test_without_overhead_workers_lose_only_the_wait_for_the_last_recording() -> None:
    assert efficiency(minutes(8 * 512), 8, free()) == pytest.approx(1, abs=0.01)
    assert efficiency(minutes(64 * 512), 64, free()) == pytest.approx(1, abs=0.01)


def test_workers_of_different_speeds_are_together_as_fast_as_equal_workers() -> None:
    assert efficiency(minutes(32 * 512), 32, free(worker_spread=0.3)) == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize(("cost", "portion_s"), [("task_s", 0.5), ("report_s", 0.5)])
def test_a_driver_that_needs_half_a_second_per_portion_handles_two_per_second(cost: str, portion_s: float) -> None:
    costs = free(window_s=1e-4, **{cost: portion_s})
    run = Simulation(minutes(2000), 50, costs)
    found = run.run()
    assert found.labeling_s == pytest.approx(found.portions * portion_s, rel=0.02)
    assert found.driver_busy == pytest.approx(1, rel=0.02)
    assert limit(found) == "the driver"


def test_more_workers_do_not_help_a_busy_driver() -> None:
    costs = free(window_s=1e-3, report_s=0.3)
    some, more = (simulate(minutes(20_000), count, costs) for count in (64, 512))
    assert more.recordings_s < 1.05 * some.recordings_s


@pytest.mark.parametrize(
    ("path", "seconds"),
    [
        ("driver_bytes_s", 1000 * (MINUTE_WINDOWS * 2108 + 700) / 1e6),
        ("source_bytes_s", 1000 * (60 * 32000 + 44) / 1e6),
    ],
)
def test_shared_bandwidth_limits_the_run(path: str, seconds: float) -> None:
    found = simulate(minutes(1000), 20, free(window_s=1e-5, **{path: 1e6}))
    assert found.labeling_s == pytest.approx(seconds, rel=0.02)


def test_a_worker_that_reads_slower_than_it_computes_waits() -> None:
    found = simulate(minutes(2000), 2, free(window_s=1e-4, worker_bytes_s=1e6))
    assert limit(found) == "reading"
    assert shares(found)[AMID] > 0.5


def test_useful_and_lost_time_add_up_to_the_total() -> None:
    for scenario in scenarios():
        found = simulate(make_field_recordings(20_000, 1), 16, scenario.costs)
        assert found.useful_s + sum(found.lost.values()) == pytest.approx(16 * found.total_s)
        assert min(found.lost.values()) >= 0
        assert sum(shares(found).values()) == pytest.approx(1)


def test_the_same_seed_gives_the_same_run_and_another_seed_a_different_one() -> None:
    def run(seed: int) -> Simulated:
        return simulate(make_field_recordings(5000, seed), 16, scenarios()[1].costs, seed)

    assert run(1) == run(1)
    assert run(1).total_s != run(2).total_s


def test_long_recordings_at_the_end_make_the_other_workers_wait() -> None:
    recordings = Recordings(np.array([60.0] * 64 + [3600.0]))
    found = simulate(recordings, 8, free())
    assert found.total_s >= 1800 * 0.1
    assert limit(found) == "long recordings at the end"
    assert shares(found)[TAIL] > 0.5


def test_all_workers_wait_for_what_the_driver_does_at_the_end() -> None:
    found = simulate(minutes(1000), 4, free(decide_s=0.1, write_window_s=0.001))
    assert found.total_s - found.labeling_s == pytest.approx(100 + 1000 * MINUTE_WINDOWS * 0.001)
    assert found.lost[DECIDING] == pytest.approx(4 * 100)
    assert found.lost[WRITING] == pytest.approx(4 * 30)


def test_portions_of_lost_workers_are_repeated_and_the_workers_are_replaced() -> None:
    recordings = minutes(4000)
    calm = simulate(recordings, 8, free())
    found = simulate(recordings, 8, free(losses_an_hour=6.0, start_s=10.0))
    assert found.losses > 3
    assert found.useful_s > calm.useful_s
    again = found.useful_s / calm.useful_s - 1
    assert again < found.losses * 2 * 16 / recordings.count  # two portions of 16 each time, at most


def test_a_later_start_delays_the_end_by_the_same_time() -> None:
    recordings = minutes(512)
    calm, late = (simulate(recordings, 4, free(start_s=seconds)) for seconds in (0.0, 30.0))
    assert late.total_s - calm.total_s == pytest.approx(30)
    assert late.lost[STARTING] == pytest.approx(4 * 30)


def test_the_remaining_work_of_a_lost_worker_does_not_delay_its_replacement() -> None:
    found = simulate(Recordings(np.full(40, 3600.0)), 1, free(window_s=0.01, losses_an_hour=60.0))
    again = found.useful_s - 40 * 1800 * 0.01
    assert found.losses > 3
    assert found.total_s < 40 * 1800 * 0.01 + found.losses * (15 + 18) + 18
    assert again <= found.losses * 2 * 18 + 1


def test_with_more_workers_each_reports_less_often() -> None:
    recordings = minutes(32 * 512)
    often, seldom = (
        simulate(recordings, 32, free(report_s=1e-6, reporters_a_second=count)) for count in (math.inf, 1.0)
    )
    assert often.driver_s["taking in reports"] > 3 * seldom.driver_s["taking in reports"]


def test_each_portion_is_reported_at_least_once_and_at_most_once_per_recording() -> None:
    costs = free(window_s=1e-9, report_s=1.0)
    recordings = minutes(320)
    assert simulate(recordings, 1, costs).driver_s["taking in reports"] == split(recordings, 2, "cpu").count
    slow = free(window_s=100.0, report_s=1.0)
    assert simulate(recordings, 1, slow).driver_s["taking in reports"] == pytest.approx(320)


def test_the_calculated_limit_of_the_driver_matches_a_busy_one() -> None:
    # A few fast workers, so that few recordings are in smaller portions at the end.
    costs = scenarios()[2].costs.replace(
        save_s=0.0, window_s=1e-4, first_byte_s=0.0, worker_bytes_s=1e12, prepare_s=0.0, start_s=0.0,
        checkpoint_bytes=0.0,
    )  # fmt: skip
    recordings = make_field_recordings(200_000, 2)
    found = simulate(recordings, 16, costs)
    assert found.driver_busy > 0.9
    assert found.recordings / found.labeling_s == pytest.approx(walls(recordings, costs).driver, rel=0.15)


@pytest.mark.parametrize("name", [pytest.param(CPU_FAST, marks=pytest.mark.slow), GPU])
def test_64_workers_reach_an_efficiency_of_85_percent(name: str) -> None:
    recordings = make_field_recordings(1_000_000, 0)
    (scenario,) = (one for one in scenarios() if one.name == name)
    assert efficiency(recordings, 64, scenario.costs) >= 0.85


@pytest.mark.slow
def test_the_documentation_shows_the_results_of_the_simulation() -> None:
    recordings = make_field_recordings(1_000_000, 0)
    shown = (ROOT / "docs" / "ray.md").read_text()
    for scenario in scenarios():
        runs = tuple(simulate(recordings, count, scenario.costs) for count in (1, 8, 64, 128, 256, 512))
        for row in rows(Scaled(scenario, runs, walls(recordings, scenario.costs)))[1:]:
            assert f"| {' | '.join(row)} |" in shown
    for row in price_rows(prices(scenarios(), EXAMPLE_CORE_HOUR, EXAMPLE_GPU_HOUR)):
        assert f"| {' | '.join(row)} |" in shown
    assert FORMULA in shown


def test_the_documentation_lists_the_assumptions() -> None:
    shown = (ROOT / "docs" / "ray.md").read_text()
    for name, one in Costs().to_json().items():
        if str(one.get("source", "")).startswith(ASSUMED):
            assert f"| `{name}` | {one['value']:g} | {one['unit']} |" in shown, name


def test_recordings_are_mostly_a_minute_long() -> None:
    seconds = make_field_recordings(100_000, 0).seconds
    assert (seconds == 60).mean() == pytest.approx(0.70, abs=0.01)
    assert (seconds == 3600).mean() == pytest.approx(0.002, abs=0.001)
    clips = seconds[seconds < 60]
    assert clips.min() >= 1
    assert clips.max() <= 10


def test_every_recording_is_in_one_portion() -> None:
    recordings = make_field_recordings(10_000, 4)
    portions = split(recordings, 16, "cpu")
    assert portions.recordings.sum() == 10_000
    assert portions.windows.sum() == recordings.windows.sum()
    assert portions.bytes.sum() == recordings.sizes.sum()
    assert portions.seconds.sum() == pytest.approx(recordings.seconds.sum())


def test_every_constant_in_seconds_or_bytes_has_a_unit_and_a_source() -> None:
    said = Costs().to_json()
    for part in (Driver, Paths):
        for field in fields(part):
            assert said[field.name]["unit"], field.name
            assert said[field.name]["source"], field.name
    assert {field.name for field in fields(Workers)} <= said.keys()


def test_an_unknown_constant_is_rejected() -> None:
    with pytest.raises(ValueError, match="tusk_s"):
        Costs().replace(tusk_s=1.0)


def test_the_price_of_a_thousand_hours_follows_from_their_windows() -> None:
    exact, fast, gpu = prices(scenarios(), core_hour=0.05, gpu_hour=2.0)
    assert exact.windows == 1_800_000
    assert exact.worker_hours == pytest.approx(1250)
    assert exact.cost == pytest.approx(62.5)
    assert fast.cost == pytest.approx(1_800_000 * 0.25 / 3600 * 0.05)
    assert gpu.cost == pytest.approx(1_800_000 / 500 / 3600 * 2)
    assert price(scenarios()[0], 0.05, efficiency=0.5).cost == pytest.approx(125)
    with pytest.raises(ValueError, match="efficiency"):
        price(scenarios()[0], 0.05, efficiency=0)
