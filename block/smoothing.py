"""Smooth scores and decisions in time: a median filter, and hysteresis.

Both work on cells of any length, because they count time and not cells. Pure functions on arrays: no torch and no
audio.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from block.windows import Cell

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.intp]

BLOCK_SCORES = 1 << 20  # filtered at once


@dataclass(frozen=True, eq=False)
class FilterSpans:
    """What the median filter looks at for each cell: the cells `first` up to, not including, `last`, each `(cells,)`.

    The span of a cell is `length` values long and has the same center as the cell, but ends where the recording does.
    `starts`, `ends`, `span_starts` and `span_ends`, in half values, are those of cells and of their spans.
    """

    first: Integers
    last: Integers
    starts: Integers
    ends: Integers
    span_starts: Integers
    span_ends: Integers

    @classmethod
    def of(cls, cells: Sequence[Cell], length: int) -> FilterSpans:
        """Return the spans of `length` values, more than 0, of cells that tile a recording."""
        starts = np.array([2 * cell.start for cell in cells], dtype=np.intp)
        ends = np.array([2 * cell.end for cell in cells], dtype=np.intp)
        centers = (starts + ends) // 2
        span_starts, span_ends = np.maximum(centers - length, starts[0]), np.minimum(centers + length, ends[-1])
        first = np.searchsorted(ends, span_starts, side="right")
        last = np.searchsorted(starts, span_ends, side="left")
        return cls(first, last, starts, ends, span_starts, span_ends)

    def weigh(self, rows: Integers, others: Integers) -> Integers:
        """Return how much of `others` is in the span of each of `rows`. Shape: `(n,)` and `(n, k)` in, `(n, k)` out."""
        until = np.minimum(self.ends[others], self.span_ends[rows, None])
        return until - np.maximum(self.starts[others], self.span_starts[rows, None])

    def spread(self, chosen: Bools) -> Bools:
        """Return which cells are in the span of any `chosen` cell. Shape: `(cells,)` in and out."""
        changes = np.zeros(len(chosen) + 1, dtype=np.intp)
        np.add.at(changes, self.first[chosen], 1)
        np.add.at(changes, self.last[chosen], -1)
        return np.asarray(np.cumsum(changes[:-1]) > 0)


def filter_median(scores: Floats, cells: Sequence[Cell], length: int) -> Floats:
    """Return the median over time of each score, over `length` values around the center of each cell.

    Each cell counts with the time for which it is in that span, and the lower median is taken. So a label reaches its
    threshold in a cell if it does so for more than half of the span: the same as filtering the decisions. A `length`
    up to that of the shortest cell changes nothing. Shape: `(cells, labels)` in and out.
    """
    if length <= min(cell.length for cell in cells):
        return scores
    spans = FilterSpans.of(cells, length)
    filtered = np.empty_like(scores)
    for rows, others in _group_by_size(spans, scores.shape[1]):
        values = scores[others]
        order = values.argsort(axis=1, kind="stable")
        weights = np.take_along_axis(np.broadcast_to(spans.weigh(rows, others)[..., None], values.shape), order, axis=1)
        reached = 2 * weights.cumsum(axis=1) >= weights.sum(axis=1, keepdims=True)
        middle = np.take_along_axis(order, reached.argmax(axis=1)[:, None], axis=1)
        filtered[rows] = np.take_along_axis(values, middle, axis=1)[:, 0]
    return filtered


def _group_by_size(spans: FilterSpans, labels: int) -> Iterator[tuple[Integers, Integers]]:
    """Yield groups of cells whose spans have equally many cells: the cells, `(n,)`, and those in the spans, `(n, k)`.

    A group has about `BLOCK_SCORES` scores at most, to bound the memory.
    """
    sizes = spans.last - spans.first
    for size in np.unique(sizes):
        members = np.flatnonzero(sizes == size)
        step = max(1, BLOCK_SCORES // (int(size) * max(1, labels)))
        for start in range(0, len(members), step):
            rows = members[start : start + step]
            yield rows, spans.first[rows, None] + np.arange(size)


def find_active(reached: Bools, sustained: Bools) -> Bools:
    """Return where each label is active: in every run of `sustained` cells in which it is `reached` at least once.

    This is double thresholding: a sound is found where it reaches a high threshold, and lasts in both directions for as
    long as it stays at or above a low one. Labels don't affect each other. `reached` cells are `sustained`. Shape:
    `(cells, labels)` in and out, cells in order of time.
    """
    runs = number_runs(sustained)
    is_found = np.zeros(runs.max(initial=0) + 1, dtype=bool)
    is_found[runs[reached]] = True
    return is_found[runs] & sustained


def number_runs(mask: Bools) -> Integers:
    """Return a number, from 1, for each run of True in the columns of `mask`, and 0 elsewhere. Shape: `(n, m)`."""
    starts = mask.copy()
    starts[1:] &= ~mask[:-1]
    numbers = np.cumsum(starts.T.ravel()).reshape(mask.shape[::-1]).T
    return np.where(mask, numbers, 0)
