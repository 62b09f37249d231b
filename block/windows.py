"""Divide a recording into windows, the cells that get labels, and chunks that fit the model.

Integer arithmetic only: no torch and no I/O. Positions count values of the recording unless a name says otherwise.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import floor

import numpy as np
import numpy.typing as npt

from block.recording import RecordingError, Waveform, Window

MAX_WINDOWS = 1_000_000  # per recording: a day, every 100 ms; more would take gigabytes of memory and weeks to score
MIN_WINDOW_MS = 25  # one frame of the front end; anything shorter has no spectrum


@dataclass(frozen=True)
class Cell:
    """The smallest span that gets one label, `[start, end)`, and the indices of the windows that cover all of it."""

    start: int
    end: int
    windows: range

    @property
    def length(self) -> int:
        return self.end - self.start


@dataclass(frozen=True)
class Layout:
    """The windows of a recording of `values` values, and the cells that tile it.

    `cuts` are the values where windows that don't lie on a grid meet; None on a grid.
    """

    values: int
    windows: tuple[Window, ...]
    cells: tuple[Cell, ...]
    cuts: tuple[int, ...] | None = None


def round_half_up(x: Fraction | int) -> int:
    """Return the integer nearest to `x`; round halves up."""
    return floor(x + Fraction(1, 2))


def lay_out_windows(values: int, size: int, stride: int) -> Layout:
    """Lay out windows of `size` values every `stride` values over a recording of `values` values.

    Windows start at 0, stride, 2·stride … as long as they fit. If values are left over, one more window ends at the
    last value. A recording shorter than `size` is one window. Cells are cut at multiples of the stride up to the end of
    the last window that fits, at that end, and at the end of the recording.

    Raise ValueError unless `values ≥ 1` and `1 ≤ stride ≤ size`.
    """
    if values < 1 or not 1 <= stride <= size:
        raise ValueError(f"got {values} values, size {size}, stride {stride}; expected values ≥ 1, 1 ≤ stride ≤ size")
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
        # end ≤ i·stride + size. The added window starts after all regular ones, so the windows that cover a cell are
        # always consecutive.
        first = max(0, -((size - end) // stride))
        last = min(start // stride, regular - 1)
        if len(windows) > regular and windows[-1].start <= start:
            first, last = min(first, regular), regular
        cells.append(Cell(start, end, range(first, last + 1)))
    return Layout(values, tuple(windows), tuple(cells))


def lay_out_windows_ms(values: int, value_rate_hz: Fraction, size_ms: int, stride_ms: int) -> Layout:
    """Lay out windows with size and stride in milliseconds; `size_ms` 0 means one window over the whole recording.

    Raise RecordingError if the recording is empty or shorter than 25 ms, needs more than a million windows, or has such
    a low rate that the stride rounds to 0 values.
    """
    if values < 1:
        raise RecordingError("the recording is empty: it has 0 values")
    if values * 1000 < MIN_WINDOW_MS * value_rate_hz:
        length_ms = float(values * 1000 / value_rate_hz)
        raise RecordingError(f"the recording is {length_ms:.1f} ms long; expected at least {MIN_WINDOW_MS} ms")
    if size_ms == 0:
        return lay_out_windows(values, values, values)
    size = round_half_up(size_ms * value_rate_hz / 1000)
    stride = round_half_up(stride_ms * value_rate_hz / 1000)
    if stride < 1:
        raise RecordingError(
            f"--win-stride-ms {stride_ms} is less than one value at {float(value_rate_hz):g} Hz; use a larger stride"
        )
    if (count := max(0, values - size) // stride + 1) > MAX_WINDOWS:
        raise RecordingError(
            f"--win-stride-ms {stride_ms} gives {count} windows; expected at most {MAX_WINDOWS}; use a larger stride"
        )
    return lay_out_windows(values, size, stride)


def lay_out_stretches(values: int, cuts: Sequence[int]) -> Layout:
    """Lay out one window, which is also a cell, from each of `cuts` to the next, and at both ends of the recording.

    Raise ValueError unless cuts are in order and divide `[0, values)` into spans of at least one value, RecordingError
    if there are more than a million.
    """
    if (count := len(cuts) + 1) > MAX_WINDOWS:
        raise RecordingError(
            f"--boundaries sound gives {count} windows; expected at most {MAX_WINDOWS}; divide the recording, or use "
            "--boundaries grid"
        )
    spans = list(itertools.pairwise((0, *cuts, values)))
    if any(start >= end for start, end in spans):
        raise ValueError(f"got cuts {list(cuts)}; expected them in order, and between 0 and {values}")
    windows = tuple(Window(start, end) for start, end in spans)
    cells = tuple(Cell(start, end, range(at, at + 1)) for at, (start, end) in enumerate(spans))
    return Layout(values, windows, cells, tuple(cuts))


def divide_stretches(values: int, cuts: Sequence[int], longest: Fraction) -> list[int]:
    """Return `cuts` with others, as few as possible, that evenly divide stretches of more than `longest` values.

    Cuts outside `[1, values)`, and all but the first of equal ones, are left out.
    """
    kept = [0, *sorted({cut for cut in cuts if 0 < cut < values}), values]
    return [
        start + part.start
        for start, end in itertools.pairwise(kept)
        for part in split_into_chunks(end - start, max(1, floor(longest)))
    ][1:]


def slice_at_model_rate(window: Window, ratio: Fraction, positions: int, least: int = 1) -> Window:
    """Return the span of `window` in the resampled waveform, which has `positions` values, `ratio` per recorded value.

    Windows of equal length give spans of equal length; starts are clipped so that spans end within the waveform. A span
    has at least `least` values if the waveform does, since rounding twice can leave a 25 ms window one value short of a
    frame.
    """
    length = min(max(round_half_up(window.length * ratio), least), positions)
    start = min(round_half_up(window.start * ratio), positions - length)
    return Window(start, start + length)


def add_context(window: Window, context: int, values: int, limit: int) -> Window:
    """Return `window`, of at most `limit` values, with up to `context` of the values before it, and as many after it.

    The result has at most `limit` values, and ends where the recording, of `values` values, does.
    """
    context = min(context, (limit - window.length) // 2)
    return Window(max(0, window.start - context), min(values, window.end + context))


def split_into_chunks(length: int, limit: int) -> Iterator[Window]:
    """Yield the fewest spans of at most `limit` values that tile `[0, length)`; their lengths differ by at most one."""
    count = -(-length // limit)
    for index in range(count):
        yield Window(index * length // count, (index + 1) * length // count)


@dataclass(frozen=True, eq=False)
class PreparedRecording:
    """A recording ready for the model.

    `waveform` is at the model's rate. `chunks` are its spans that the model gets, window by window; `chunk_counts` is
    the number of chunks per window, 0 if it's silent. `levels_dbfs`, float32, is the RMS level of each window.
    `content` is as in `Recording`.
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
