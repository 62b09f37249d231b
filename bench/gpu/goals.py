"""What follows from facts of several steps: shares of the matrix bound, ratios to the pipeline, and the goals."""

from __future__ import annotations

from dataclasses import replace

from bench.audit import compute_long_run
from bench.flops import Shape, count_flops
from bench.gpu.facts import DONE, OK, SIMULATED, WRONG, Fact, ProofReport, StepReport, goal
from bench.gpu.sizes import Sizes

MAIN_MS = 2000
FULL_SIZE = Shape(hidden=768, intermediate=3072, layers=12, patch=16, patches=1212, classes=527)
BOUND_GOAL, PIPELINE_GOAL, FAST_GOAL, FEED_GOAL = 0.7, 5.0, 2.0, 1.0
NAME = "goals"
FAST_PATHS = ("merged", "merged-32")


def add_goals(report: ProofReport, sizes: Sizes) -> None:
    """Add a step with what follows from the others, as far as they got. In the dry form, nothing is judged."""
    step = StepReport(NAME, _derive(report, sizes), DONE)
    report.steps = [one for one in report.steps if one.name != NAME] + [step]
    if report.is_dry:
        for one in report.steps:
            one.facts = [_mark_dry(fact) for fact in one.facts]


def _mark_dry(fact: Fact) -> Fact:
    # What is wrong on a CPU is wrong; what is right there says nothing about a GPU.
    return replace(fact, verdict=SIMULATED) if fact.verdict not in (WRONG, "info") else fact


def _derive(report: ProofReport, sizes: Sizes) -> list[Fact]:
    facts: list[Fact] = []
    half = str(next((fact.value for fact in report.facts if fact.key == "device.half"), "bfloat16"))
    peak = report.find(f"peak.{half}")
    flops = count_flops(FULL_SIZE).total
    bound = None if peak is None or report.is_dry else peak * 1e12 / flops
    if bound is not None:
        facts.append(Fact("bound", "windows at the matrix peak, all padding computed", bound, "windows/s"))
    for length_ms in sizes.lengths_ms:
        rate = report.find(f"end_to_end.exact.{length_ms}")
        peer = report.find(f"pipeline.{length_ms}")
        text = f"exact, {length_ms / 1000:g} s, end to end from files"
        if rate is None:
            continue
        if bound is not None:
            facts.append(
                _set(f"share.{length_ms}", f"{text}: share of the matrix bound", rate / bound, BOUND_GOAL, length_ms)
            )
        if peer:
            facts.append(
                _set(f"ratio.{length_ms}", f"{text}: times the pipeline's speed", rate / peer, PIPELINE_GOAL, length_ms)
            )
    exact = report.find(f"end_to_end.exact.{MAIN_MS}")
    # The opening audit tries them all, and the run takes the fastest.
    fast = {path: rate for path in FAST_PATHS if (rate := report.find(f"end_to_end.{path}.{MAIN_MS}"))}
    if exact and fast:
        path, *others = sorted(fast, key=lambda path: -fast[path])
        others_s = sum(1 / fast[other] for other in others)
        run = compute_long_run(path, 1 / fast[path], 1 / exact, 1 / exact, others_s)
        text = f"fast mode with its audit, {MAIN_MS / 1000:g} s, {run.windows} windows (calculated): times exact mode"
        facts.append(goal("fast.ratio", text, run.ratio, FAST_GOAL))
    feed, forward = report.find(f"feed.{MAIN_MS}"), report.find("forward.exact")
    if feed and forward:
        text = "decoding, features and decisions by themselves: times the speed of the forward pass"
        facts.append(goal("feed.ratio", text, feed / forward, FEED_GOAL))
    return facts


def _set(key: str, text: str, value: float, limit: float, length_ms: int) -> Fact:
    """Return a goal at 2 s, for which goals are set; a figure at other lengths."""
    return goal(key, text, value, limit) if length_ms == MAIN_MS else Fact(key, text, value)


def count_verdicts(report: ProofReport) -> dict[str, int]:
    """Return how many facts have each verdict."""
    counts: dict[str, int] = {}
    for fact in report.facts:
        counts[fact.verdict] = counts.get(fact.verdict, 0) + 1
    return {verdict: counts[verdict] for verdict in sorted(counts, key=lambda one: (one != OK, one))}
