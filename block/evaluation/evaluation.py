"""The results of one evaluation: metrics of 1 or 2 configurations, their differences, and suggested thresholds."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from block.decisions import decide_windows
from block.evaluation.agreement import Agreement
from block.evaluation.bootstrap import Resamples
from block.evaluation.event_based import COLLARS, Collars, EventCounts
from block.evaluation.ground_truth import GroundTruth
from block.evaluation.metrics import Detections, MetricComparison, Metrics, compare, compute_metrics
from block.evaluation.outside import OutsideEvent
from block.evaluation.predictions import (
    Clip,
    Prediction,
    count_labeled_events,
    find_reached,
    gather_detections,
    predict,
)
from block.evaluation.rates import Rates, compute_clip_rates, compute_rates
from block.evaluation.thresholds import Fit, Goal, Translation, fit_threshold, translate_threshold
from block.evaluation.time_thresholds import CellTimes, count_times, fit_time_threshold, gather_cell_times
from block.labels import format_label_entry
from block.settings import SCORE_FUNCTIONS, DecisionSettings


@dataclass(frozen=True, eq=False)
class LabelingResult:
    """The labels of one configuration, and their metrics. `name` is empty unless two are compared.

    `events` compares the times of labels with those annotated; None if the annotations have no times.
    """

    name: str
    settings: DecisionSettings
    predictions: tuple[Prediction, ...]
    detections: Detections
    metrics: Metrics
    events: EventCounts | None = None


def evaluate_labels(
    name: str,
    clips: Sequence[Clip],
    settings: DecisionSettings,
    ground_truth: GroundTruth,
    resamples: Resamples,
    segment_s: float | None,
    collars: Collars = COLLARS,
) -> LabelingResult:
    """Label `clips`, one for each of `ground_truth.files`, and compute metrics; of times too with `segment_s`."""
    predictions = tuple(predict(clip, settings) for clip in clips)
    detections = gather_detections(predictions, settings, ground_truth.events, segment_s)
    events = None if segment_s is None else count_labeled_events(predictions, ground_truth, collars)
    metrics = compute_metrics(ground_truth.present, ground_truth.is_judged, detections, resamples, events)
    return LabelingResult(name, settings, predictions, detections, metrics, events)


@dataclass(frozen=True)
class FittedThreshold:
    """A target's suggested threshold. `lines` are its entries for --audioset-labels, unchanged if there is none.

    `before` has the rates of the label as detector at its current threshold, on all clips. `labeled` has the expected
    rates if each clip gets one label under all new thresholds, on held-out clips. With strong labels, these are rates
    of time, and each moment gets one label.
    """

    name: str
    positives: int
    fit: Fit
    lines: tuple[str, ...]
    before: Rates
    labeled: Rates


def fit_thresholds(
    result: LabelingResult, ground_truth: GroundTruth, goal: Goal, resamples: Resamples
) -> tuple[FittedThreshold, ...]:
    """Choose a threshold for each target; keep that of a target that can't be judged.

    If the annotations have times, every second counts; otherwise, every clip.
    """
    times = None if result.events is None else gather_cell_times(result.predictions, ground_truth)
    fits = [
        _fit(result, ground_truth, times, at, goal, resamples) if judged else Fit(None, "it is never annotated")
        for at, judged in enumerate(ground_truth.is_judged)
    ]
    scores = result.detections.scores if times is None else times.scores
    now = result.detections.is_detected if times is None else times.is_reached
    detected = now.copy()
    for at, fit in enumerate(fits):
        if fit.held_out is not None:
            detected[:, at] = fit.held_out
    winners = np.where(detected, scores, -1.0).argmax(axis=1)
    given = detected & (winners[:, None] == np.arange(len(fits)))
    if times is None:
        labeled = compute_clip_rates(given, ground_truth.present, resamples).labels
        before = compute_clip_rates(now, ground_truth.present, resamples).labels
    else:
        counts = [count_times(times, one, len(ground_truth.files)) for one in (given, now)]
        labeled, before = (compute_rates(one, resamples).labels for one in counts)
    fitted = []
    for at, (target, fit) in enumerate(zip(ground_truth.targets, fits, strict=True)):
        labels = [result.settings.labels[member] for member in target.members]
        lines = tuple(
            label.entry if fit.threshold is None else format_label_entry(label, fit.threshold) for label in labels
        )
        positives = int(ground_truth.present[:, at].sum())
        fitted.append(FittedThreshold(target.name, positives, fit, lines, before[at], labeled[at]))
    return tuple(fitted)


def _fit(
    result: LabelingResult, ground_truth: GroundTruth, times: CellTimes | None, target: int, goal: Goal,
    resamples: Resamples,
) -> Fit:  # fmt: skip
    present = ground_truth.present[:, target]
    if times is None:
        return fit_threshold(present, result.detections.scores[:, target], goal, resamples)
    return fit_time_threshold(times, target, present, goal, resamples)


@dataclass(frozen=True)
class TranslatedThresholds:
    """The thresholds of `labels` for the other score function, `score_function`, with `lines` for --audioset-labels.

    With all thresholds translated, `differ` of `windows` windows, each decided independently, get a different label.
    """

    score_function: str
    labels: tuple[Translation, ...]
    lines: tuple[str, ...]
    differ: int
    windows: int


def translate_thresholds(result: LabelingResult) -> TranslatedThresholds:
    """Translate each label's threshold to the other score function, using the windows of these clips."""
    settings = result.settings
    other = next(function for function in SCORE_FUNCTIONS if function != settings.score_function)
    changed = replace(settings, score_function=other)
    scores = np.concatenate([one.scores[one.is_heard] for one in result.predictions])
    # `changed` has the old thresholds, but only its scores are used, which don't depend on thresholds.
    others = np.concatenate([predict(one.clip, changed).scores[one.is_heard] for one in result.predictions])
    translations = tuple(map(translate_threshold, find_reached(scores, settings).T, others.T))
    pairs = list(zip(settings.labels, translations, strict=True))
    labels = tuple(replace(label, threshold=one.threshold) for label, one in pairs)
    lines = tuple(format_label_entry(label, one.threshold) for label, one in pairs)
    before, after = decide_windows(scores, settings.labels, ""), decide_windows(others, labels, "")
    differ = sum(one != another for one, another in zip(before, after, strict=True))
    return TranslatedThresholds(other, translations, lines, differ, len(scores))


