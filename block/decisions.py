"""Turn logits into scores, scores into one label per cell, and cells into segments.

All commands use these pure functions on arrays: no torch and no audio.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from block.labels import LabelOfInterest
from block.recording import LabeledRecording, Segment
from block.settings import EXACT, DecisionSettings, ScoreFunction
from block.windows import Cell, Layout, round_half_up

Scores = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Decision:
    """The label of one cell, and the score behind it, in 0…1."""

    label: str
    score: float


def apply_score_function(logits: npt.ArrayLike, function: ScoreFunction) -> Scores:
    """Return scores in 0…1. Shape: `(..., classes)` in and out; softmax is over the classes.

    transformers' audio-classification pipeline applies softmax to a checkpoint without `problem_type`; AST was trained
    with sigmoid.
    """
    x = np.asarray(logits, dtype=np.float64)
    if function == "softmax":
        e = np.exp(x - x.max(axis=-1, keepdims=True))
        return np.asarray(e / e.sum(axis=-1, keepdims=True), dtype=np.float64)
    # exp can't overflow: its argument is -|x|.
    e = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, 1, e) / (1 + e), dtype=np.float64)


def score_classes(logits: npt.ArrayLike, chunk_counts: Sequence[int], function: ScoreFunction) -> Scores:
    """Return each window's score for every class: the maximum over the window's chunks.

    Shape: `(chunks, classes)` in, window by window; `(windows, classes)` out. `chunk_counts` is the number of chunks
    per window; silent windows have none and score 0.
    """
    logits, counts = np.asarray(logits), np.asarray(chunk_counts)
    heard = counts > 0
    scores = np.zeros((len(counts), logits.shape[-1]))
    if heard.any():
        starts = np.cumsum(counts[heard]) - counts[heard]
        scores[heard] = np.maximum.reduceat(apply_score_function(logits, function), starts, axis=0)
    return scores


def reduce_to_labels(scores: Scores, labels: Sequence[LabelOfInterest]) -> Scores:
    """Return the scores of the labels of interest, each the highest of its classes.

    Shape: `(..., classes)` in, `(..., labels)` out, in the user's order.
    """
    if not labels:
        return scores[..., :0]
    columns = [index for label in labels for index in label.indices]
    starts = np.cumsum([0, *(len(label.indices) for label in labels[:-1])])
    return np.asarray(np.maximum.reduceat(scores[..., columns], starts, axis=-1))


def score_labels(logits: npt.ArrayLike, chunk_counts: Sequence[int], settings: DecisionSettings) -> Scores:
    """Return each window's score for every label of interest, `(windows, labels)`; see `score_classes`."""
    return reduce_to_labels(score_classes(logits, chunk_counts, settings.score_function), settings.labels)


def score_cells(scores: Scores, cells: Sequence[Cell]) -> Scores:
    """Average the scores of the windows that cover each cell. Shape: `(windows, n)` in, `(cells, n)` out."""
    # A long recording has very many cells, and most have one window: skip the mean of one.
    return np.stack(
        [
            scores[cell.windows.start]
            if len(cell.windows) == 1
            else scores[cell.windows.start : cell.windows.stop].mean(axis=0)
            for cell in cells
        ]
    )


def decide_cells(
    scores: Scores, heard: npt.NDArray[np.bool_], labels: Sequence[LabelOfInterest], other_label: str
) -> list[Decision]:
    """Choose one label per cell: the highest score at or above its threshold wins; ties go to the first in `labels`.

    Shape: `(cells, labels)`, and `(cells,)` for `heard`, which is False for silent cells: these get `other_label` even
    if a threshold is 0. A cell without any label at its threshold gets `other_label` and the best score below.
    """
    reached = (scores >= np.array([label.threshold for label in labels])) & heard[:, None]
    # argmax returns the first of equal scores, and the columns are in the user's order.
    winners = np.where(reached, scores, -1.0).argmax(axis=1)
    best = scores.max(axis=1)
    return [
        Decision(labels[winner].name, float(scores[cell, winner]))
        if reached[cell, winner]
        else Decision(other_label, float(best[cell]))
        for cell, winner in enumerate(winners)
    ]


