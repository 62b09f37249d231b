"""What the page of thresholds shows of each label: its scores, what verdicts say of it, and the threshold that fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import urlencode

import numpy as np

from block.decisions import score_cells
from block.evaluation.bootstrap import Estimate, Floats
from block.evaluation.formatting import format_interval, format_number
from block.evaluation.strata import MIN_VERDICTS, JudgedPrecision
from block.evaluation.thresholds import Fit, Goal
from block.formatting import count
from block.labels import LabelOfInterest
from block.local_studio.data.store import SampleStore
from block.local_studio.data.verdict_statistics import (
    CellScores,
    LabelStatistics,
    Segments,
    describe_labels,
    drop_replaced,
    fit_thresholds,
)
from block.local_studio.data.verdicts import Verdict, VerdictStore
from block.runtime.imports import describe_install
from block.score_store.relabel import WindowScores

BINS, TENTHS = 40, 10  # of a chart of scores, and of its text
PLACES = 2  # decimals


@dataclass(frozen=True)
class ScoreBar:
    """A bar of a chart: how many cells have scores from `low` on, and its `height`, 0…1, on a logarithmic scale."""

    low: float
    cells: int
    height: float


@dataclass(frozen=True)
class LabelOverview:
    """A label of interest of a job, in the order of its settings. `fit` is for `goal`."""

    job_id: int
    name: str
    threshold: float
    bars: Sequence[ScoreBar]
    statistics: LabelStatistics
    fit: Fit
    goal: Goal

    @property
    def precision(self) -> str:
        return describe_precision(self.statistics.precision)

    @property
    def review_link(self) -> str:
        """The address of the review that samples the range of the label's scores."""
        return f"/review?{urlencode({'job': self.job_id, 'label': self.name, 'order': 'range'})}"

    @cached_property
    def marks(self) -> Sequence[tuple[float, bool]]:
        """The score of each judged segment, and whether it was confirmed."""
        return sorted((one.segment.score, one.is_confirmed) for one in self.statistics.judgments)

    @property
    def rejected(self) -> str:
        """How many segments were rejected, and which labels they got."""
        found = self.statistics.rejected
        texts = ", ".join(f"{number} now {label}" for label, number in found.most_common())
        return f"{found.total()} ({texts})" if texts else "0"

    @property
    def fitted(self) -> str:
        """What to expect of the fitted threshold, or why there is none."""
        if self.fit.threshold is None or self.fit.expected is None:
            return self.fit.reason
        expected = self.fit.expected
        return f"for {self.goal}: expect precision {_format(expected.precision)}, recall {_format(expected.recall)}"

    @property
    def chart_text(self) -> str:
        """What the chart shows, for those who can't see it."""
        step = BINS // TENTHS
        tenths = [sum(one.cells for one in self.bars[at : at + step]) for at in range(0, BINS, step)]
        texts = [
            f"{number:,} from {at / TENTHS:g} to {(at + 1) / TENTHS:g}" for at, number in enumerate(tenths) if number
        ]
        return (
            f"Scores of {count(sum(tenths), 'cell')}: {', '.join(texts)}. Segments with a verdict: "
            f"{self.statistics.confirmed} confirmed, {self.rejected} rejected."
        )


def load_overviews(
    store: SampleStore, job_id: int, recordings: Mapping[int, WindowScores], segments: Segments,
    labels: Sequence[LabelOfInterest], goal: Goal,
) -> list[LabelOverview]:  # fmt: skip
    """Return the overview of each of `labels`, from the job's kept scores and all verdicts on its recordings.

    `segments` are what the job proposes with these labels. Both are by sample id.
    """
    cells = {}
    for sample_id, one in recordings.items():
        borders = np.array([(cell.start, cell.end) for cell in one.layout.cells])
        cells[sample_id] = CellScores(borders[:, 0], borders[:, 1], score_cells(one.scores, one.layout.cells))
    named = [(label.name, label.threshold) for label in labels]
    return make_overviews(job_id, named, segments, VerdictStore(store).list_heard(job_id), cells, goal)


def make_overviews(
    job_id: int,
    labels: Sequence[tuple[str, float]],
    segments: Segments,
    verdicts: Sequence[Verdict],
    cells: Mapping[int, CellScores],
    goal: Goal,
) -> list[LabelOverview]:
    """Return the overview of each of `labels`, names with thresholds, in the order of the columns of `cells`.

    `segments` are what the job proposes at these thresholds. `verdicts` are those on its recordings, oldest first.
    """
    names = [name for name, _ in labels]
    holding = drop_replaced(verdicts)
    statistics = describe_labels(names, segments, holding)
    try:
        fits = fit_thresholds(names, segments, holding, cells, goal)
    except ImportError:
        fits = [Fit(None, f"fitting needs scikit-learn; {describe_install('folder')}")] * len(labels)
    scores = np.concatenate([np.zeros((0, len(labels))), *(one.scores for one in cells.values())])
    return [
        LabelOverview(job_id, name, threshold, count_scores(scores[:, at]), statistics[name], fits[at], goal)
        for at, (name, threshold) in enumerate(labels)
    ]


def count_scores(scores: Floats) -> list[ScoreBar]:
    """Return the bars of a chart of scores in 0…1, shape `(cells,)`."""
    counts, _ = np.histogram(scores, BINS, (0, 1))
    heights = np.log1p(counts) / max(1.0, float(np.log1p(counts.max())))
    return [ScoreBar(at / BINS, int(counts[at]), float(heights[at])) for at in range(BINS)]


def describe_precision(precision: JudgedPrecision) -> str:
    """Return a label's precision with its 95 % interval, or why there is too little to tell."""
    if not precision.judged:
        return "no verdicts yet"
    if precision.judged < MIN_VERDICTS:
        return f"too few to tell: {count(precision.judged, 'verdict')}, at least {MIN_VERDICTS} are needed"
    if not precision.is_enough:
        share = f"{100 * precision.unjudged:.0f} %"
        return f"too few to tell: {share} of the segments have scores far from any with a verdict"
    return f"{_format(precision.estimate)}, from {count(precision.judged, 'verdict')}"


def _format(estimate: Estimate) -> str:
    interval = format_interval(estimate, PLACES)
    return f"{format_number(estimate.value, PLACES)}{f' [{interval}]' if interval else ''}"
