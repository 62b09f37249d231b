"""What the page of thresholds shows of each label: its scores, what verdicts say of it, and the threshold that fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

import numpy as np

from block.decisions import score_cells
from block.evaluation.bootstrap import Estimate, Floats
from block.evaluation.formatting import format_interval, format_number
from block.evaluation.strata import MIN_VERDICTS, JudgedPrecision
from block.evaluation.thresholds import Fit, Goal
from block.formatting import count
from block.local_studio.data.store import SampleStore
from block.local_studio.data.verdict_statistics import (
    CellScores,
    LabelStatistics,
    Segments,
    average_spans,
    describe_labels,
    drop_replaced,
    fit_thresholds,
)
from block.local_studio.data.verdicts import Verdict, VerdictStore
from block.local_studio.jobs.comparison import JobDecider
from block.runtime.imports import describe_install
from block.settings import DecisionSettings

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
    """A label of interest of a job: `bars` and `marks` are for its chart, `statistics` for its segments.

    A mark is how the label scores where a person heard something, and whether the person gave this label. `fit` is for
    `goal`.
    """

    job_id: int
    name: str
    threshold: float
    bars: Sequence[ScoreBar]
    marks: Sequence[tuple[float, bool]]
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
            return f"none: {self.fit.reason}"
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
        with_label = sum(is_label for _, is_label in self.marks)
        return (
            f"Scores of {count(sum(tenths), 'cell')}: {', '.join(texts)}. "
            f"{count(with_label, 'verdict')} with this label, {len(self.marks) - with_label} with another."
        )


def load_overviews(
    store: SampleStore, job_id: int, decider: JobDecider, settings: DecisionSettings, goal: Goal
) -> list[LabelOverview]:
    """Return the overview of each label of interest of a job, from its kept scores and the verdicts on its recordings.

    `settings` are those on the page, not those that the job had.
    """
    cells = {}
    for sample_id, one in decider.recordings.items():
        borders = np.array([(cell.start, cell.end) for cell in one.layout.cells])
        cells[sample_id] = CellScores(borders[:, 0], borders[:, 1], score_cells(one.scores, one.layout.cells))
    labels = [(label.name, label.threshold) for label in settings.labels]
    verdicts = VerdictStore(store).list_heard(job_id)
    return make_overviews(job_id, labels, decider.decide(settings), verdicts, cells, goal)


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
    holding = [one for one in drop_replaced(verdicts) if one.sample_id in cells]
    statistics = describe_labels(names, segments, holding)
    given = [one.label for one in holding]
    judged = average_spans(cells, [(one.sample_id, one.start, one.end) for one in holding], len(labels))
    spans = [(sample_id, one.start, one.end) for sample_id in cells for one in segments.get(sample_id, ())]
    try:
        fits = fit_thresholds(names, given, judged, average_spans(cells, spans, len(labels)), goal)
    except ImportError:
        fits = [Fit(None, f"fitting needs scikit-learn; {describe_install('folder')}")] * len(labels)
    scores = np.concatenate([np.zeros((0, len(labels))), *(one.scores for one in cells.values())])
    return [
        LabelOverview(
            job_id, name, threshold, count_scores(scores[:, at]),
            sorted((score, one == name) for score, one in zip(judged[:, at].tolist(), given, strict=True)),
            statistics[name], fits[at], goal,
        )
        for at, (name, threshold) in enumerate(labels)
    ]  # fmt: skip


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
    interval = format_interval(estimate, PLACES) if estimate.low < estimate.high else ""
    return f"{format_number(estimate.value, PLACES)}{f' [{interval}]' if interval else ''}"
