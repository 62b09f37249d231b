"""`python -m bench scaling`: what it prints, writes and rejects."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.plan import BenchError
from bench.scaling import command, report
from bench.scaling.costs import CPU_EXACT, CPU_FAST, GPU, scenarios
from bench.scaling.results import Scaled, walls
from bench.scaling.simulation import simulate
from bench.scaling.workload import make_field_recordings
from block.settings import SettingsError


def simulate_all() -> list[Scaled]:
    recordings = make_field_recordings(2000, 0)
    return [
        Scaled(one, tuple(simulate(recordings, n, one.costs) for n in (1, 8)), walls(recordings, one.costs))
        for one in scenarios()
    ]


def test_it_prints_a_table_per_scenario_and_writes_json_and_a_plot(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["--recordings", "2000", "--workers", "1,4", "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    for title in ("CPU, exact: 2,000 recordings", "CPU, fast: 2,000 recordings", "GPU: 2,000 recordings"):
        assert title in out
    assert "1,000 hours of audio" in out
    assert (tmp_path / "scaling.txt").read_text() in out
    content = json.loads((tmp_path / "scaling.json").read_text())
    assert [one["name"] for one in content["scenarios"]] == [CPU_EXACT, CPU_FAST, GPU]
    for one in content["scenarios"]:
        assert [run["workers"] for run in one["runs"]] == [1, 4]
        assert one["runs"][0]["efficiency"] == 1
        assert one["constants"]["task_s"].keys() == {"value", "unit", "source"}
    assert [one["hour"] for one in content["costs"]] == [0.05, 0.05, 2.0]
    assert (tmp_path / "scaling.png").exists() or "left out" in out


def test_constants_and_prices_can_be_set(tmp_path: Path) -> None:
    arguments = ["--recordings", "500", "--workers", "2", "--scenario", GPU, "--out", str(tmp_path), "--gpu-hour", "3"]
    assert command.main([*arguments, "--set", "task_s=0.5", "--set", "window_s=0.01"]) == 0
    content = json.loads((tmp_path / "scaling.json").read_text())
    (one,) = content["scenarios"]
    assert one["constants"]["task_s"]["value"] == 0.5
    assert content["costs"][0]["worker_hours"] == pytest.approx(1_800_000 * 0.01 / 3600)
    assert content["costs"][0]["cost"] == pytest.approx(15)


@pytest.mark.parametrize("given", ["--workers=", "--workers=0", "--workers=1;2", "--set=task_s", "--set=task_s=soon"])
def test_values_that_are_not_numbers_are_rejected(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        command.main([given])
    assert caught.value.code == 2
    assert "expected" in capsys.readouterr().err


def test_an_unknown_constant_is_rejected_by_name(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="--set: 'tusk_s' isn't a constant"):
        command.main(["--set", "tusk_s=1", "--recordings", "10", "--out", str(tmp_path)])


def test_zero_recordings_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="--recordings is 0"):
        command.main(["--recordings", "0", "--out", str(tmp_path)])


def test_if_the_output_cannot_be_written_the_error_names_the_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="file"):
        command.main(["--recordings", "10", "--out", str(tmp_path / "file" / "out")])


def test_the_plot_is_a_png_file(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    report.draw(simulate_all(), tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_a_single_scenario_can_be_plotted(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    report.draw(simulate_all()[:1], tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 1000


def test_without_matplotlib_drawing_the_plot_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BenchError, match="matplotlib not installed"):
        report.draw(simulate_all(), tmp_path / "plot.png")


@pytest.mark.slow
def test_the_steps_of_the_driver_can_be_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--measure", "--recordings", "1000", "--workers", "1,2", "--out", str(tmp_path)]) == 0
    constants = json.loads((tmp_path / "scaling.json").read_text())["scenarios"][0]["constants"]
    written = {one.name: one.costs for one in scenarios()}[CPU_EXACT].to_json()
    measured = [name for name, one in constants.items() if one["value"] != written[name]["value"]]
    assert {"save_s", "store_window_s", "decide_window_s", "write_s", "prepare_s"} <= set(measured)
    for name in measured:
        assert 0 <= constants[name]["value"] < 0.01, name
    assert {path.name for path in tmp_path.iterdir()} <= {"scaling.txt", "scaling.json", "scaling.png"}
