"""Compute all metrics from arrays of annotations and detections."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from block.evaluation.bootstrap import Bools, Estimate, Floats, LabelMetric, Resamples, estimate, mean_over_labels
from block.evaluation.event_based import EventCounts
from block.evaluation.event_metrics import EventMetrics, PooledMetric, compute_event_metrics
from block.evaluation.ranking import ClipRanking, d_prime
from block.evaluation.rates import LabelCounts, RateTable, compute_clip_rates, compute_rates, count_confusion


@dataclass(frozen=True, eq=False)
class Detections:
    """What was detected in each clip. The columns are the targets, in the user's order.

    `scores`, shape `(clips, targets)`: the highest score of any window. `is_detected`, same shape: the label reached
    its own threshold, regardless of the others. `is_labeled`, same shape: a segment of the clip got the label. `top`,
    shape `(clips,)`: the target of the segment with the highest score, -1 if all segments got the other label. For
    strong labels, `detected_segments` and `labeled_segments` count segments in the same two ways.
    """

    scores: Floats
    is_detected: Bools
    is_labeled: Bools
    top: npt.NDArray[np.intp]
    detected_segments: LabelCounts | None = None
    labeled_segments: LabelCounts | None = None


@dataclass(frozen=True, eq=False)
class Metrics:
    """All metrics of one configuration. Its labels are the judged `columns` of the targets, in their order.

    They come from `clips` clips; `positives` says how many of these have each label. `as_detector` compares each label
    only with its own threshold, `as_labeled` is after the decision for a single label; `segments_…` are the same for
    strong labels, and `events` has metrics of their times. `confusion` has a row per judged label and a column per
    target, plus one of each for no label.
    """

    columns: tuple[int, ...]
    clips: int
    positives: tuple[int, ...]
    average_precision: LabelMetric
    roc_auc: LabelMetric
    d_prime: LabelMetric
    as_detector: RateTable
    as_labeled: RateTable
    confusion: npt.NDArray[np.intp]
    segments_as_detector: RateTable | None = None
    segments_as_labeled: RateTable | None = None
    events: EventMetrics | None = None


def compute_metrics(
    present: Bools,
    is_judged: Bools,
    detections: Detections,
    resamples: Resamples,
    events: EventCounts | None = None,
) -> Metrics:
    """Compare `detections` with `present`, shape `(clips, targets)`, for the targets in `is_judged`, `(targets,)`."""
    columns = np.flatnonzero(is_judged)
    annotated = present[:, columns]
    rankings = [ClipRanking(present[:, column], detections.scores[:, column]) for column in columns]

    def rank(metric: Callable[[ClipRanking, Floats], Floats]) -> LabelMetric:
        values = resamples.apply(lambda weights: np.stack([metric(one, weights) for one in rankings], axis=1))
        return LabelMetric(values, mean_over_labels(values.T))

    def rate_segments(counts: LabelCounts | None) -> RateTable | None:
        if counts is None:
            return None
        parts = (counts.correct, counts.predicted, counts.annotated)
        return compute_rates(LabelCounts(*(part[:, columns] for part in parts)), resamples)

    roc_auc = rank(ClipRanking.roc_auc)
    d_primes = np.vectorize(d_prime, otypes=[np.float64])
    return Metrics(
        tuple(columns.tolist()),
        len(annotated),
        tuple(annotated.sum(axis=0).tolist()),
        rank(ClipRanking.average_precision),
        roc_auc,
        # As in AudioSet's own evaluations: d′ of the mean AUC. A single label can make the mean of d′ infinite.
        LabelMetric(d_primes(roc_auc.values), d_primes(roc_auc.mean_values)),
        compute_clip_rates(detections.is_detected[:, columns], annotated, resamples),
        compute_clip_rates(detections.is_labeled[:, columns], annotated, resamples),
        count_confusion(annotated, detections.top, present.shape[1]),
        rate_segments(detections.detected_segments),
        rate_segments(detections.labeled_segments),
        None if events is None else compute_event_metrics(events, columns, resamples),
    )


@dataclass(frozen=True)
class Difference:
    """A metric of two configurations on the same clips, and the `change` from first to second over paired draws."""

    first: float
    second: float
    change: Estimate


@dataclass(frozen=True)
class MetricComparison:
    """One metric of two configurations: for each judged label, the mean, and, for times, all labels pooled.

    `is_error` is True if less is better.
    """

    name: str
    labels: tuple[Difference, ...]
    mean: Difference
    pooled: Difference | None = None
    is_error: bool = False


def compare(first: Metrics, second: Metrics) -> tuple[MetricComparison, ...]:
    """Compare two configurations on the same clips, metric by metric."""
    others = _list_comparable(second)
    compared = [_compare_metric(name, metric, others[name]) for name, metric in _list_comparable(first).items()]
    if first.events is not None and second.events is not None:
        errors = ("onset error", "offset error")
        pairs = zip(_list_times(first.events).items(), _list_times(second.events).values(), strict=True)
        for (name, metric), other in pairs:
            pooled = _subtract(metric.pooled_values, other.pooled_values)
            one = _compare_metric(name, metric.each, other.each)
            compared.append(replace(one, pooled=pooled, is_error=name in errors))
    return tuple(compared)


def _compare_metric(name: str, first: LabelMetric, second: LabelMetric) -> MetricComparison:
    labels = tuple(_subtract(a, b) for a, b in zip(first.values.T, second.values.T, strict=True))
    return MetricComparison(name, labels, _subtract(first.mean_values, second.mean_values))


def _list_comparable(metrics: Metrics) -> dict[str, LabelMetric]:
    tables = {
        "F1 as detector": metrics.as_detector,
        "F1 as labeled": metrics.as_labeled,
        "segment F1 as detector": metrics.segments_as_detector,
        "segment F1 as labeled": metrics.segments_as_labeled,
    }
    rankings = {"AP": metrics.average_precision, "ROC AUC": metrics.roc_auc}
    return rankings | {name: table.f1 for name, table in tables.items() if table is not None}


def _list_times(events: EventMetrics) -> dict[str, PooledMetric]:
    return {
        "event F1": PooledMetric(events.rates.f1, events.rates.pooled_f1),
        "time right": events.time_right,
        "onset error": events.onset.median,
        "offset error": events.offset.median,
    }


def _subtract(first: Floats, second: Floats) -> Difference:
    """Return the difference of sampled values of the same draws, shape `(1 + draws,)`."""
    with np.errstate(invalid="ignore"):  # the difference of two infinite values is not defined
        return Difference(float(first[0]), float(second[0]), estimate(second - first))
