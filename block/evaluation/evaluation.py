"""One evaluation as a whole: the figures of one or two configurations, their differences, and thresholds to take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from block import decisions
from block.decisions import Scores
from block.evaluation.agreement import Agreement
from block.evaluation.bootstrap import Resamples
from block.evaluation.ground_truth import GroundTruth
from block.evaluation.metrics import Detections, Difference, Metrics, difference, figures
from block.evaluation.predictions import Clip, Prediction, answers, predict, reached_by
from block.evaluation.rates import Rates, whole
from block.evaluation.segment_based import SEGMENT_S
from block.evaluation.thresholds import Fit, Goal, Translation, fit, translate
from block.labels import LabelOfInterest
from block.ontology import normalize_name
from block.settings import SCORE_FUNCTIONS, DecisionSettings


@dataclass(frozen=True, eq=False)
class LabelingResult:
    """The labels that one configuration gives, and how good they are. `name` is empty where there is no other."""

    name: str
    settings: DecisionSettings
    clips: tuple[Clip, ...]
    predictions: tuple[Prediction, ...]
    answers: Detections
    figures: Metrics


def evaluate_labels(
    name: str,
    clips: Sequence[Clip],
    settings: DecisionSettings,
    truth: GroundTruth,
    resamples: Resamples,
    segment_s: float | None = SEGMENT_S,
) -> LabelingResult:
    """Label `clips`, those of `truth.files`, and hold the labels to it; in segments too unless `segment_s` is None."""
    predictions = tuple(predict(clip, settings) for clip in clips)
    events = None if segment_s is None else truth.events
    found = answers(clips, predictions, settings, events, segment_s or SEGMENT_S)
    return LabelingResult(
        name, settings, tuple(clips), predictions, found, figures(truth.present, truth.judged, found, resamples)
    )


@dataclass(frozen=True)
class MetricComparison:
    """One figure under both configurations: of each judged label, and of all together."""

    name: str
    labels: tuple[Difference, ...]
    together: Difference


def compare(first: LabelingResult, second: LabelingResult) -> tuple[MetricComparison, ...]:
    """Return both side by side on the same clips, figure by figure; intervals are of paired draws."""
    a, b = first.figures, second.figures
    found = []
    for name, one, other in (
        ("AP", a.average_precision, b.average_precision), ("ROC AUC", a.roc_auc, b.roc_auc)
    ):  # fmt: skip
        labels = tuple(
            difference(x, y, one.draws[:, at], other.draws[:, at])
            for at, (x, y) in enumerate(zip(one.labels, other.labels, strict=True))
        )
        found.append(MetricComparison(name, labels, difference(one.mean, other.mean, one.mean_draws, other.mean_draws)))
    for name, one_table, other_table in (
        ("F1 as detector", a.detector, b.detector),
        ("F1 as labelled", a.decided, b.decided),
        ("segment F1 as detector", a.detector_segments, b.detector_segments),
        ("segment F1 as labelled", a.decided_segments, b.decided_segments),
    ):
        if one_table is None or other_table is None:
            continue
        labels = tuple(
            difference(x.f1, y.f1, one_table.f1_draws[:, at], other_table.f1_draws[:, at])
            for at, (x, y) in enumerate(zip(one_table.labels, other_table.labels, strict=True))
        )
        together = difference(
            one_table.macro.f1, other_table.macro.f1, one_table.macro_f1_draws, other_table.macro_f1_draws
        )
        found.append(MetricComparison(name, labels, together))
    return tuple(found)


@dataclass(frozen=True)
class FittedThreshold:
    """What became of a target's threshold. `lines` are its entries for --audioset-labels, the old ones where it stays.

    `before` are the rates of the label as a detector at the threshold in use, on all clips. `labelled` is what to
    expect where each clip gets one label under all new thresholds, again of clips that these were not chosen on.
    """

    name: str
    positives: int
    fit: Fit
    lines: tuple[str, ...]
    before: Rates
    labelled: Rates


def fit_thresholds(
    result: LabelingResult, truth: GroundTruth, goal: Goal, resamples: Resamples
) -> tuple[FittedThreshold, ...]:
    """Choose a threshold for each target; one that is not judged stays."""
    scores, kept = result.answers.scores, result.answers.reached.copy()
    fits = [
        fit(truth.present[:, at], scores[:, at], goal, resamples) if judged else Fit(None, "it is not annotated")
        for at, judged in enumerate(truth.judged)
    ]
    for at, one in enumerate(fits):
        if one.held_out is not None:
            kept[:, at] = one.held_out
    winners = np.where(kept, scores, -1.0).argmax(axis=1)
    given = kept & (winners[:, None] == np.arange(len(fits)))
    labelled = whole(given, truth.present, resamples).labels
    found = []
    for at, (target, one) in enumerate(zip(truth.targets, fits, strict=True)):
        columns = result.figures.columns
        before = result.figures.detector.labels[columns.index(at)] if at in columns else labelled[at]
        labels = [result.settings.labels[member] for member in target.members]
        lines = tuple(label.entry if one.threshold is None else entry(label, one.threshold) for label in labels)
        found.append(FittedThreshold(target.name, int(truth.present[:, at].sum()), one, lines, before, labelled[at]))
    return tuple(found)


def entry(label: LabelOfInterest, threshold: float) -> str:
    """The entry of `label` for --audioset-labels with another threshold: the same classes, written as the same name."""
    star = "*" if len(label.indices) > 1 else ""
    number = f"{threshold:.6g}" if float(f"{threshold:.6g}") == threshold else repr(threshold)
    if normalize_name(label.name) == normalize_name(label.class_name.removesuffix(star)):
        return f"{label.name}{star} ({number})"
    return f"{label.class_name} ({label.name}, {number})"


@dataclass(frozen=True)
class TranslatedThresholds:
    """The thresholds of `labels` for the other score function, `into`, and how many windows get another label then.

    `differ` of `windows` windows, each decided by itself, with all thresholds translated.
    """

    into: str
    labels: tuple[Translation, ...]
    lines: tuple[str, ...]
    differ: int
    windows: int


def translate_thresholds(result: LabelingResult) -> TranslatedThresholds:
    """Carry each label's threshold to the score function that is not in use, on the windows of these clips."""
    settings = result.settings
    other = next(function for function in SCORE_FUNCTIONS if function != settings.score_function)
    changed = replace(settings, score_function=other)
    audible = [one.audible(clip) for one, clip in zip(result.predictions, result.clips, strict=True)]
    scores = np.concatenate([one.scores[rows] for one, rows in zip(result.predictions, audible, strict=True)])
    # Only the scores count here, and these do not depend on a threshold.
    others = np.concatenate(
        [predict(clip, changed).scores[rows] for clip, rows in zip(result.clips, audible, strict=True)]
    )
    kept = reached_by(scores, settings)
    found = tuple(translate(kept[:, at], others[:, at]) for at in range(len(settings.labels)))
    labels = tuple(replace(label, threshold=one.threshold) for label, one in zip(settings.labels, found, strict=True))
    lines = tuple(entry(label, one.threshold) for label, one in zip(settings.labels, found, strict=True))
    differ = int((_winners(scores, settings.labels) != _winners(others, labels)).sum())
    return TranslatedThresholds(other, found, lines, differ, len(scores))


