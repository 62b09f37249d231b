"""Layouts for property tests: windows every stride, and windows of unequal lengths side by side."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from block.labels import LabelOfInterest
from block.recording import Window
from block.windows import Cell, Layout, lay_out_windows

GRID = st.integers(0, 20).map(lambda step: step / 20)  # ties and scores on a threshold are common


def join_windows(lengths: Sequence[int]) -> Layout:
    """Return a layout of windows of these lengths, one after the other."""
    cuts = [0, *itertools.accumulate(lengths)]
    windows = tuple(Window(start, end) for start, end in itertools.pairwise(cuts))
    cells = tuple(Cell(one.start, one.end, range(at, at + 1)) for at, one in enumerate(windows))
    return Layout(cuts[-1], windows, cells)


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    """Draw a layout of a few windows."""
    if draw(st.booleans()):
        size = draw(st.integers(1, 12))
        return lay_out_windows(draw(st.integers(1, 40)), size, draw(st.integers(max(1, size // 3), size)))
    return join_windows(draw(st.lists(st.integers(1, 12), min_size=1, max_size=10)))


def draw_scores(data: st.DataObject, rows: int, columns: int) -> npt.NDArray[np.float64]:
    """Draw scores, shape `(rows, columns)`."""
    row = st.lists(GRID, min_size=columns, max_size=columns)
    return np.array(data.draw(st.lists(row, min_size=rows, max_size=rows)), dtype=float).reshape(rows, columns)


def draw_labels(data: st.DataObject, most: int = 3) -> tuple[LabelOfInterest, ...]:
    """Draw up to `most` labels with thresholds; some have the same name."""
    names = data.draw(st.lists(st.sampled_from("aab"), min_size=1, max_size=most))
    return tuple(LabelOfInterest(at, name, name, data.draw(GRID), name) for at, name in enumerate(names))
