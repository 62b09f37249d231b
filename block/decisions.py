"""Logits to scores, scores to one label a cell, cells to merged segments: the one path that all commands share.

Pure functions on arrays: no torch and no audio.
"""

from __future__ import annotations

import heapq
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
    """The label of one cell and the score it was decided by, in 0…1."""

    label: str
    score: float


def score(logits: npt.ArrayLike, function: ScoreFunction) -> Scores:
    """Scores in 0…1 of logits, shape `(..., classes)` for both; softmax runs over the classes.

    softmax is what transformers' audio-classification pipeline applies to a checkpoint without `problem_type`;
    sigmoid is the reading AST was trained for.
    """
    x = np.asarray(logits, dtype=np.float64)
    if function == "softmax":
        e = np.exp(x - x.max(axis=-1, keepdims=True))
        return np.asarray(e / e.sum(axis=-1, keepdims=True), dtype=np.float64)
    # exp never overflows on either branch: its argument is -|x|.
    e = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, 1, e) / (1 + e), dtype=np.float64)


def window_scores(logits: npt.ArrayLike, piece_counts: Sequence[int], function: ScoreFunction) -> Scores:
    """Scores of windows that were heard in pieces: the score function on each piece, then the maximum per class.

    Shape: `(pieces, classes)` in, the pieces of a window standing together; `piece_counts`, each at least 1, adds
    up to `pieces`; returns `(windows, classes)`.
    """
    starts = np.concatenate(([0], np.cumsum(piece_counts)[:-1])).astype(np.intp)
    return np.asarray(np.maximum.reduceat(score(logits, function), starts, axis=0))


def label_scores(scores: Scores, labels: Sequence[LabelOfInterest]) -> Scores:
    """Scores of labels of interest, each the highest of its classes.

    Shape: `(..., classes)` in, `(..., labels)` out, in the user's order.
    """
    if not labels:
        return scores[..., :0]
    columns = [index for label in labels for index in label.indices]
    starts = np.cumsum([0, *(len(label.indices) for label in labels[:-1])])
    return np.asarray(np.maximum.reduceat(scores[..., columns], starts, axis=-1))


def cell_scores(scores: Scores, cells: Sequence[Cell]) -> Scores:
    """The mean over the windows that cover a cell. Shape: `(windows, classes)` in, `(cells, classes)` out."""
    # The mean of one is that one; most cells have one window, and there are very many.
    return np.stack(
        [
            scores[cell.windows.start]
            if len(cell.windows) == 1
            else scores[cell.windows.start : cell.windows.stop].mean(axis=0)
            for cell in cells
        ]
    )


def decide(
    scores: Scores, heard: npt.NDArray[np.bool_], labels: Sequence[LabelOfInterest], other_label: str
) -> list[Decision]:
    """One label a cell: of those at or above their threshold the highest score wins, ties in the user's order.

    Shape: `(cells, labels)`, one column a label of interest, and `(cells,)`: False where a cell is silent, which gets
    `other_label` whatever the thresholds. With no label at its threshold a cell gets `other_label` too, and the best
    score that stayed below.
    """
    reached = (scores >= np.array([label.threshold for label in labels])) & heard[:, None]
    # argmax takes the first of equals, and columns stand in the user's order.
    winners = np.where(reached, scores, -1.0).argmax(axis=1)
    best = scores.max(axis=1)
    return [
        Decision(labels[winner].name, float(scores[cell, winner]))
        if reached[cell, winner]
        else Decision(other_label, float(best[cell]))
        for cell, winner in enumerate(winners)
    ]


def compute_margins(scores: Scores, given: Sequence[str], labels: Sequence[LabelOfInterest]) -> Scores:
    """Return how far each row of scores is from another label than the `given` one.

    That is the least by which a single score would have to change: the given label falls below its threshold, or a
    rival, a label with another name, reaches its own threshold and the score of the given label. Below 0 where the
    scores speak for another label already, 1 without labels of interest.
    Shape: `(cells, labels)` and `(cells,)` in, `(cells,)` out.
    """
    thresholds = np.array([label.threshold for label in labels])
    is_own = np.array([[label.name == name for label in labels] for name in given]).reshape(scores.shape)
    winners = np.where(is_own, scores, 0.0).max(axis=1, initial=0.0)
    to_rivals = np.where(is_own, 1.0, np.maximum(thresholds, winners[:, None]) - scores)
    to_thresholds = np.where(is_own, scores - thresholds, -np.inf).max(axis=1, initial=-np.inf)
    to_thresholds[~is_own.any(axis=1)] = 1.0
    return np.asarray(np.minimum(to_thresholds, to_rivals.min(axis=1, initial=1.0)))


def unsettled(
    scores: Scores, heard: npt.NDArray[np.bool_], labels: Sequence[LabelOfInterest], errors: Scores
) -> npt.NDArray[np.bool_]:
    """Cells whose label could be another one if each score were up to `errors` higher or lower.

    Shape: as for `decide`; `errors`, shape `(cells,)`, each 0 or more; returns `(cells,)`. Where the error is 0, and
    where a cell is silent, the label is settled.
    """
    thresholds = np.array([label.threshold for label in labels])
    low, high = scores - errors[:, None], scores + errors[:, None]
    winners = np.where(scores >= thresholds, scores, -1.0).argmax(axis=1)
    rows = np.arange(len(scores))
    found = scores[rows, winners] >= thresholds[winners]
    # A rival counts if it may reach its threshold and, where there is a winner, what that surely has.
    rivals = high >= thresholds
    rivals[found] &= high[found] >= low[rows, winners][found, None]
    rivals[rows[found], winners[found]] = False
    lost = found & (low[rows, winners] < thresholds[winners])
    return np.asarray((rivals.any(axis=1) | lost) & (errors > 0) & heard)


