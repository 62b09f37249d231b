"""`python -m bench scaling`: what it prints, writes and refuses."""

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


def scaled() -> list[Scaled]:
    recordings = make_field_recordings(2000, 0)
    return [
        Scaled(one, tuple(simulate(recordings, n, one.costs) for n in (1, 8)), walls(recordings, one.costs))
        for one in scenarios()
    ]


def test_it_prints_a_table_a_scenario_and_writes_json_and_a_picture(
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


def test_constants_can_be_set_and_prices_given(tmp_path: Path) -> None:
    arguments = ["--recordings", "500", "--workers", "2", "--scenario", GPU, "--out", str(tmp_path), "--gpu-hour", "3"]
    assert command.main([*arguments, "--set", "task_s=0.5", "--set", "window_s=0.01"]) == 0
    content = json.loads((tmp_path / "scaling.json").read_text())
    (one,) = content["scenarios"]
    assert one["constants"]["task_s"]["value"] == 0.5
    assert content["costs"][0]["worker_hours"] == pytest.approx(1_800_000 * 0.01 / 3600)
    assert content["costs"][0]["cost"] == pytest.approx(15)


@pytest.mark.parametrize("given", ["--workers=", "--workers=0", "--workers=1;2", "--set=task_s", "--set=task_s=soon"])
def test_what_is_no_number_is_refused(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        command.main([given])
    assert refused.value.code == 2
    assert "expected" in capsys.readouterr().err


def test_a_constant_that_does_not_exist_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="--set: 'tusk_s' isn't a constant"):
        command.main(["--set", "tusk_s=1", "--recordings", "10", "--out", str(tmp_path)])


def test_no_recordings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="--recordings is 0"):
        command.main(["--recordings", "0", "--out", str(tmp_path)])


def test_where_nothing_can_be_written_it_says_where(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="file"):
        command.main(["--recordings", "10", "--out", str(tmp_path / "file" / "out")])


def test_the_picture_is_one(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    report.draw(scaled(), tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_a_single_scenario_makes_a_picture_too(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    report.draw(scaled()[:1], tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 1000


def test_without_matplotlib_there_is_no_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BenchError, match="matplotlib not installed"):
        report.draw(scaled(), tmp_path / "plot.png")


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
