"""Figures in words: the same ones on the terminal and in the report."""

from __future__ import annotations

import math
from collections.abc import Iterable

from block.evaluation.bootstrap import Estimate
from block.evaluation.evaluation import Evaluation

NONE = "–"


def number(value: float, places: int = 3) -> str:
    """A figure as it is printed; a dash where it is not defined."""
    if math.isnan(value):
        return NONE
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value:.{places}f}"
    if float(text) == 0:
        text = text.lstrip("-")  # −0.000 is no number that anybody expects
    return text.replace("-", "−")


def signed(value: float, places: int = 3) -> str:
    """A difference, with its sign."""
    text = number(value, places)
    return f"+{text}" if value > 0 else text


def interval(estimate: Estimate, places: int = 3) -> str:
    """An estimate's 95 % interval; empty where there is none."""
    if math.isnan(estimate.low):
        return ""
    return f"{number(estimate.low, places)}…{number(estimate.high, places)}"


def signed_interval(estimate: Estimate) -> str:
    """Return the 95 % interval of a difference; empty where there is none."""
    return f"{signed(estimate.low)}…{signed(estimate.high)}" if interval(estimate) else ""


def threshold_list(thresholds: Iterable[float]) -> str:
    """Return the thresholds of a label, which are several where classes share a name."""
    return ", ".join(f"{value:.4g}" for value in thresholds)


def with_interval(estimate: Estimate, places: int = 3) -> str:
    """A figure and its interval in brackets."""
    span = interval(estimate, places)
    return f"{number(estimate.value, places)} [{span}]" if span else number(estimate.value, places)


def completeness(evaluation: Evaluation) -> str:
    """How absence from the annotations was read."""
    truth = evaluation.truth
    left_out = [target.name for target, judged in zip(truth.targets, truth.judged, strict=True) if not judged]
    if evaluation.about.exhaustive:
        return "The annotations are taken as exhaustive (--exhaustive): a label that is not noted for a file is absent."
    text = (
        "A label that occurs in the annotations counts as absent from every annotated file it is not noted for; "
        "labels that never occur in them are not judged"
    )
    if left_out:
        return f"{text}: {', '.join(left_out)}. --exhaustive counts these as absent everywhere."
    return f"{text} (here, all labels of interest occur)."


def count(amount: int, word: str) -> str:
    """`1 clip`, `2 clips`."""
    return f"{amount} {word}{'s' * (amount != 1)}"
