"""All figures of one evaluation, from what is true and what was answered: arrays in, estimates out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from block.evaluation.bootstrap import Bools, Estimate, Floats, Resamples, estimate
from block.evaluation.ranking import Ranked, average_precision, d_prime, d_primes, roc_auc
from block.evaluation.rates import RateTable, confusion, mean_over, table, whole
from block.evaluation.segment_based import Counts


@dataclass(frozen=True, eq=False)
class Detections:
    """What was answered about each clip. The columns are the targets, in the user's order.

    `scores`, shape `(clips, targets)`: the highest of any window. `reached`, the same shape: the label's own threshold
    was reached, whatever the others did. `given`, the same shape: a part of the clip got the label in the end. `top`,
    shape `(clips,)`: the target that the part with the highest score got, -1 where all got the other label. `detected`
    and `labelled` count segments, for strong labels, of `reached` and `given`.
    """

    scores: Floats
    reached: Bools
    given: Bools
    top: npt.NDArray[np.intp]
    detected: Counts | None = None
    labelled: Counts | None = None


@dataclass(frozen=True)
class Ranking:
    """A ranking figure of each label and its mean over those that have one; `draws`, shape `(draws, labels)`."""

    labels: tuple[Estimate, ...]
    mean: Estimate
    draws: Floats
    mean_draws: Floats


@dataclass(frozen=True, eq=False)
class Metrics:
    """Everything that is said of one way to label. Labels are the judged `columns` of the targets, in their order.

    `clips` are behind every figure, `positives` of them have the label. `detector` holds each label to its own
    threshold alone, `decided` is after the single-label decision; the two `…_segments` are the same for strong labels.
    `confusion` has a row a judged label and a column a target, and one more of each, for none.
    """

    columns: tuple[int, ...]
    clips: int
    positives: tuple[int, ...]
    average_precision: Ranking
    roc_auc: Ranking
    d_prime: tuple[Estimate, ...]
    mean_d_prime: Estimate
    detector: RateTable
    decided: RateTable
    confusion: npt.NDArray[np.intp]
    detector_segments: RateTable | None = None
    decided_segments: RateTable | None = None


def figures(present: Bools, judged: Bools, answers: Detections, resamples: Resamples) -> Metrics:
    """Hold `answers` to `present`, shape `(clips, targets)`; only targets that are `judged`, shape `(targets,)`."""
    columns = np.flatnonzero(judged)
    truth, scores = present[:, columns], answers.scores[:, columns]
    precision = _ranking(truth, scores, average_precision, Ranked.average_precision, resamples)
    area = _ranking(truth, scores, roc_auc, Ranked.roc_auc, resamples)
    d_labels = tuple(estimate(d_prime(one.value), d_primes(area.draws[:, at])) for at, one in enumerate(area.labels))
    return Metrics(
        tuple(columns.tolist()),
        len(truth),
        tuple(truth.sum(axis=0).tolist()),
        precision,
        area,
        d_labels,
        # As in AudioSet's own evaluations: d′ of the mean AUC, not the mean of d′, which one label makes infinite.
        estimate(d_prime(area.mean.value), d_primes(area.mean_draws)),
        whole(answers.reached[:, columns], truth, resamples),
        whole(answers.given[:, columns], truth, resamples),
        confusion(truth, answers.top, present.shape[1]),
        _segments(answers.detected, columns, resamples),
        _segments(answers.labelled, columns, resamples),
    )


def _segments(counts: Counts | None, columns: npt.NDArray[np.intp], resamples: Resamples) -> RateTable | None:
    if counts is None:
        return None
    return table(counts.right[:, columns], counts.found[:, columns], counts.there[:, columns], resamples)


def _ranking(
    truth: Bools,
    scores: Floats,
    exact: Callable[[Bools, Floats], float],
    weighted: Callable[[Ranked, Floats], Floats],
    resamples: Resamples,
) -> Ranking:
    labels = range(truth.shape[1])
    values = np.array([exact(truth[:, at], scores[:, at]) for at in labels])
    ranked = [Ranked(truth[:, at], scores[:, at]) for at in labels]
    draws = resamples.of(lambda weights: np.stack([weighted(one, weights) for one in ranked], axis=1))
    means = mean_over(draws.T)
    return Ranking(
        tuple(estimate(float(values[at]), draws[:, at]) for at in labels),
        estimate(float(mean_over(values)), means),
        draws,
        means,
    )


@dataclass(frozen=True)
class Difference:
    """A figure under two ways to label, and how much more the second gives; the interval is of paired draws."""

    first: float
    second: float
    more: Estimate


def difference(first: Estimate, second: Estimate, first_draws: Floats, second_draws: Floats) -> Difference:
    """Compare a figure of the same clips under two ways, from draws of the same clips, shape `(draws,)`."""
    with np.errstate(invalid="ignore"):  # two infinite d′ have no difference
        return Difference(first.value, second.value, estimate(second.value - first.value, second_draws - first_draws))
