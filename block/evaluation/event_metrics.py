"""Compute the metrics of events from their counts, each with its bootstrap interval over recordings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from block.evaluation.bootstrap import Estimate, Floats, LabelMetric, Resamples, estimate, mean_over_labels
from block.evaluation.event_based import BorderErrors, EventCounts
from block.evaluation.rates import LabelCounts, RateTable, compute_rates

MEDIAN, HIGH = 50, 90  # percent
BLOCK_VALUES = 1 << 22  # weights in memory at once: 32 MB


@dataclass(frozen=True, eq=False)
class PooledMetric:
    """A metric of each label with the mean over labels, and `pooled`: the metric of all labels together.

    `pooled_values` are the sampled values of the latter, shape `(1 + draws,)`.
    """

    each: LabelMetric
    pooled_values: Floats

    @property
    def labels(self) -> tuple[Estimate, ...]:
        return self.each.labels

    @property
    def mean(self) -> Estimate:
        return self.each.mean

    @property
    def pooled(self) -> Estimate:
        return estimate(self.pooled_values)


@dataclass(frozen=True, eq=False)
class BorderMetric:
    """The median and the 90th percentile of how far borders are off, in seconds, early or late."""

    median: PooledMetric
    high: PooledMetric


@dataclass(frozen=True, eq=False)
class EventMetrics:
    """All metrics of events. `events` and `pairs` are numbers for each label: annotated events, and those with a pair.

    `rates` are those of events within the collars. `onset` and `offset` are errors of the pairs of `pair_events`.
    `time_right` is the share of a label's annotated time that got the label; pooled, the share of all judged time with
    the right label or, where none is annotated, without one.
    """

    events: tuple[int, ...]
    pairs: tuple[int, ...]
    rates: RateTable
    onset: BorderMetric
    offset: BorderMetric
    time_right: PooledMetric


def compute_event_metrics(counts: EventCounts, columns: npt.NDArray[np.intp], resamples: Resamples) -> EventMetrics:
    """Return the metrics of the labels in `columns`."""
    parts = (counts.events.correct, counts.events.predicted, counts.events.annotated)
    events = LabelCounts(*(part[:, columns] for part in parts))
    errors = counts.errors
    return EventMetrics(
        tuple(events.annotated.sum(axis=0).astype(int).tolist()),
        tuple(int(np.count_nonzero(errors.labels == column)) for column in columns),
        compute_rates(events, resamples),
        _measure_borders(errors, errors.onsets_s, columns, resamples),
        _measure_borders(errors, errors.offsets_s, columns, resamples),
        _measure_time(counts, columns, resamples),
    )


def _measure_time(counts: EventCounts, columns: npt.NDArray[np.intp], resamples: Resamples) -> PooledMetric:
    correct_s, annotated_s = counts.seconds.correct[:, columns], counts.seconds.annotated[:, columns]
    with np.errstate(invalid="ignore", divide="ignore"):
        labels = resamples.apply(lambda weights: (weights @ correct_s) / (weights @ annotated_s))
        pooled = resamples.apply(lambda weights: (weights @ counts.right_s) / (weights @ counts.judged_s))
    return PooledMetric(LabelMetric(labels, mean_over_labels(labels.T)), pooled)


def _measure_borders(
    errors: BorderErrors, errors_s: Floats, columns: npt.NDArray[np.intp], resamples: Resamples
) -> BorderMetric:
    groups = [errors.labels == column for column in columns]
    sizes_s = np.abs(errors_s)

    def measure(percent: int) -> PooledMetric:
        def rank(chosen: npt.NDArray[np.bool_]) -> Floats:
            values, clips = sizes_s[chosen], errors.clips[chosen]
            return resamples.apply(lambda weights: find_percentile(values, weights, clips, percent))

        labels = np.stack([rank(group) for group in groups], axis=1)
        return PooledMetric(LabelMetric(labels, mean_over_labels(labels.T)), rank(np.isin(errors.labels, columns)))

    return BorderMetric(measure(MEDIAN), measure(HIGH))


def find_percentile(values: Floats, weights: Floats, clips: npt.NDArray[np.intp], percent: int) -> Floats:
    """Return the smallest of the values that `percent` of them don't exceed, for each draw. Shape: `(draws,)`.

    Values and their `clips` have the shape `(values,)`; each value counts as often as `weights`, shape
    `(draws, clips)`, says. NaN if none counts. This is NumPy's percentile with method "inverted_cdf".
    """
    order = np.argsort(values, kind="stable")
    values, clips = np.append(values[order], np.nan), clips[order]
    found = []
    block = max(1, BLOCK_VALUES // max(1, len(clips)))
    for first in range(0, len(weights), block):
        counted = np.cumsum(weights[first : first + block][:, clips], axis=1)
        totals = counted[:, -1:] if len(clips) else np.zeros((len(weights[first : first + block]), 1))
        places = (counted * 100 < totals * percent).sum(axis=1)  # whole numbers: no rounding
        found.append(np.where(totals[:, 0] > 0, values[places], np.nan))
    return np.concatenate(found)
