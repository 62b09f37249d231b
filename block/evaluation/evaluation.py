"""One evaluation as a whole: the metrics of one or two configurations, their differences, and thresholds to use."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from block.evaluation.agreement import Agreement
from block.evaluation.bootstrap import Resamples
from block.evaluation.ground_truth import GroundTruth
from block.evaluation.metrics import Detections, MetricComparison, Metrics, compare, compute_metrics
from block.evaluation.predictions import Clip, Prediction, decide_windows, find_reached, gather_detections, predict
from block.evaluation.rates import Rates, compute_clip_rates
from block.evaluation.thresholds import Fit, Goal, Translation, fit_threshold, translate_threshold
from block.labels import LabelOfInterest
from block.ontology import normalize_name
from block.settings import SCORE_FUNCTIONS, DecisionSettings


@dataclass(frozen=True, eq=False)
class LabelingResult:
    """The labels that one configuration gives, and how good they are. `name` is empty where there is no other."""

    name: str
    settings: DecisionSettings
    predictions: tuple[Prediction, ...]
    detections: Detections
    metrics: Metrics


def evaluate_labels(
    name: str,
    clips: Sequence[Clip],
    settings: DecisionSettings,
    ground_truth: GroundTruth,
    resamples: Resamples,
    segment_s: float | None,
) -> LabelingResult:
    """Label `clips`, those of `ground_truth.files`, and compare; in segments too unless `segment_s` is None."""
    predictions = tuple(predict(clip, settings) for clip in clips)
    detections = gather_detections(predictions, settings, ground_truth.events, segment_s)
    metrics = compute_metrics(ground_truth.present, ground_truth.is_judged, detections, resamples)
    return LabelingResult(name, settings, predictions, detections, metrics)


@dataclass(frozen=True)
class FittedThreshold:
    """A target's new threshold. `lines` are its entries for --audioset-labels, the old ones where it stays.

    `before` are the rates of the label as a detector at the threshold in use, on all clips. `labeled` is what to
    expect where each clip gets one label under all new thresholds, again of clips that these were not chosen on.
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
    """Choose a threshold for each target; that of a target that is not judged stays."""
    present, scores = ground_truth.present, result.detections.scores
    fits = [
        fit_threshold(present[:, at], scores[:, at], goal, resamples) if judged else Fit(None, "it is not annotated")
        for at, judged in enumerate(ground_truth.is_judged)
    ]
    detected = result.detections.is_detected.copy()
    for at, fit in enumerate(fits):
        if fit.held_out is not None:
            detected[:, at] = fit.held_out
    winners = np.where(detected, scores, -1.0).argmax(axis=1)
    given = detected & (winners[:, None] == np.arange(len(fits)))
    labeled = compute_clip_rates(given, present, resamples).labels
    before = dict(enumerate(labeled))
    before.update(zip(result.metrics.columns, result.metrics.as_detector.labels, strict=True))
    fitted = []
    for at, (target, fit) in enumerate(zip(ground_truth.targets, fits, strict=True)):
        labels = [result.settings.labels[member] for member in target.members]
        lines = tuple(label.entry if fit.threshold is None else format_entry(label, fit.threshold) for label in labels)
        fitted.append(FittedThreshold(target.name, int(present[:, at].sum()), fit, lines, before[at], labeled[at]))
    return tuple(fitted)


def format_entry(label: LabelOfInterest, threshold: float) -> str:
    """Return the entry of `label` for --audioset-labels with another threshold: the same classes, the same name."""
    star = "*" if len(label.indices) > 1 else ""
    number = f"{threshold:.6g}" if float(f"{threshold:.6g}") == threshold else repr(threshold)
    if normalize_name(label.name) == normalize_name(label.class_name.removesuffix(star)):
        return f"{label.name}{star} ({number})"
    return f"{label.class_name} ({label.name}, {number})"


@dataclass(frozen=True)
class TranslatedThresholds:
    """The thresholds of `labels` for `score_function`, the other one, and how many windows get another label then.

    `differ` of `windows` windows, each decided by itself, with all thresholds translated.
    """

    score_function: str
    labels: tuple[Translation, ...]
    lines: tuple[str, ...]
    differ: int
    windows: int


def translate_thresholds(result: LabelingResult) -> TranslatedThresholds:
    """Carry each label's threshold to the score function that is not in use, on the windows of these clips."""
    settings = result.settings
    other = next(function for function in SCORE_FUNCTIONS if function != settings.score_function)
    changed = replace(settings, score_function=other)
    scores = np.concatenate([one.scores[one.is_heard] for one in result.predictions])
    # Only the scores count here, and these do not depend on a threshold.
    others = np.concatenate([predict(one.clip, changed).scores[one.is_heard] for one in result.predictions])
    translations = tuple(map(translate_threshold, find_reached(scores, settings).T, others.T))
    pairs = list(zip(settings.labels, translations, strict=True))
    labels = tuple(replace(label, threshold=one.threshold) for label, one in pairs)
    lines = tuple(format_entry(label, one.threshold) for label, one in pairs)
    before, after = decide_windows(scores, settings.labels, ""), decide_windows(others, labels, "")
    differ = sum(one != another for one, another in zip(before, after, strict=True))
    return TranslatedThresholds(other, translations, lines, differ, len(scores))


@dataclass(frozen=True)
class ReportFacts:
    """What the report says besides metrics. `settings` are names and texts, in order; lists are paths of files.

    `failed` holds a reason a file.
    """

    title: str
    settings: tuple[tuple[str, str], ...]
    exhaustive: bool = False
    segment_s: float | None = None
    missing: tuple[str, ...] = ()
    not_annotated: tuple[str, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, eq=False)
class Evaluation:
    """All results, for the texts and the report. `second` and `agreement` need --compare."""

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
        """The names of the judged labels, in the order of the metrics."""
        return [self.ground_truth.targets[at].name for at in self.first.metrics.columns]

    def thresholds(self, target: int) -> list[float]:
        """Return the different thresholds of a target's labels, lowest first."""
        labels = self.first.settings.labels
        return sorted({labels[member].threshold for member in self.ground_truth.targets[target].members})
