"""Metrics as text: the same on the terminal and in the report."""

from __future__ import annotations

import math
from collections.abc import Iterable

from block.evaluation.bootstrap import Estimate
from block.evaluation.evaluation import Evaluation


def format_number(value: float, places: int = 3) -> str:
    """Return a metric as printed; a dash where it is not defined."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value:.{places}f}"
    if float(text) == 0:
        text = text.lstrip("-")  # nobody expects −0.000
    return text.replace("-", "−")


def format_change(value: float) -> str:
    """Return a difference with its sign."""
    text = format_number(value)
    return f"+{text}" if value > 0 else text


def format_interval(estimate: Estimate, places: int = 3) -> str:
    """Return an estimate's 95 % interval; empty where there is none."""
    if math.isnan(estimate.low):
        return ""
    return f"{format_number(estimate.low, places)}…{format_number(estimate.high, places)}"


def format_change_interval(estimate: Estimate) -> str:
    """Return the 95 % interval of a difference; empty where there is none."""
    if math.isnan(estimate.low):
        return ""
    return f"{format_change(estimate.low)}…{format_change(estimate.high)}"


def format_thresholds(thresholds: Iterable[float]) -> str:
    """Return the thresholds of a label; there are several where classes share a name."""
    return ", ".join(f"{value:.4g}" for value in thresholds)


def format_count(amount: int, word: str) -> str:
    """Return `1 clip`, `2 clips`."""
    return f"{amount} {word}{'s' * (amount != 1)}"


def describe_completeness(evaluation: Evaluation) -> str:
    """Return how labels that are not annotated were understood."""
    if evaluation.facts.exhaustive:
        return "The annotations are taken as exhaustive (--exhaustive): a label that is not noted for a file is absent."
    text = (
        "A label that occurs in the annotations counts as absent from every annotated file it is not noted for; "
        "labels that never occur in them are not judged"
    )
    if names := evaluation.ground_truth.unjudged_names:
        return f"{text}: {', '.join(names)}. --exhaustive counts these as absent everywhere."
    return f"{text} (here, all labels of interest occur)."