@dataclass(eq=False, repr=False)
class _CellRun:
    """Neighbouring cells on their way to a segment; `weight` is the length that the `weighted` score comes from.

    `place` tells equally short runs apart; `before` and `after` are the neighbours; `gone` once it was given away.
    """

    start: int
    end: int
    label: str
    weighted: float
    weight: int
    place: int = 0
    before: _CellRun | None = None
    after: _CellRun | None = None
    gone: bool = False

    @property
    def length(self) -> int:
        return self.end - self.start

    def segment(self) -> Segment:
        return Segment(self.start, self.end, self.label, self.weighted / self.weight)


def segments(cells: Sequence[Cell], decisions: Sequence[Decision], merge: bool, min_length: int) -> list[Segment]:
    """Segments that tile what the cells tile, in order.

    With `merge` neighbours of one label become one; then segments shorter than `min_length` values are given, the
    shortest first, to their longer neighbour (the earlier one of equals), whose label and score stay.
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
        _give_away_short(runs, min_length)
    return [run.segment() for run in runs if not run.gone]


def _give_away_short(runs: list[_CellRun], min_length: int) -> None:
    """Give each run under `min_length` to its longer neighbour, the shortest first, until none is left but the last."""
    for place, run in enumerate(runs):
        run.place = place
        run.before = runs[place - 1] if place else None
        run.after = runs[place + 1] if place + 1 < len(runs) else None
    # A run that grows leaves its entry behind: entries whose length is no longer right are passed over.
    queue = [(run.length, run.place) for run in runs if run.length < min_length]
    heapq.heapify(queue)
    while queue:
        length, place = heapq.heappop(queue)
        short = runs[place]
        neighbours = [run for run in (short.before, short.after) if run is not None]
        if short.gone or short.length != length or not neighbours:
            continue
        taker = max(neighbours, key=lambda run: run.length)
        _take_over(taker, short)
        # Its own score spoke for another label, so it is not averaged in; what it stood between may now be one.
        other = taker.after if taker.after is not None and taker.after.label == taker.label else taker.before
        if other is not None and other.label == taker.label:
            taker.weighted, taker.weight = taker.weighted + other.weighted, taker.weight + other.weight
            _take_over(taker, other)
        if taker.length < min_length:
            heapq.heappush(queue, (taker.length, taker.place))


def _take_over(taker: _CellRun, other: _CellRun) -> None:
    """`taker` gets the span of `other`, its neighbour, and its place between the others."""
    taker.start, taker.end = min(taker.start, other.start), max(taker.end, other.end)
    if taker.after is other:
        taker.after = other.after
        if other.after is not None:
            other.after.before = taker
    else:
        taker.before = other.before
        if other.before is not None:
            other.before.after = taker
    other.gone = True


def decide_recording(
    scores: Scores,
    heard: npt.NDArray[np.bool_],
    cells: Sequence[Cell],
    settings: DecisionSettings,
    min_length: int,
) -> tuple[Segment, ...]:
    """Segments of one recording from its windows' scores, shape `(windows, labels of interest)`.

    `heard`, shape `(windows,)`, is False for the windows that were left out as silent. Their scores are 0 and count
    as such in the mean of a cell that other windows cover too; a cell that only silent windows cover is silent.
    """
    cells_heard = find_heard_cells(heard, cells)
    decisions = decide(cell_scores(scores, cells), cells_heard, settings.labels, settings.other_label)
    return tuple(segments(cells, decisions, settings.merge, min_length))


def score_labels(logits: npt.ArrayLike, piece_counts: Sequence[int], settings: DecisionSettings) -> Scores:
    """Return scores of windows, shape `(windows, labels of interest)`, from logits of their pieces, in order.

    A window without pieces, left out as silent, has scores of 0.
    """
    heard = np.array(piece_counts) > 0
    scores = np.zeros((len(heard), len(settings.labels)))
    if heard.any():
        counts = [count for count in piece_counts if count]
        of_classes = window_scores(logits, counts, settings.score_function)
        scores[heard] = label_scores(of_classes, settings.labels)
    return scores


def label_recording(
    recording_id: int, name: str, value_rate_hz: Fraction, layout: Layout, piece_counts: Sequence[int],
    scores: Scores, settings: DecisionSettings, mode: str = EXACT,
) -> LabeledRecording:  # fmt: skip
    """Return a recording with its segments.

    `scores` are those of its windows, shape `(windows, labels)`, 0 for silent ones.
    """
    heard = np.array(piece_counts) > 0
    min_length = round_half_up(settings.min_segment_ms * value_rate_hz / 1000)
    found = decide_recording(scores, heard, layout.cells, settings, min_length)
    seconds = float(layout.values / value_rate_hz)
    return LabeledRecording(recording_id, name, layout.values, seconds, found, len(heard), mode)


def is_silent(levels_dbfs: npt.ArrayLike, settings: DecisionSettings) -> npt.NDArray[np.bool_]:
    """Return True for windows of these RMS levels that are left out. Shape: `(…)` in and out.

    Give the float32 that is stored, so that all agree.
    """
    limit_dbfs = -math.inf if settings.silence_dbfs is None else settings.silence_dbfs
    return np.asarray(np.asarray(levels_dbfs, np.float64) < limit_dbfs)


def find_heard_cells(heard: npt.NDArray[np.bool_], cells: Sequence[Cell]) -> npt.NDArray[np.bool_]:
    """Return which cells any window covers that is `heard`, not silent. Shape: `(windows,)` in, `(cells,)` out."""
    return np.array([heard[cell.windows.start : cell.windows.stop].any() for cell in cells])
