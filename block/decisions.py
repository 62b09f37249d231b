"""Logits to scores, scores to one label a cell, cells to merged segments. Pure functions on arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from block.labels import LabelOfInterest
from block.recording import Segment
from block.settings import DecisionSettings, ScoreFunction
from block.windows import Cell

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


def cell_scores(scores: Scores, cells: Sequence[Cell]) -> Scores:
    """The mean over the windows that cover a cell. Shape: `(windows, classes)` in, `(cells, classes)` out."""
    return np.stack([scores[cell.windows.start : cell.windows.stop].mean(axis=0) for cell in cells])


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


@dataclass
class _Run:
    """Neighbouring cells on their way to a segment; `weight` is the length that `weighted` score comes from."""

    start: int
    end: int
    label: str
    weighted: float
    weight: int

    def segment(self) -> Segment:
        return Segment(self.start, self.end, self.label, self.weighted / self.weight)


def segments(cells: Sequence[Cell], decisions: Sequence[Decision], merge: bool, min_length: int) -> list[Segment]:
    """Segments that tile what the cells tile, in order.

    With `merge` neighbours of one label become one; then segments shorter than `min_length` values are given, the
    shortest first, to their longer neighbour (the earlier one of equals), whose label and score stay.
    """
    runs = [
        _Run(cell.start, cell.end, decision.label, decision.score * cell.length, cell.length)
        for cell, decision in zip(cells, decisions, strict=True)
    ]
    if merge:
        runs = _merged(runs)
        while len(runs) > 1:
            short = min(range(len(runs)), key=lambda index: runs[index].end - runs[index].start)
            if runs[short].end - runs[short].start >= min_length:
                break
            _absorb(runs, short)
            runs = _merged(runs)
    return [run.segment() for run in runs]


def _merged(runs: list[_Run]) -> list[_Run]:
    merged: list[_Run] = []
    for run in runs:
        if merged and merged[-1].label == run.label:
            last = merged[-1]
            last.end, last.weighted, last.weight = run.end, last.weighted + run.weighted, last.weight + run.weight
        else:
            merged.append(run)
    return merged


def _absorb(runs: list[_Run], short: int) -> None:
    """Give run `short` to its longer neighbour. Its own score spoke for another label, so it is not averaged in."""
    neighbours = [index for index in (short - 1, short + 1) if 0 <= index < len(runs)]
    taker = max(neighbours, key=lambda index: runs[index].end - runs[index].start)
    runs[taker].start = min(runs[taker].start, runs[short].start)
    runs[taker].end = max(runs[taker].end, runs[short].end)
    del runs[short]


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
    cells_heard = np.array([heard[cell.windows.start : cell.windows.stop].any() for cell in cells])
    decisions = decide(cell_scores(scores, cells), cells_heard, settings.labels, settings.other_label)
    return tuple(segments(cells, decisions, settings.merge, min_length))
