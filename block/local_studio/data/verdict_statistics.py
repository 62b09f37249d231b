"""What verdicts say of the segments that a job proposed, or would propose with other thresholds.

Only verdicts on single segments count: what was accepted in bulk or as a whole, no one has heard.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from block.evaluation.bootstrap import Floats, Resamples
from block.evaluation.strata import JudgedPrecision, estimate_precision, weigh_verdicts
from block.evaluation.thresholds import Fit, Goal, fit_threshold
from block.local_studio.data.verdicts import Verdict
from block.recording import Segment

DRAWS = 200  # of the bootstrap, fewer than those of `evaluate`: a person waits
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
    """A label's `segments`, and the `judgments` on some of them."""

    segments: Sequence[Segment]
    judgments: Sequence[Judgment]

    @cached_property
    def precision(self) -> JudgedPrecision:
        """The precision of the label, estimated from the judgments."""
        return estimate_precision(
            np.array([one.score for one in self.segments]),
            np.array([one.segment.score for one in self.judgments]),
            np.array([one.is_confirmed for one in self.judgments], dtype=bool),
        )

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
    labels: Iterable[str], segments: Segments, verdicts: Iterable[Verdict]
) -> dict[str, LabelStatistics]:
    """Return the statistics of each of `labels`; `verdicts` are those that still hold."""
    of_label: dict[str, list[Segment]] = {label: [] for label in labels}
    judged: dict[str, list[Judgment]] = {label: [] for label in of_label}
    for segment in itertools.chain.from_iterable(segments.values()):
        if segment.label in of_label:
            of_label[segment.label].append(segment)
    for judgment in judge_segments(segments, verdicts):
        if judgment.segment.label in judged:
            judged[judgment.segment.label].append(judgment)
    return {label: LabelStatistics(of_label[label], judged[label]) for label in of_label}


@dataclass(frozen=True, eq=False)
class CellScores:
    """How labels of interest score in the cells of a recording, which tile it from `starts` to `ends`.

    Shape: `(cells,)` for the first two, `(cells, labels)` for `scores`.
    """

    starts: npt.NDArray[np.intp]
    ends: npt.NDArray[np.intp]
    scores: Floats

    def average(self, start: int, end: int) -> Floats:
        """Return the mean scores of the values `start` … `end` - 1. Shape: `(labels,)`; 0 outside of the recording."""
        first, last = int(self.ends.searchsorted(start, "right")), int(self.starts.searchsorted(end))
        if last - first == 1:  # the mean of one
            return np.asarray(self.scores[first])
        common = np.minimum(self.ends[first:last], end) - np.maximum(self.starts[first:last], start)
        return np.asarray(common @ self.scores[first:last] / max(1, int(common.sum())))


def average_spans(cells: Mapping[int, CellScores], spans: Sequence[tuple[int, int, int]], labels: int) -> Floats:
    """Return the mean scores of spans: each a sample's id, which `cells` has, a start, and an end.

    Shape: `(spans, labels)`.
    """
    return np.array([cells[sample_id].average(start, end) for sample_id, start, end in spans]).reshape(-1, labels)


def fit_thresholds(
    labels: Sequence[str], given: Sequence[str], judged: Floats, scores: Floats, goal: Goal
) -> list[Fit]:
    """Fit the threshold of each label to verdicts, as `evaluate` does to clips, each label regardless of the others.

    `given` are the labels that verdicts gave, and `judged`, shape `(verdicts, labels)`, how labels score there. Each
    verdict stands for the segments, of any label, with about its score; `scores`, shape `(segments, labels)`, are those
    of all segments.
    """
    fits = []
    for column, label in enumerate(labels):
        weights = weigh_verdicts(scores[:, column], judged[:, column])
        counts = weights > 0
        present = np.array([one == label for one in given], dtype=bool)[counts]
        resamples = Resamples(int(counts.sum()), DRAWS)
        fits.append(fit_threshold(present, judged[counts, column], goal, resamples, weights[counts], "verdict"))
    return fits


def _measure_common(start: int, end: int, other_start: int, other_end: int) -> int:
    return max(0, min(end, other_end) - max(start, other_start))
