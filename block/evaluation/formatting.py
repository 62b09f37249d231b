"""Format metrics as text, the same on the terminal and in the report."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from block.evaluation.bootstrap import Estimate
from block.evaluation.evaluation import Evaluation
from block.evaluation.event_based import Collars
from block.formatting import list_first, make_printable

MOST_LISTED = 10


def format_number(value: float, places: int = 3) -> str:
    """Return a metric as text; a dash if it is not defined."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value:.{places}f}"
    if float(text) == 0:
        text = text.lstrip("-")  # no −0.000
    return text.replace("-", "−")


def format_change(value: float) -> str:
    """Return a difference with its sign."""
    text = format_number(value)
    return f"+{text}" if value > 0 else text


def format_interval(estimate: Estimate, places: int = 3) -> str:
    """Return the 95 % interval of an estimate; empty if there is none."""
    if math.isnan(estimate.low):
        return ""
    return f"{format_number(estimate.low, places)}…{format_number(estimate.high, places)}"


def format_change_interval(estimate: Estimate) -> str:
    """Return the 95 % interval of a difference; empty if there is none."""
    if math.isnan(estimate.low):
        return ""
    return f"{format_change(estimate.low)}…{format_change(estimate.high)}"


def format_thresholds(thresholds: Iterable[float]) -> str:
    """Return the thresholds of a label, of which there may be several if classes share a name."""
    return ", ".join(f"{value:.4g}" for value in thresholds)


def describe_collars(collars: Collars) -> str:
    """Return how far a correct event may begin and end from the annotated one."""
    seconds, percent = f"{collars.seconds:g} s", f"{collars.share * 100:g} %"
    return f"start within {seconds}, end within {seconds} or {percent} of the length"


def list_names(names: Sequence[str]) -> str:
    """Return names for a message, separated by commas. After ten names, say only how many more there are."""
    return list_first([make_printable(name) for name in names], MOST_LISTED)


def describe_completeness(evaluation: Evaluation) -> str:
    """Return what a missing annotation means in this evaluation."""
    if evaluation.facts.exhaustive:
        return "The annotations count as complete (--exhaustive): a file has no labels but those annotated."
    text = (
        "If a label occurs in the annotations, it counts as absent from every annotated file that doesn't have it. "
        "Labels that never occur in the annotations are not judged"
    )
    if names := evaluation.ground_truth.unjudged_names:
        return f"{text}: {', '.join(names)}. With --exhaustive, they count as absent everywhere."
    return f"{text}; here, all labels of interest occur."
