"""A whole run of the benchmark with little effort on a tiny checkpoint. Missing packages don't stop it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import soundfile

from bench import command, exported, gemm, start
from bench import inputs as made
from bench.contenders import Field
from bench.machine import describe
from bench.measure import Measure
from bench.plan import BenchError, Clock, Effort, Plan
from bench.results import Results
from bench.table import format_results
from block.model.checkpoint import find_checkpoint
from block.model.device import Device, choose_device
from block.settings import ComputeSettings, SettingsError
from tests.conftest import ROOT

LITTLE = Effort(turn_s=0.01, rounds=1, own_batch=2, every_length=True, later_s=0, end_to_end_s=0.05)
# Too little time to start a process and measure its memory; the clock stands still, so slow machines don't matter.
TINY = Plan("tiny", 20, 0, LITTLE, LITTLE, (1, 2), exported=(), hour=False, window_ms=(1000, 2000))


@pytest.fixture
def device() -> Device:
    return choose_device(ComputeSettings("cpu"))


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    return made.make_recordings(tmp_path, (1, 3))


def measure(plan: Plan, device: Device, paths: list[Path], folder: Path) -> Measure:
    results = Results("1.0", plan.name, describe(), "made")
    return Measure(
        plan, Clock(plan.limit_s, lambda: 0.0), device, "cpu", paths, folder, folder, results, lambda line: None
    )


@pytest.mark.slow
def test_a_run_measures_every_contender_and_lists_what_it_left_out(
    checkpoint_folder: Path, device: Device, paths: list[Path], tmp_path: Path
) -> None:
    bench = measure(TINY, device, paths, tmp_path)
    bench.checkpoint(find_checkpoint(str(checkpoint_folder)), 0)
    bench.long_recording(find_checkpoint(str(checkpoint_folder)))
    (on,) = bench.results.checkpoints
    ways = {(rate.kind, rate.batch, rate.window_ms) for rate in on.rates}
    assert {("transformers", 1, 1000), ("transformers", 1, 2000), ("transformers", 2, 2000)} <= ways
    assert {("exact", 2, 1000), ("exact", 2, 2000), ("merged", 2, 1000), ("merged", 2, 2000)} <= ways
    assert {run.path for run in on.runs} >= {"exact", "merged"}
    assert all(run.windows >= 1 and 0 < run.stages_s["forward"] < run.wall_s for run in on.runs)
    assert "float32" in bench.results.peaks
    assert "onnxruntime: not in this plan" in bench.results.left_out
    assert any("peak memory" in line for line in bench.results.left_out)
    assert "transformers" in format_results(bench.results)
    written = json.dumps(bench.results.to_json())
    assert str(tmp_path) not in written
    assert str(checkpoint_folder.parent) not in written


@pytest.mark.slow
def test_runtimes_that_are_not_installed_are_listed_with_how_to_install_them(
    checkpoint_folder: Path, device: Device, paths: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exported, "find_missing", lambda kind: ("onnx", kind))
    plan = Plan("tiny", 20, 0, LITTLE, LITTLE, (1,), exported=(1,), hour=False, window_ms=(2000,))
    bench = measure(plan, device, paths, tmp_path)
    bench.checkpoint(find_checkpoint(str(checkpoint_folder)), 0)
    assert (
        "openvino: onnx, openvino not installed; pip install -r locked/openvino.txt -r locked/bench.txt"
        in bench.results.left_out
    )
    assert {rate.kind for rate in bench.results.checkpoints[0].rates} >= {"transformers", "exact"}


@pytest.mark.parametrize("kind", sorted(exported.NEEDS))
def test_exported_models_give_the_same_logits(
    kind: str, checkpoint_folder: Path, device: Device, paths: list[Path], tmp_path: Path
) -> None:
    for name in exported.NEEDS[kind]:
        pytest.importorskip(name)
    import numpy as np
    import torch

    field = Field(find_checkpoint(str(checkpoint_folder)), device, tmp_path / "model.onnx")
    windows = made.cut_windows(paths, 32000, 3, 16000)
    field.contender(kind, 2).run(windows)
    forward = exported.FORWARDS[kind](tmp_path / "model.onnx", 1)
    inputs = field.filter_banks(torch.from_numpy(np.stack(windows)))
    np.testing.assert_allclose(forward(inputs), field.classifier.logits(inputs), atol=1e-4)


def test_an_unknown_contender_is_rejected(checkpoint_folder: Path, device: Device, tmp_path: Path) -> None:
    field = Field(find_checkpoint(str(checkpoint_folder)), device, tmp_path / "model.onnx")
    with pytest.raises(BenchError, match="frozen isn't one of this block's paths here: exact, merged"):
        field.contender("frozen", 1)


def test_generated_recordings_are_the_same_every_time(tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    first, again = made.make_recordings(tmp_path, (1,)), made.make_recordings(tmp_path / "again", (1,))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]
    assert [soundfile.info(path).samplerate for path in first] == list(made.RATES_HZ)


def test_windows_start_over_at_the_end_of_the_recordings(paths: list[Path]) -> None:
    windows = made.cut_windows(paths, 32000, 9, 16000)
    assert {window.shape for window in windows} == {(32000,)}
    assert len(windows) == 9
    assert abs(windows[-1]).max() > 0


def test_a_folder_without_recordings_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is not a folder"):
        command.main(["--quick", "--out", str(tmp_path / "out"), "--audio", str(tmp_path / "nothing")])
    with pytest.raises(BenchError, match="has no recordings"):
        made.find_recordings(tmp_path)


def test_the_higher_of_two_peaks_counts() -> None:
    low, high = gemm.Peak("float32", 1e9, "one"), gemm.Peak("float32", 2e9, "other")
    assert gemm.higher(None, low) is low
    assert gemm.higher(low, high) is high
    assert gemm.higher(high, low) is high


def test_starts_are_timed_only_if_transform_exits_as_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    assert start.PROGRAM == ROOT / "transform.py"
    monkeypatch.setattr(start, "TIMES", 1)
    assert [one.what for one in start.measure()] == list(start.CASES)
    monkeypatch.setattr(start, "CASES", {"--help": (["--help"], 3)})
    with pytest.raises(BenchError, match="exited with 0; expected 3"):
        start.measure()
