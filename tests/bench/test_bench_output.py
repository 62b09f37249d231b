"""The benchmark's output: table, JSON and plot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import plot
from bench.audit import compute_long_run
from bench.flops import Flops
from bench.gemm import Peak
from bench.goals import list_goals
from bench.machine import OtherProcesses
from bench.memory import Memory, peak_mib
from bench.plan import BenchError
from bench.results import OnCheckpoint, Rate, Results, write_json
from bench.stages import STAGES, EndToEnd
from bench.start import Start
from bench.table import align_columns, format_results
from bench.timing import Spread


def rate(kind: str, batch: int, window_ms: int, *seconds: float, measured_ms: int = 0) -> Rate:
    return Rate(
        kind, batch, f"all of {kind}", window_ms, measured_ms or window_ms, Spread(seconds), 200 * 10**9, "float32"
    )


@pytest.fixture
def results() -> Results:
    on = OnCheckpoint("full", 86_600_000, 1214, Flops(200 * 10**9, 50 * 10**9, 10**9), "float32")
    on.rates = [
        rate("transformers", 1, 2000, 2.0, 4.0, 3.0), rate("exact", 8, 2000, 1.0, 1.5, 2.0),
        rate("transformers", 2, 2000, 2.0, 3.0, 2.5), rate("merged", 8, 2000, 0.5, 0.25, 0.125),
        rate("transformers", 2, 1000, 2.5, measured_ms=2000), rate("merged", 8, 1000, 0.1),
    ]  # fmt: skip
    on.runs = [EndToEnd("exact", 2000, 3, 20, 40.0, 25.0, dict(zip(STAGES, (1.0, 0.5, 24.0, 0.25, 0.1), strict=True)))]
    on.memory = [Memory("transformers", 1234.5), Memory("exact", 999.0, 77.0)]
    on.long_runs = [compute_long_run("merged", 0.25, 1.5, 2.5)]
    machine: dict[str, object] = {
        "cpu": "a CPU", "cores": 2, "instruction_set": "AVX2", "torch_threads": 2, "python": "3.11", "versions": {},
    }  # fmt: skip
    found = Results("1.0", "quick", machine, "made")
    found.peaks = {"float32": Peak("float32", 200e9, "torch.mm")}
    found.checkpoints = [on]
    found.starts = [Start("transform.py --help", 0.31)]
    found.long_recording = [Memory("one minute", 500.0), Memory("one hour", 750.0)]
    found.left_out = ["openvino: not installed"]
    return found


def test_rates_are_medians_and_ratios_are_relative_to_transformers_at_its_best_batch_size(results: Results) -> None:
    on = results.checkpoints[0]
    exact, merged = on.rate("exact"), on.rate("merged")
    assert exact is not None
    assert merged is not None
    assert exact.windows_s == pytest.approx(1 / 1.5)
    assert on.ratio(exact) == pytest.approx(2.5 / 1.5)
    assert on.ratio(merged) == pytest.approx(10)
    assert results.peak_share(exact) == pytest.approx(200 / 1.5 / 200)


def test_goals_are_met_or_not_or_not_measured(results: Results) -> None:
    on = results.checkpoints[0]
    on.rates += [rate("merged-int8", 2, 2000, 0.2), rate("openvino", 1, 2000, 1.2)]
    on.long_runs = [compute_long_run("merged-int8", 0.1, 1.5, 2.5, recomputed_share=share) for share in (0.0, 0.01)]
    found = {goal.what: (goal.least, goal.reached and round(goal.reached, 2), goal.verdict) for goal in list_goals(on)}
    assert found == {
        "exact": (1.2, 1.67, "met"), "merged or merged-32": (5.0, 10.0, "met"),
        "merged-int8 or merged-int8-16": (15.0, 12.5, "not met"),
        "exact beside ONNX Runtime": (1.0, None, "not measured"),
        "exact beside OpenVINO": (1.0, 0.8, "not met"),
        "run of merged-int8 or merged-int8-16, 1% recomputed": (10.0, round(on.long_runs[1].ratio, 2), "met"),
    }  # fmt: skip
    assert "not met" in format_results(results)
    results.machine["gpu"] = "a GPU"
    assert "not met" not in format_results(results)


def test_the_faster_of_two_paths_that_differ_only_in_groups_counts_for_a_goal(results: Results) -> None:
    on = results.checkpoints[0]
    on.rates += [
        rate("merged-32", 2, 2000, 0.5),
        rate("merged-int8", 2, 2000, 0.2),
        rate("merged-int8-16", 2, 2000, 0.1),
    ]
    on.long_runs = [
        compute_long_run(path, seconds, 1.5, 2.5, recomputed_share=0.01)
        for path, seconds in (("merged-int8", 0.2), ("merged-int8-16", 0.1))
    ]
    found = {goal.what: goal.reached for goal in list_goals(on)}
    assert found["merged or merged-32"] == pytest.approx(2.5 / 0.25)
    assert found["merged-int8 or merged-int8-16"] == pytest.approx(2.5 / 0.1)
    assert found["run of merged-int8 or merged-int8-16, 1% recomputed"] == on.long_runs[1].ratio


def test_the_table_lists_what_was_measured_and_what_was_not(results: Results) -> None:
    said = format_results(results)
    lines = said.splitlines()
    # A contender's batch sizes come together, in order.
    assert [line.split()[:2] for line in lines if line.startswith(("transformers  ", "block exact  "))] == [
        ["transformers", "1"], ["transformers", "2"], ["block", "exact"], ["block", "exact"],
    ]  # fmt: skip
    assert "0.4 (1.00×)" in said
    assert "= 2 s" in said
    assert "4 (10.00×)" in said
    assert "4.0%" in said  # of 25 s, 24 in the forward pass
    assert "one hour 750 MiB, 250 more" in said
    assert "transformers 1,234" in said
    assert "exact 999 (GPU 77)" in said
    assert "left out: openvino: not installed" in said
    assert max(map(len, lines)) <= 160


def test_columns_are_aligned() -> None:
    assert align_columns([["", "b"], ["long", "1"], ["x", "10"]]) == ["       b", "long   1", "x     10"]


def test_the_json_has_every_round_and_the_derived_values(results: Results, tmp_path: Path) -> None:
    write_json(results, tmp_path / "bench.json")
    content = json.loads((tmp_path / "bench.json").read_text())
    entry = content["checkpoints"][0]["rates"][1]
    assert entry["seconds"] == {"median": 1.5, "min": 1.0, "max": 2.0, "rounds": [1.0, 1.5, 2.0]}
    assert entry["ratio_to_transformers"] == pytest.approx(2.5 / 1.5)
    run = content["checkpoints"][0]["runs"][0]
    assert run["outside_forward_share"] == pytest.approx(0.04)
    assert run["gemm_bound_share"] == pytest.approx(20 * 251e9 / 200e9 / 25)
    assert content["checkpoints"][0]["long_runs"][0]["audited"] == 162
    assert content["left_out"] == ["openvino: not installed"]


def test_without_matplotlib_drawing_the_plot_fails(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BenchError, match="matplotlib not installed"):
        plot.draw(results.checkpoints, "title", tmp_path / "plot.png")


def test_the_plot_is_a_png_file(results: Results, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    plot.draw(results.checkpoints, "title", tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_peak_memory_is_that_of_this_process() -> None:
    assert 10 < peak_mib() < 1 << 20


def test_a_busy_machine_gives_a_warning(results: Results) -> None:
    assert "warning" not in format_results(results)
    results.others_share = 0.4
    assert "other processes took 40% of the cores' time" in format_results(results)


def test_the_time_of_other_processes_is_a_share() -> None:
    others = OtherProcesses()
    sum(range(10**6))
    share = others.share()
    assert share is None or 0 <= share <= 1
