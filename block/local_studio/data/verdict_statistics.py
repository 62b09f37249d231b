"""What verdicts say of the segments that a job proposed, or would propose with other thresholds.

Only verdicts on single segments count: what was accepted in bulk or as a whole, no one has heard.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from block.evaluation.bootstrap import Floats, Resamples
from block.evaluation.strata import JudgedPrecision, estimate_precision, weigh_verdicts
from block.evaluation.thresholds import Fit, Goal, fit_threshold
from block.local_studio.data.verdicts import Verdict
from block.recording import Segment

Segments = Mapping[int, Sequence[Segment]]  # by sample id, in order of time


@dataclass(frozen=True)
class Judgment:
    """A person heard `segment` and gave it the label `given`. Its score is the mean over what the verdict is about."""

    segment: Segment
    given: str

    @property
    def is_confirmed(self) -> bool:
        return self.given == self.segment.label


@dataclass(frozen=True)
class LabelStatistics:
    """A label's `segments`, the judgments on some of them, and the precision of those that reach its threshold."""

    segments: Sequence[Segment]
    judgments: Sequence[Judgment]
    precision: JudgedPrecision

    @property
    def confirmed(self) -> int:
        return sum(one.is_confirmed for one in self.judgments)

    @property
    def rejected(self) -> Counter[str]:
        """How many segments got another label, by that label."""
        return Counter(one.given for one in self.judgments if not one.is_confirmed)


def drop_replaced(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Return the verdicts that still hold, of `verdicts`, oldest first: newer ones cover less than half of them."""
    holding: dict[int, list[Verdict]] = defaultdict(list)
    for verdict in reversed(verdicts):
        newer = holding[verdict.sample_id]
        covered = sum(_measure_common(verdict.start, verdict.end, one.start, one.end) for one in newer)
        if 2 * covered < verdict.end - verdict.start:
            newer.append(verdict)
    return [one for found in holding.values() for one in reversed(found)]


def judge_segments(segments: Segments, verdicts: Iterable[Verdict]) -> list[Judgment]:
    """Return what `verdicts` say of `segments`, at most one judgment per verdict.

    A verdict is about segments of one label: those that have at least half of it, or of which it has at least half.
    """
    found = []
    for verdict in verdicts:
        shares: dict[str, list[tuple[int, Segment]]] = defaultdict(list)
        for segment in segments.get(verdict.sample_id, ()):
            common = _measure_common(verdict.start, verdict.end, segment.start, segment.end)
            if common and 2 * common >= min(verdict.end - verdict.start, segment.length):
                shares[segment.label].append((common, segment))
        if not shares:
            continue
        label, parts = max(shares.items(), key=lambda item: sum(common for common, _ in item[1]))
        total = sum(common for common, _ in parts)
        score = sum(common * segment.score for common, segment in parts) / total
        found.append(Judgment(Segment(verdict.start, verdict.end, label, score), verdict.label))
    return found


def describe_labels(
    segments: Segments, verdicts: Iterable[Verdict], thresholds: Mapping[str, float]
) -> dict[str, LabelStatistics]:
    """Return the statistics of each label in `thresholds`; `verdicts` are those that still hold."""
    of_label: dict[str, list[Segment]] = {label: [] for label in thresholds}
    for one in segments.values():
        for segment in one:
            if segment.label in of_label:
                of_label[segment.label].append(segment)
    judged: dict[str, list[Judgment]] = {label: [] for label in thresholds}
    for judgment in judge_segments(segments, verdicts):
        if judgment.segment.label in judged:
            judged[judgment.segment.label].append(judgment)
    return {
        label: LabelStatistics(
            of_label[label],
            judged[label],
            estimate_precision(
                np.array([one.score for one in of_label[label]]),
                np.array([one.segment.score for one in judged[label]]),
                np.array([one.is_confirmed for one in judged[label]], dtype=bool),
                threshold,
            ),
        )
        for label, threshold in thresholds.items()
    }


def fit_thresholds(
    labels: Sequence[str], given: Sequence[str], judged: Floats, scores: Floats, goal: Goal
) -> dict[str, Fit]:
    """Fit the threshold of each label to verdicts, as `evaluate` does to clips, each label regardless of the others.

    `given` are the labels that verdicts gave. `judged`, shape `(verdicts, labels)`, is how each label scored there, and
    `scores`, shape `(segments, labels)`, on all segments: each verdict stands for those of its stratum.
    """
    fits = {}
    for column, label in enumerate(labels):
        weights = weigh_verdicts(scores[:, column], judged[:, column])
        counts = weights > 0
        present = np.array([one == label for one in given], dtype=bool)[counts]
        resamples = Resamples(int(counts.sum()))
        fits[label] = fit_threshold(present, judged[counts, column], goal, resamples, weights[counts], "verdict")
    return fits


def average_over(
    spans: Sequence[tuple[int, int]], starts: Sequence[int], ends: Sequence[int], scores: Floats
) -> Floats:
    """Return the mean score of each label over `spans`, weighted by how much of each cell is in the span.

    The cells from `starts` to `ends` tile a recording; `scores` has the shape `(cells, labels)`. Shape of the result:
    `(spans, labels)`; 0 for a span outside.
    """
    low, high = np.asarray(starts), np.asarray(ends)
    found = np.zeros((len(spans), scores.shape[1]))
    for at, (start, end) in enumerate(spans):
        common = np.clip(np.minimum(high, end) - np.maximum(low, start), 0, None)
        if total := common.sum():
            found[at] = common @ scores / total
    return found


def _measure_common(start: int, end: int, other_start: int, other_end: int) -> int:
    return max(0, min(end, other_end) - max(start, other_start))
