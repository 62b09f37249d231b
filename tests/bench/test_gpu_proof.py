"""The GPU proof: what it calls wrong, how it continues after a step that fails, and its dry form from start to end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from bench.flops import count_flops, read_shape
from bench.gpu import facts, page, svg
from bench.gpu.facts import DONE, FAILED, LEFT_OUT, Fact, ProofReport, StepReport, check, goal
from bench.gpu.goals import FULL_SIZE, add_goals
from bench.gpu.sizes import BUDGETS_S, FULL, STEPS
from bench.gpu.supervisor import Supervisor
from bench.gpu.table import format_report
from bench.gpu.worker import is_device_lost
from block.model.model_config import ModelConfig
from tests.conftest import ROOT

# What the proof can't count on. transformers looks for some of these itself.
HIDDEN = ("soundfile", "av", "pyarrow", "ray", "sklearn", "jinja2", "matplotlib", "starlette", "uvicorn", "onnx")
HIDE = f"""
import sys
from importlib.machinery import PathFinder

class Hiding(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name in {HIDDEN!r} else super().find_spec(name, path, target)

sys.meta_path[:] = [Hiding if finder is PathFinder else finder for finder in sys.meta_path]
"""


class FakeWorker:
    """A worker's process whose lines are there at once. It ends with `code`, or never if that's None."""

    def __init__(self, file: Path, lines: Sequence[dict[str, Any]], code: int | None) -> None:
        with file.open("a") as out:
            out.writelines(json.dumps(line) + "\n" for line in lines)
        self.code, self.is_killed = code, False

    def poll(self) -> int | None:
        return self.code

    def kill(self) -> None:
        self.is_killed = True

    def wait(self) -> int:
        return -9


def one_fact(key: str) -> dict[str, Any]:
    return {"fact": vars(Fact(key, key, 1.0))}


def supervise(
    tmp_path: Path, names: Sequence[str], workers: Callable[[Path, Sequence[str]], FakeWorker], limit_s: float = 1e6
) -> tuple[ProofReport, list[list[str]]]:
    """Run a supervisor whose clock moves by a second with each pause. Return its report and the steps of each start."""
    report = ProofReport("1.0", False, steps=[StepReport(name) for name in names])
    started: list[list[str]] = []
    now = [0.0]
    lines = tmp_path / "lines.jsonl"

    def launch(steps: Sequence[str]) -> FakeWorker:
        started.append(list(steps))
        return workers(lines, steps)

    def pause(seconds: float) -> None:
        now[0] += 1

    Supervisor(
        report, lines, launch, limit_s, 1.5, lambda line: None, clock=lambda: now[0], pause=pause
    ).run()  # fmt: skip
    return report, started


def test_a_step_that_kills_the_worker_costs_only_itself(tmp_path: Path) -> None:
    def work(lines: Path, steps: Sequence[str]) -> FakeWorker:
        if steps[0] == "device":
            ended = [{"step": "device"}, one_fact("a"), {"end": "device", "failed": ""}]
            return FakeWorker(lines, [*ended, {"step": "exact"}, one_fact("b")], -11)
        return FakeWorker(lines, [{"step": "memory"}, one_fact("c"), {"end": "memory", "failed": ""}], 0)

    report, started = supervise(tmp_path, ["device", "exact", "memory"], work)
    assert started == [["device", "exact", "memory"], ["memory"]]
    assert [step.state for step in report.steps] == [DONE, FAILED, DONE]
    assert [fact.key for fact in report.facts] == ["a", "b", "c"]
    assert report.problems == ["exact: failed: the process ended with code -11 in the middle of this step"]


def test_a_step_that_hangs_is_stopped_and_the_rest_continues(tmp_path: Path) -> None:
    workers: list[FakeWorker] = []

    def work(lines: Path, steps: Sequence[str]) -> FakeWorker:
        if steps[0] == "device":
            workers.append(FakeWorker(lines, [{"step": "device"}, one_fact("a")], None))
        else:
            workers.append(FakeWorker(lines, [{"step": "exact"}, {"end": "exact", "failed": ""}], 0))
        return workers[-1]

    report, _ = supervise(tmp_path, ["device", "exact"], work)
    assert workers[0].is_killed
    assert [step.state for step in report.steps] == [FAILED, DONE]
    assert report.steps[0].reason == f"stopped after {BUDGETS_S['device'] * 1.5:.0f} s"
    assert [fact.key for fact in report.steps[0].facts] == ["a"]


def test_a_step_that_raises_is_reported_and_the_worker_continues(tmp_path: Path) -> None:
    def work(lines: Path, steps: Sequence[str]) -> FakeWorker:
        failed = [{"step": "device"}, {"end": "device", "failed": "ValueError: no"}]
        return FakeWorker(lines, [*failed, {"step": "exact"}, {"end": "exact", "failed": ""}], 0)

    report, started = supervise(tmp_path, ["device", "exact"], work)
    assert len(started) == 1
    assert report.problems == ["device: failed: ValueError: no"]


def test_a_machine_where_nothing_starts_is_asked_once(tmp_path: Path) -> None:
    report, started = supervise(
        tmp_path, ["device", "exact"], lambda lines, steps: FakeWorker(lines, [{"broken": "no CUDA device"}], 1)
    )
    assert len(started) == 1
    assert {(step.state, step.reason) for step in report.steps} == {(LEFT_OUT, "no CUDA device")}
    assert len(report.problems) == 2


def test_steps_without_time_are_wrong_and_a_golden_step_no_one_asked_for_is_not(tmp_path: Path) -> None:
    def work(lines: Path, steps: Sequence[str]) -> FakeWorker:
        left_out = {"step": "golden", "left_out": f"{facts.NOT_ASKED}: MODEL"}
        return FakeWorker(lines, [left_out, {"step": "device"}], None)

    report, _ = supervise(tmp_path, ["golden", "device", "exact"], work, limit_s=3)
    assert report.problems == [
        "device: failed: stopped: the proof may take 3 s", "exact: left out: no time left",
    ]  # fmt: skip


def test_a_step_without_checks_may_fail() -> None:
    report = ProofReport("1.0", False, steps=[StepReport("compile", [], FAILED, "no compiler")])
    assert report.problems == []


@pytest.mark.parametrize(
    ("text", "is_lost"),
    [
        ("CUDA error: an illegal memory access was encountered", True),
        ("CUDA out of memory. Tried to allocate 2 GiB", False),
        ("CUDA error: out of memory", False),
        ("expected 3 windows", False),
    ],
)
def test_only_errors_that_break_the_gpus_context_end_the_worker(text: str, is_lost: bool) -> None:
    assert is_device_lost(RuntimeError(text)) == is_lost


@pytest.mark.parametrize(
    ("fact", "verdict"),
    [
        (check("a", "a", 1e-4, 1e-3), "ok"), (check("a", "a", 2e-3, 1e-3), "wrong"),
        (check("a", "a", float("nan"), 1e-3), "wrong"), (check("a", "a", 0.99, 0.995, at_least=True), "wrong"),
        (check("a", "a", 1.0, 1.0, at_least=True), "ok"), (goal("a", "a", 0.5, 0.7), "missed"),
        (goal("a", "a", 0.7, 0.7), "met"),
    ],
)  # fmt: skip
def test_a_fact_is_judged_by_its_limit(fact: Fact, verdict: str) -> None:
    assert fact.verdict == verdict
    report = ProofReport("1.0", False, steps=[StepReport("device", [fact], DONE)])
    assert bool(report.problems) == (verdict == "wrong")


def proof(is_dry: bool = False, **more: float) -> ProofReport:
    """Return a proof of a GPU with a peak of 780 TFLOP/s."""
    found = {
        "peak.bfloat16": 780.0, "end_to_end.exact.2000": 2100.0, "end_to_end.merged.2000": 6000.0,
        "end_to_end.exact.1000": 2000.0, "pipeline.2000": 300.0, "forward.exact": 2300.0, "feed.2000": 9000.0,
        "exact.logits.large": float("nan"), **more,
    }  # fmt: skip
    given = [Fact("device.name", "device", "Some GPU"), *(Fact(key, key, value) for key, value in found.items())]
    report = ProofReport("1.0", is_dry, {"cpu": "a CPU", "cores": 2}, [StepReport("device", given, DONE)])
    add_goals(report, FULL)
    return report


def test_goals_follow_from_the_facts_of_several_steps() -> None:
    report = proof()
    bound = 780e12 / count_flops(FULL_SIZE).total
    assert report.find("bound") == pytest.approx(bound)
    assert report.find("share.2000") == pytest.approx(2100 / bound)
    assert report.find("ratio.2000") == pytest.approx(7.0)
    assert report.find("ratio.1000") is None  # the pipeline wasn't measured there
    assert report.find("feed.ratio") == pytest.approx(9000 / 2300)
    # 2.7 % of the windows are computed exactly, too.
    ratio = report.find("fast.ratio") or 0
    assert 2.5 < ratio < 6000 / 2100
    assert (proof(**{"end_to_end.merged-32.2000": 8000.0}).find("fast.ratio") or 0) > ratio
    verdicts = {fact.key: fact.verdict for fact in report.facts}
    assert verdicts["share.2000"] == verdicts["ratio.2000"] == verdicts["fast.ratio"] == "met"
    assert verdicts["share.1000"] == "info"


def test_the_arithmetic_of_the_bound_is_that_of_the_full_size_model() -> None:
    assert read_shape({**vars(ModelConfig()), "id2label": dict.fromkeys(range(527))}) == FULL_SIZE


def test_a_dry_form_is_marked_everywhere_and_judges_nothing() -> None:
    report = proof(is_dry=True)
    assert not {fact.verdict for fact in report.facts} & {"ok", "met", "missed"}
    assert report.find("bound") is None
    assert "DRY FORM" in format_report(report)
    assert "DRY FORM" in svg.draw(report, FULL)
    assert report.to_json()["is_dry"] is True


def test_a_proof_comes_back_from_its_json(tmp_path: Path) -> None:
    report = proof()
    facts.write_json(report, tmp_path / "gpu.json")
    text = (tmp_path / "gpu.json").read_text()
    assert "NaN" not in text
    again = facts.read_report(json.loads(text))
    assert [fact.key for fact in again.facts] == [fact.key for fact in report.facts]
    assert again.find("share.2000") == report.find("share.2000")
    with pytest.raises(ValueError, match="not the JSON of a GPU proof"):
        facts.read_report({"kind": "bench"})


def test_the_plot_is_an_image_with_a_bar_for_every_rate() -> None:
    report = proof()
    image = ElementTree.fromstring(svg.draw(report, FULL))
    bars = svg.collect_bars(report, FULL)
    assert [bar.value for bar in bars] == [2000, 300, 2100, 6000, 9000, report.find("bound")]
    rectangles = image.findall("{http://www.w3.org/2000/svg}rect")
    widths = [float(one.attrib["width"]) for one in rectangles[1:]]
    assert widths.index(max(widths)) == 4
    ElementTree.fromstring(svg.draw(ProofReport("1.0", False), FULL))


def test_the_page_holds_what_the_proofs_in_docs_say() -> None:
    content = page.PAGE.read_text(encoding="utf-8")
    assert content == page.write_table(content, page.read_results())


def test_without_a_proof_every_cell_says_so_and_with_one_none_does(tmp_path: Path) -> None:
    empty = page.format_table(page.read_results(tmp_path)).splitlines()[2:]
    assert len(empty) == len(page.ROWS)
    assert all(line.endswith("| not run yet |") for line in empty)
    facts.write_json(proof(), tmp_path / "gpu-some.json")
    filled = page.format_table(page.read_results(tmp_path))
    assert "not run yet" not in filled
    assert "| Some GPU |" in filled
    assert "| 2,100 |" in filled


def test_a_dry_form_never_gets_into_the_page(tmp_path: Path) -> None:
    facts.write_json(proof(is_dry=True), tmp_path / "gpu-dry.json")
    with pytest.raises(ValueError, match="dry form"):
        page.read_results(tmp_path)


def test_the_steps_fit_in_eight_minutes() -> None:
    assert sum(BUDGETS_S.values()) <= 470
    assert set(STEPS) == set(BUDGETS_S)


@pytest.mark.slow
def test_the_dry_form_runs_every_step_without_packages_that_may_be_missing(tmp_path: Path) -> None:
    (tmp_path / "hide").mkdir()
    (tmp_path / "hide" / "sitecustomize.py").write_text(HIDE)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "hide"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "bench", "gpu", "--dry", "--out", str(tmp_path / "out")],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    log = (tmp_path / "out" / "gpu.log").read_text()
    assert done.returncode == 0, done.stdout + done.stderr + log
    assert "DRY FORM" in done.stdout
    written = json.loads((tmp_path / "out" / "gpu.json").read_text())
    report = facts.read_report(written)
    states = {step.name: step.state for step in report.steps}
    assert states.pop("golden") == LEFT_OUT
    assert set(states) == {*STEPS, "goals"} - {"golden"}
    assert set(states.values()) == {DONE}
    assert all(step.facts for step in report.steps if step.name != "golden")
    ElementTree.fromstring((tmp_path / "out" / "gpu.svg").read_text())
    # The page shows facts that the steps write. Some of them need a GPU, or the published checkpoint.
    found = {fact.key for fact in report.facts} | {"memory.share_most.1000", "golden.float32", "golden.bfloat16"}
    shown = {key.replace(".10000", ".1000") for key, _, _ in page.ROWS} - {"share.2000"}
    assert shown <= found


@pytest.mark.slow
def test_without_a_gpu_the_proof_says_so_and_exits_with_1(tmp_path: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    done = subprocess.run(
        [sys.executable, "-m", "bench", "gpu", "--out", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "PyTorch finds no CUDA device; for a trial on a CPU: python -m bench gpu --dry" in done.stdout