@dataclass(frozen=True)
class ReportFacts:
    """What the report says besides metrics. `settings` has names and texts in order; `failed` has files and reasons.

    `segment_s` is None unless the annotations have times. `missing` files are annotated but not in the folder;
    `not_annotated` files are in the folder but not annotated.
    """

    title: str
    settings: tuple[tuple[str, str], ...]
    exhaustive: bool = False
    segment_s: float | None = None
    missing: tuple[str, ...] = ()
    not_annotated: tuple[str, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()
    outside: tuple[OutsideEvent, ...] = ()
    collars: Collars = COLLARS


@dataclass(frozen=True, eq=False)
class Evaluation:
    """All results, for the terminal and the report. `second` and `agreement` are None without --compare."""

    facts: ReportFacts
    ground_truth: GroundTruth
    resamples: Resamples
    first: LabelingResult
    second: LabelingResult | None = None
    agreement: Agreement | None = None
    goal: Goal | None = None
    fitted: tuple[FittedThreshold, ...] = ()
    translated: TranslatedThresholds | None = None

    @functools.cached_property
    def comparisons(self) -> tuple[MetricComparison, ...]:
        return () if self.second is None else compare(self.first.metrics, self.second.metrics)

    @property
    def label_names(self) -> list[str]:
        """Return the names of the judged labels, in the order of the metrics."""
        return [self.ground_truth.targets[at].name for at in self.first.metrics.columns]

    def thresholds(self, target: int) -> list[float]:
        """Return the distinct thresholds of a target's labels, lowest first."""
        labels = self.first.settings.labels
        return sorted({labels[member].threshold for member in self.ground_truth.targets[target].members})
