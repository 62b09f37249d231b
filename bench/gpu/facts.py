"""What the proof finds out, fact by fact, and how it is written as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

INFO = "info"  # a figure without a limit
OK, WRONG = "ok", "wrong"  # a check
MET, MISSED = "met", "missed"  # a goal, set for an H100 or H200
SIMULATED = "dry"  # a check or goal in the dry form, which proves nothing about a GPU
DONE, FAILED, LEFT_OUT = "done", "failed", "left out"
NOT_ASKED = "not asked for"  # what the reason of such a step begins with
ONLY_FIGURES = ("kernels", "compile")  # steps without checks


@dataclass(frozen=True)
class Fact:
    """One finding. `key` names it in JSON, `text` in the table; `expected` is its limit as text, empty without one."""

    key: str
    text: str
    value: float | str
    unit: str = ""
    expected: str = ""
    verdict: str = INFO


def check(key: str, text: str, value: float, limit: float, unit: str = "", *, at_least: bool = False) -> Fact:
    """Return a check: wrong if `value` is above `limit`, or below it with `at_least`, or not a number."""
    return _judge(key, text, value, limit, unit, at_least, (OK, WRONG))


def goal(key: str, text: str, value: float, limit: float, unit: str = "") -> Fact:
    """Return a goal: met if `value` is at least `limit`."""
    return _judge(key, text, value, limit, unit, True, (MET, MISSED))


def require(key: str, text: str, is_right: bool, value: str) -> Fact:
    """Return a check without a number."""
    return Fact(key, text, value, verdict=OK if is_right else WRONG)


def _judge(
    key: str, text: str, value: float, limit: float, unit: str, at_least: bool, verdicts: tuple[str, str]
) -> Fact:
    passed = math.isfinite(value) and (value >= limit if at_least else value <= limit)
    return Fact(key, text, value, unit, f"{'≥' if at_least else '≤'} {limit:g}", verdicts[0 if passed else 1])


@dataclass
class StepReport:
    """The result of one step: its facts so far, how it ended, and why it failed or was left out."""

    name: str
    facts: list[Fact] = field(default_factory=list)
    state: str = LEFT_OUT
    reason: str = ""
    seconds: float = 0.0

    @property
    def is_fine(self) -> bool:
        """True unless a step that checks something failed, or was left out although it was asked for."""
        return self.state == DONE or self.name in ONLY_FIGURES or self.reason.startswith(NOT_ASKED)


@dataclass
class ProofReport:
    """A whole proof. `machine` describes it; with `is_dry`, everything ran on a CPU at a small size."""

    version: str
    is_dry: bool
    machine: dict[str, Any] = field(default_factory=dict)
    steps: list[StepReport] = field(default_factory=list)
    took_s: float = 0.0

    @property
    def facts(self) -> Iterator[Fact]:
        return (fact for step in self.steps for fact in step.facts)

    @property
    def problems(self) -> list[str]:
        """Everything that is wrong, one line each. Missed goals aren't wrong: they are set for an H100 or H200."""
        lines = [f"{step.name}: {step.state}: {step.reason}" for step in self.steps if not step.is_fine]
        lines += [
            f"{fact.text}: {fact.value}, expected {fact.expected}" for fact in self.facts if fact.verdict == WRONG
        ]
        return lines

    def find(self, key: str) -> float | None:
        """Return the number found under `key`; None if there is none."""
        found = (fact.value for fact in self.facts if fact.key == key)
        return next((value for value in found if isinstance(value, (int, float))), None)

    def to_json(self) -> dict[str, Any]:
        return {"kind": "gpu-proof", **asdict(self), "problems": self.problems}


def write_json(report: ProofReport, path: Path) -> None:
    """Write a report as JSON, without infinities and NaN, which JSON lacks. Raise OSError if that fails."""
    text = json.dumps(_tame(report.to_json()), indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def read_report(content: Mapping[str, Any]) -> ProofReport:
    """Return the report in a JSON object that `write_json` wrote. Raise ValueError if it's something else."""
    if content.get("kind") != "gpu-proof":
        raise ValueError("not the JSON of a GPU proof: expected the file gpu.json that `make gpu-proof` wrote")
    steps = [StepReport(**{**one, "facts": [Fact(**fact) for fact in one["facts"]]}) for one in content["steps"]]
    return ProofReport(content["version"], content["is_dry"], content["machine"], steps, content["took_s"])


def _tame(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _tame(one) for key, one in value.items()}
    return [_tame(one) for one in value] if isinstance(value, (list, tuple)) else value
