"""Divide a recording into windows, the cells that get labels, and chunks that fit the model.

Integer arithmetic only: no torch and no I/O. Positions count values of the recording unless a name says otherwise.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from math import floor

import numpy as np
import numpy.typing as npt

from block.recording import RecordingError, Waveform, Window

MAX_WINDOWS = 1_000_000  # of one recording: a day every 100 ms; more take gigabytes to lay out and weeks to score
MIN_WINDOW_MS = 25  # one frame of the front end: anything shorter has no spectrum


@dataclass(frozen=True)
class Cell:
    """The smallest span that gets one label, `[start, end)`, and the indices of the windows that cover it whole."""

    start: int
    end: int
    windows: range

    @property
    def length(self) -> int:
        return self.end - self.start


@dataclass(frozen=True)
class Layout:
    """The windows of a recording that has `values` values, and the cells that tile it."""

    values: int
    windows: tuple[Window, ...]
    cells: tuple[Cell, ...]


def round_half_up(x: Fraction | int) -> int:
    """Return the integer nearest to `x`; halves go up."""
    return floor(x + Fraction(1, 2))


def lay_out_windows(values: int, size: int, stride: int) -> Layout:
    """Lay out windows of `size` values every `stride` values over a recording of `values` values.

    Windows start at 0, stride, 2·stride … as long as they fit. If values are left over, one more window ends at the
    last value. A recording shorter than `size` is one window. Cells are cut at the multiples of the stride below the
    end of the last fitting window, at that end, and at the end of the recording.

    Requires `values ≥ 1` and `1 ≤ stride ≤ size`.
    """
    if values < 1 or not 1 <= stride <= size:
        raise ValueError(f"got {values} values, size {size}, stride {stride}; need values ≥ 1, 1 ≤ stride ≤ size")
    size = min(size, values)
    windows = [Window(start, start + size) for start in range(0, values - size + 1, stride)]
    fitting_end = windows[-1].end
    regular = len(windows)
    cuts = [*range(0, fitting_end, stride), fitting_end]
    if fitting_end < values:
        windows.append(Window(values - size, values))
        cuts.append(values)
    cells = []
    for start, end in itertools.pairwise(cuts):
        # Regular window i spans [i·stride, i·stride + size), so it covers the cell if i·stride ≤ start and
        # end ≤ i·stride + size. The added window starts after all regular ones: if it covers the cell too, the
        # covering windows are still consecutive.
        first = max(0, -((size - end) // stride))
        last = min(start // stride, regular - 1)
        if len(windows) > regular and windows[-1].start <= start:
            first, last = min(first, regular), regular
        cells.append(Cell(start, end, range(first, last + 1)))
    return Layout(values, tuple(windows), tuple(cells))


def lay_out_windows_ms(values: int, value_rate_hz: Fraction, size_ms: int, stride_ms: int) -> Layout:
    """Lay out windows whose size and stride are in milliseconds; `size_ms` 0 is one window over everything.

    Raises RecordingError if the recording is empty or shorter than 25 ms, gets over a million windows, or has such a
    low rate that a stride rounds to 0 values.
    """
    if values < 1:
        raise RecordingError("the recording is empty: it has 0 values")
    if values * 1000 < MIN_WINDOW_MS * value_rate_hz:
        length_ms = float(values * 1000 / value_rate_hz)
        raise RecordingError(f"the recording is {length_ms:.1f} ms long; at least {MIN_WINDOW_MS} ms are needed")
    if size_ms == 0:
        return lay_out_windows(values, values, values)
    size = round_half_up(size_ms * value_rate_hz / 1000)
    stride = round_half_up(stride_ms * value_rate_hz / 1000)
    if stride < 1:
        raise RecordingError(f"a stride of {stride_ms} ms is less than one value at {float(value_rate_hz):g} Hz")
    if (count := max(0, values - size) // stride + 1) > MAX_WINDOWS:
        raise RecordingError(f"a stride of {stride_ms} ms gives {count} windows; at most {MAX_WINDOWS} can be laid out")
    return lay_out_windows(values, size, stride)


def slice_at_model_rate(window: Window, ratio: Fraction, positions: int, least: int = 1) -> Window:
    """Return where `window` lies in the resampled waveform, which has `positions` values, `ratio` per recorded value.

    Windows of one length give slices of one length, with starts clipped so that they end within the waveform. A slice
    has at least `least` values if the waveform does: rounding twice can leave a 25 ms window one value short of a
    frame.
    """
    length = min(max(round_half_up(window.length * ratio), least), positions)
    start = min(round_half_up(window.start * ratio), positions - length)
    return Window(start, start + length)


def split_into_chunks(length: int, limit: int) -> Iterator[Window]:
    """Yield `[0, length)` cut into the fewest spans of at most `limit` values, equal in length to within one."""
    count = -(-length // limit)
    for index in range(count):
        yield Window(index * length // count, (index + 1) * length // count)


@dataclass(frozen=True, eq=False)
class PreparedRecording:
    """A recording ready for the model.

    `waveform` is at the model's rate. `chunks` are the spans of it that the model gets, window by window;
    `chunk_counts` has the number for each window, 0 if it is silent. `levels_dbfs`, float32, has the RMS level of each
    window. `content` is as in `Recording`.
    """

    recording_id: int
    name: str
    seconds: float
    value_rate_hz: Fraction
    layout: Layout
    waveform: Waveform
    chunks: tuple[Window, ...]
    chunk_counts: tuple[int, ...]
    levels_dbfs: npt.NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    content: str = ""

    @property
    def size_bytes(self) -> int:
        return int(self.waveform.nbytes)