def _winners(scores: Scores, labels: Sequence[LabelOfInterest]) -> npt.NDArray[np.str_]:
    """Return the name that each window gets; empty for none."""
    found = decisions.decide_cells(scores, np.ones(len(scores), dtype=bool), labels, "")
    return np.array([one.label for one in found])


@dataclass(frozen=True)
class ReportFacts:
    """What the report says besides figures. `facts` are settings, in order; lists are paths of files.

    `failed` holds a reason a file.
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    exhaustive: bool
    segment_s: float | None
    missing: tuple[str, ...] = ()
    not_annotated: tuple[str, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, eq=False)
class Evaluation:
    """All that was found out, for the texts and the report. `second` and `compared` are there with --compare."""

    about: ReportFacts
    truth: GroundTruth
    resamples: Resamples
    first: LabelingResult
    second: LabelingResult | None = None
    compared: tuple[MetricComparison, ...] = ()
    goal: Goal | None = None
    fitted: tuple[FittedThreshold, ...] = ()
    translated: TranslatedThresholds | None = None
    agreement: Agreement | None = None

    def thresholds(self, target: int) -> list[float]:
        """The different thresholds of a target's labels, lowest first."""
        labels = self.first.settings.labels
        return sorted({labels[member].threshold for member in self.truth.targets[target].members})
