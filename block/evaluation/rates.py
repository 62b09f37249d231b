"""Precision, recall and F1 of yes-or-no answers, with intervals; and the confusion of single labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from block.evaluation.bootstrap import Bools, Estimate, Floats, Resamples, estimate
from block.evaluation.ranking import require

PARTS = ("precision", "recall", "f1")


@dataclass(frozen=True)
class Rates:
    """Precision, recall and F1, each in 0…1 with its interval.

    Precision is NaN where nothing was found, recall where nothing is there, F1 where both are so.
    """

    precision: Estimate
    recall: Estimate
    f1: Estimate


@dataclass(frozen=True)
class RateTable:
    """`Rates` of each label, their mean over labels (`macro`), and those of all answers together (`micro`)."""

    labels: tuple[Rates, ...]
    macro: Rates
    micro: Rates
    macro_f1_draws: Floats
    f1_draws: Floats


def rates_of(right: Floats, found: Floats, there: Floats) -> Floats:
    """Precision, recall, F1 from counts of right answers, answers and truths, shape `(…)`; returns `(…, 3)`."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.stack((right / found, right / there, 2 * right / (found + there)), axis=-1)


def table(right: Floats, found: Floats, there: Floats, resamples: Resamples) -> RateTable:
    """Rates from what each clip adds to the counts, shape `(clips, labels)` each, with intervals over clips.

    A clip adds 0 or 1 where it is judged whole, and its number of segments where it is judged in segments. The mean
    over labels is over those that are there at all.
    """
    value = rates_of(right.sum(axis=0), found.sum(axis=0), there.sum(axis=0))
    value_micro = rates_of(right.sum(), found.sum(), there.sum())
    draws = resamples.of(lambda weights: rates_of(weights @ right, weights @ found, weights @ there))
    micro = resamples.of(
        lambda weights: rates_of(
            (weights @ right).sum(axis=1), (weights @ found).sum(axis=1), (weights @ there).sum(axis=1)
        )
    )
    real = there.sum(axis=0) > 0
    value_macro, macro = mean_over(value[real]), mean_over(draws[:, real].swapaxes(0, 1))
    return RateTable(
        tuple(_rates(value[label], draws[:, label]) for label in range(right.shape[1])),
        _rates(value_macro, macro),
        _rates(value_micro, micro),
        macro[:, 2],
        draws[:, :, 2],
    )


def whole(given: Bools, truth: Bools, resamples: Resamples) -> RateTable:
    """Rates of the answers `given` for whole clips against `truth`, both of the shape `(clips, labels)`.

    The same figures as scikit-learn's `precision_recall_fscore_support`.
    """
    return table((given & truth).astype(np.float64), given.astype(np.float64), truth.astype(np.float64), resamples)


def mean_over(values: Floats) -> Floats:
    """The mean over the first axis of what is defined, NaN where nothing is. Shape: `(labels, …)` in, `(…)` out."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(known, values, 0).sum(axis=0) / known.sum(axis=0))


def _rates(value: Floats, draws: Floats) -> Rates:
    """From precision, recall and F1, shape `(3,)`, and their draws, shape `(draws, 3)`."""
    return Rates(*(estimate(float(value[part]), draws[:, part]) for part in range(len(PARTS))))


def confusion(truth: Bools, decided: npt.NDArray[np.intp], columns: int) -> npt.NDArray[np.intp]:
    """How often clips with each label got each label. Shape: `(labels + 1, columns + 1)`.

    `truth` has the shape `(clips, labels)`; `decided`, shape `(clips,)`, is the column that a clip got, -1 for none.
    The last row are the clips without any label, the last column those that got none. A clip with several labels
    stands in the row of each.
    """
    require()
    from sklearn.metrics import confusion_matrix

    labels = truth.shape[1]
    size = max(labels, columns) + 1
    rows: list[int] = []
    got: list[int] = []
    for clip, column in enumerate(decided):
        there: Sequence[int] = np.flatnonzero(truth[clip]).tolist() or [size - 1]
        rows += there
        got += [int(column) if column >= 0 else size - 1] * len(there)
    if not rows:
        return np.zeros((labels + 1, columns + 1), dtype=np.intp)
    square = confusion_matrix(rows, got, labels=range(size))
    return np.asarray(square[np.ix_([*range(labels), size - 1], [*range(columns), size - 1])], dtype=np.intp)
