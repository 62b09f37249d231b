"""Format a proof as text: a table for each step, then what is wrong."""

from __future__ import annotations

import math
from collections.abc import Iterator

from bench.gpu.facts import DONE, INFO, Fact, ProofReport
from bench.gpu.goals import count_verdicts
from block.formatting import count, format_duration

DRY_TITLE = "GPU proof, DRY FORM: every step ran on a CPU at a small size; no figure says anything about a GPU"


def format_report(report: ProofReport) -> str:
    """Return the whole report."""
    return "\n".join(_lines(report)) + "\n"


def format_value(fact: Fact) -> str:
    """Return a fact's value with its unit."""
    if isinstance(fact.value, str):
        return fact.value
    return f"{format_number(fact.value)} {fact.unit}".rstrip()


def format_number(value: float) -> str:
    """Return a number with three or more digits that say something."""
    if not math.isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _lines(report: ProofReport) -> Iterator[str]:
    machine = report.machine
    yield DRY_TITLE if report.is_dry else "GPU proof"
    versions = machine.get("versions") or {}
    packages = ", ".join(f"{name} {version}" for name, version in versions.items())
    yield f"device: {name_device(report)}; {machine.get('cpu', 'unknown CPU')}, {machine.get('cores', '?')} cores"
    yield f"software: block {report.version}, Python {machine.get('python', '?')}, {packages}"
    for step in report.steps:
        yield ""
        ended = "" if step.state == DONE else f": {step.state}: {step.reason}"
        yield f"{step.name} ({format_duration(step.seconds)}){ended}" if step.seconds else f"{step.name}{ended}"
        for fact in step.facts:
            verdict = "" if fact.verdict == INFO else fact.verdict
            expected = f" ({fact.expected})" if fact.expected else ""
            yield f"  {verdict:>6}  {fact.text}: {format_value(fact)}{expected}"
    yield ""
    verdicts = ", ".join(f"{number} {verdict}" for verdict, number in count_verdicts(report).items() if verdict != INFO)
    yield f"took {format_duration(report.took_s)}; {verdicts or 'nothing was judged'}"
    problems = report.problems
    if problems:
        yield f"{count(len(problems), 'problem')}:"
        yield from (f"  {line}" for line in problems)


def name_device(report: ProofReport) -> str:
    """Return the name of the device under test."""
    found = next((fact.value for fact in report.facts if fact.key == "device.name"), None)
    return str(found or report.machine.get("gpu") or "unknown")
