"""Compute precision, recall and F1 of yes-or-no decisions, with intervals, and the confusion of single labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from block.evaluation.bootstrap import Bools, Estimate, Floats, LabelMetric, Resamples, estimate, mean_over_labels


@dataclass(frozen=True)
class Rates:
    """Precision, recall and F1, each in 0…1 with its interval.

    Precision is NaN if nothing was predicted, recall if nothing is annotated, F1 if both.
    """

    precision: Estimate
    recall: Estimate
    f1: Estimate


@dataclass(frozen=True, eq=False)
class RateTable:
    """The rates of each label, their mean over labels (`macro`), and the rates of all decisions pooled (`micro`).

    `f1` repeats the F1 of the labels and of `macro`, with all draws, and `pooled_f1`, shape `(1 + draws,)`, that of
    `micro`.
    """

    labels: tuple[Rates, ...]
    macro: Rates
    micro: Rates
    f1: LabelMetric
    pooled_f1: Floats


@dataclass(frozen=True, eq=False)
class LabelCounts:
    """What each clip adds to the numbers of correct, predicted and annotated labels. Shape of each: `(clips, labels)`.

    A clip that is judged as a whole adds 0 or 1; a clip that is judged in segments adds a number of segments.
    """

    correct: Floats
    predicted: Floats
    annotated: Floats


def compute_rates(counts: LabelCounts, resamples: Resamples) -> RateTable:
    """Return rates with intervals over clips. The mean over labels covers only labels that are annotated."""
    parts = (counts.correct, counts.predicted, counts.annotated)
    labels = resamples.apply(lambda weights: _divide(*(weights @ part for part in parts)))
    micro = resamples.apply(lambda weights: _divide(*(weights @ part.sum(axis=1) for part in parts)))
    macro = mean_over_labels(labels[:, counts.annotated.any(axis=0)].swapaxes(0, 1))
    return RateTable(
        tuple(_estimate_rates(labels[:, column]) for column in range(labels.shape[1])),
        _estimate_rates(macro),
        _estimate_rates(micro),
        LabelMetric(labels[..., 2], macro[:, 2]),
        micro[:, 2],
    )


def compute_clip_rates(predicted: Bools, present: Bools, resamples: Resamples) -> RateTable:
    """Return the rates of whole clips, from `predicted` and `present`, both of shape `(clips, labels)`.

    The values equal those of scikit-learn's `precision_recall_fscore_support`.
    """
    counts = LabelCounts(*(part.astype(np.float64) for part in (predicted & present, predicted, present)))
    return compute_rates(counts, resamples)


def _divide(correct: Floats, predicted: Floats, annotated: Floats) -> Floats:
    """Return precision, recall and F1. Shape: `(…)` in, `(…, 3)` out."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.stack((correct / predicted, correct / annotated, 2 * correct / (predicted + annotated)), axis=-1)


def _estimate_rates(values: Floats) -> Rates:
    """Return the estimates of sampled precision, recall and F1, shape `(1 + draws, 3)`."""
    return Rates(*(estimate(column) for column in values.T))


def count_confusion(present: Bools, top: npt.NDArray[np.intp], columns: int) -> npt.NDArray[np.intp]:
    """Return how many clips with each label were given each label. Shape: `(labels + 1, columns + 1)`.

    `present` has the shape `(clips, labels)`; `top`, shape `(clips,)`, is the column that a clip was given, -1 for
    none. The last row counts clips without a label, the last column clips that were given none. A clip with several
    labels counts in each of their rows.
    """
    annotated = np.column_stack((present, ~present.any(axis=1))).astype(np.intp)
    given = (top[:, None] == np.append(np.arange(columns), -1)).astype(np.intp)
    return np.asarray(annotated.T @ given)