def decide_windows(scores: Scores, labels: Sequence[LabelOfInterest], other_label: str) -> list[str]:
    """Return the label of each window, decided independently. None of the windows may be silent."""
    decided = decide_cells(scores, np.ones(len(scores), dtype=bool), labels, other_label)
    return [one.label for one in decided]


def compute_margins(scores: Scores, given: Sequence[str], labels: Sequence[LabelOfInterest]) -> Scores:
    """Return how far each row of scores is from giving a label other than the `given` one.

    This is the smallest change of a single score that drops the given label below its threshold, or lifts a rival (a
    label with another name) to both its threshold and the given label's score. It is negative if the scores favor
    another label already, and 1 without labels of interest.
    Shape: `(cells, labels)` and `(cells,)` in, `(cells,)` out.
    """
    thresholds = np.array([label.threshold for label in labels])
    is_own = np.array([[label.name == name for label in labels] for name in given]).reshape(scores.shape)
    winners = np.where(is_own, scores, 0.0).max(axis=1, initial=0.0)
    to_rivals = np.where(is_own, 1.0, np.maximum(thresholds, winners[:, None]) - scores)
    to_thresholds = np.where(is_own, scores - thresholds, -np.inf).max(axis=1, initial=-np.inf)
    to_thresholds[~is_own.any(axis=1)] = 1.0
    return np.asarray(np.minimum(to_thresholds, to_rivals.min(axis=1, initial=1.0)))


def find_uncertain_cells(
    scores: Scores, heard: npt.NDArray[np.bool_], labels: Sequence[LabelOfInterest], errors: Scores
) -> npt.NDArray[np.bool_]:
    """Return which cells could get another label if each of their scores were off by up to `errors`.

    Shape: as for `decide_cells`; `errors`, 0 or more, and the result are `(cells,)`. Silent cells and cells with an
    error of 0 are certain.
    """
    thresholds = np.array([label.threshold for label in labels])
    low, high = scores - errors[:, None], scores + errors[:, None]
    winners = np.where(scores >= thresholds, scores, -1.0).argmax(axis=1)
    rows = np.arange(len(scores))
    found = scores[rows, winners] >= thresholds[winners]
    # A rival must be able to reach its threshold and, if there is a winner, the winner's lowest possible score.
    rivals = high >= thresholds
    rivals[found] &= high[found] >= low[rows, winners][found, None]
    rivals[rows[found], winners[found]] = False
    lost = found & (low[rows, winners] < thresholds[winners])
    return np.asarray((rivals.any(axis=1) | lost) & (errors > 0) & heard)


def find_uncertain_windows(
    scores: Scores,
    errors: npt.NDArray[np.floating],
    heard: npt.NDArray[np.bool_],
    cells: Sequence[Cell],
    labels: Sequence[LabelOfInterest],
) -> npt.NDArray[np.bool_]:
    """Return the windows with errors in cells whose label could change if each window were off by up to its error.

    Shape: `(windows, labels)`, `(windows,)` for `errors`, 0 or more, and `heard`; `(windows,)` out. Silent windows have
    no error.
    """
    errors = np.where(heard, errors, 0).astype(np.float64)
    found = np.zeros(len(errors), dtype=bool)
    if not errors.any():
        return found
    spans = [slice(cell.windows.start, cell.windows.stop) for cell in cells]
    cell_errors = np.array([errors[span].mean() for span in spans])
    uncertain = find_uncertain_cells(score_cells(scores, cells), find_heard_cells(heard, cells), labels, cell_errors)
    for at in np.flatnonzero(uncertain):
        found[spans[at]] = True
    return found & (errors > 0)


@dataclass(eq=False, repr=False)
class _CellRun:
    """A run of neighboring cells that becomes a segment, in a linked list of runs.

    The segment's score is `weighted / weight`, the mean of its cells' scores weighted by length.
    """

    start: int
    end: int
    label: str
    weighted: float
    weight: int
    previous: _CellRun | None = None
    next: _CellRun | None = None
    is_absorbed: bool = False

    @property
    def length(self) -> int:
        return self.end - self.start

    def absorb(self, neighbor: _CellRun) -> None:
        """Add the span of `neighbor`, and take it out of the list."""
        self.start, self.end = min(self.start, neighbor.start), max(self.end, neighbor.end)
        if neighbor is self.next:
            self.next = neighbor.next
        else:
            self.previous = neighbor.previous
        if self.next is not None:
            self.next.previous = self
        if self.previous is not None:
            self.previous.next = self
        neighbor.is_absorbed = True


def build_segments(
    cells: Sequence[Cell], decisions: Sequence[Decision], merge: bool, min_length: int
) -> tuple[Segment, ...]:
    """Return segments that tile the same span as `cells`, in order.

    With `merge`, neighboring cells with the same label become one segment. Then each segment shorter than `min_length`
    values, shortest first, joins its longer neighbor (the earlier one of equals), which keeps its label and score.
    """
    runs: list[_CellRun] = []
    for cell, decision in zip(cells, decisions, strict=True):
        if merge and runs and runs[-1].label == decision.label:
            runs[-1].end = cell.end
            runs[-1].weighted += decision.score * cell.length
            runs[-1].weight += cell.length
        else:
            runs.append(_CellRun(cell.start, cell.end, decision.label, decision.score * cell.length, cell.length))
    if merge and min_length > 0:
        _give_away_short_runs(runs, min_length)
    remaining = [run for run in runs if not run.is_absorbed]
    return tuple(Segment(run.start, run.end, run.label, run.weighted / run.weight) for run in remaining)


def _give_away_short_runs(runs: list[_CellRun], min_length: int) -> None:
    """Let longer neighbors absorb the runs below `min_length`, shortest first, until none is left or only one run."""
    for left, right in itertools.pairwise(runs):
        left.next, right.previous = right, left
    # No two entries have the same length and start, so the heap never compares runs.
    queue = [(run.length, run.start, run) for run in runs if run.length < min_length]
    heapq.heapify(queue)
    while queue:
        length, _, short = heapq.heappop(queue)
        neighbors = [run for run in (short.previous, short.next) if run is not None]
        # A run that has grown still has an entry with its old length.
        if short.is_absorbed or short.length != length or not neighbors:
            continue
        longer = max(neighbors, key=lambda run: run.length)
        longer.absorb(short)
        # The short run's score was for another label, so it doesn't count. The runs on both sides of it may now be
        # neighbors with the same label.
        for neighbor in (longer.next, longer.previous):
            if neighbor is not None and neighbor.label == longer.label:
                longer.weighted += neighbor.weighted
                longer.weight += neighbor.weight
                longer.absorb(neighbor)
        if longer.length < min_length:
            heapq.heappush(queue, (longer.length, longer.start, longer))


def label_recording(
    recording_id: int, name: str, value_rate_hz: Fraction, layout: Layout, chunk_counts: Sequence[int],
    scores: Scores, settings: DecisionSettings, mode: str = EXACT,
) -> LabeledRecording:  # fmt: skip
    """Decide the segments of a recording from the scores of its windows, shape `(windows, labels)`.

    Silent windows have no chunks. They count with a score of 0 in the mean of cells that other windows cover too; cells
    covered only by silent windows are silent.
    """
    heard = np.array(chunk_counts) > 0
    cells_heard = find_heard_cells(heard, layout.cells)
    decisions = decide_cells(score_cells(scores, layout.cells), cells_heard, settings.labels, settings.other_label)
    min_length = round_half_up(settings.min_segment_ms * value_rate_hz / 1000)
    segments = build_segments(layout.cells, decisions, settings.merge, min_length)
    seconds = float(layout.values / value_rate_hz)
    return LabeledRecording(recording_id, name, layout.values, seconds, segments, len(heard), mode)


def is_silent(levels_dbfs: npt.ArrayLike, settings: DecisionSettings) -> npt.NDArray[np.bool_]:
    """Return True for windows whose RMS level makes them silent. Shape: `(…)` in and out.

    Pass levels as float32, as they are stored, so that relabeling gives the same result.
    """
    limit_dbfs = -math.inf if settings.silence_dbfs is None else settings.silence_dbfs
    return np.asarray(np.asarray(levels_dbfs, np.float64) < limit_dbfs)


def find_heard_cells(heard: npt.NDArray[np.bool_], cells: Sequence[Cell]) -> npt.NDArray[np.bool_]:
    """Return True for cells that any `heard` (not silent) window covers. Shape: `(windows,)` in, `(cells,)` out."""
    return np.array([heard[cell.windows.start : cell.windows.stop].any() for cell in cells])
