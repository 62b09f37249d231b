from __future__ import annotations

import itertools
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from block.recording import RecordingError, Window
from block.windows import (
    Layout,
    add_context,
    divide_stretches,
    lay_out_stretches,
    lay_out_windows,
    lay_out_windows_ms,
    round_half_up,
    slice_at_model_rate,
    split_into_chunks,
)


def told(layout: Layout) -> list[tuple[int, int, list[int]]]:
    return [(cell.start, cell.end, list(cell.windows)) for cell in layout.cells]


@pytest.mark.parametrize(
    ("values", "size", "stride", "windows", "cells"),
    [
        (10, 4, 4, [(0, 4), (4, 8), (6, 10)], [(0, 4, [0]), (4, 8, [1]), (8, 10, [2])]),
        (10, 4, 3, [(0, 4), (3, 7), (6, 10)], [(0, 3, [0]), (3, 6, [1]), (6, 9, [2]), (9, 10, [2])]),
        (10, 5, 3, [(0, 5), (3, 8), (5, 10)], [(0, 3, [0]), (3, 6, [1]), (6, 8, [1, 2]), (8, 10, [2])]),
        (3, 4, 4, [(0, 3)], [(0, 3, [0])]),
        (8, 4, 4, [(0, 4), (4, 8)], [(0, 4, [0]), (4, 8, [1])]),
        (9, 4, 2, [(0, 4), (2, 6), (4, 8), (5, 9)],
         [(0, 2, [0]), (2, 4, [0, 1]), (4, 6, [1, 2]), (6, 8, [2, 3]), (8, 9, [3])]),
        (7, 7, 7, [(0, 7)], [(0, 7, [0])]),
        (3, 4, 2, [(0, 3)], [(0, 2, [0]), (2, 3, [0])]),
    ],
)  # fmt: skip
def test_windows_and_cells_are_those_of_the_design(
    values: int, size: int, stride: int, windows: list[tuple[int, int]], cells: list[tuple[int, int, list[int]]]
) -> None:
    layout = lay_out_windows(values, size, stride)
    assert [(window.start, window.end) for window in layout.windows] == windows
    assert told(layout) == cells


@given(st.integers(1, 400), st.integers(1, 60), st.data())
def test_cells_tile_the_recording_and_know_exactly_the_windows_that_cover_them(
    values: int, size: int, data: st.DataObject
) -> None:
    stride = data.draw(st.integers(1, size))
    layout = lay_out_windows(values, size, stride)
    assert layout.cells[0].start == 0
    assert layout.cells[-1].end == values
    for cell, following in zip(layout.cells, layout.cells[1:], strict=False):
        assert cell.end == following.start
    for cell in layout.cells:
        assert 0 < cell.length <= stride
        covering = [i for i, w in enumerate(layout.windows) if w.start <= cell.start and cell.end <= w.end]
        assert covering
        assert list(cell.windows) == covering


@given(st.integers(1, 10**6), st.integers(1, 200_000), st.integers(25, 20_000), st.data())
def test_every_value_of_every_length_rate_size_and_stride_is_heard_in_windows_of_one_length(
    values: int, rate: int, size_ms: int, data: st.DataObject
) -> None:
    stride_ms = data.draw(st.integers(max(1, size_ms // 50), size_ms))
    try:
        layout = lay_out_windows_ms(values, Fraction(rate), size_ms, stride_ms)
    except RecordingError:
        assert values * 1000 < 25 * rate or stride_ms * rate < 500
        return
    lengths = {window.length for window in layout.windows}
    assert lengths == {min(values, round_half_up(Fraction(size_ms * rate, 1000)))}
    assert layout.windows[0].start == 0
    assert layout.windows[-1].end == values
    assert all(a.end >= b.start for a, b in zip(layout.windows, layout.windows[1:], strict=False))


def test_sizes_in_milliseconds_round_half_up() -> None:
    layout = lay_out_windows_ms(22050, Fraction(22050), 25, 10)
    assert layout.windows[0].length == 551  # 551.25
    assert layout.windows[1].start == 221  # 220.5


def test_a_window_size_of_0_is_one_window_whatever_the_stride() -> None:
    assert told(lay_out_windows_ms(1000, Fraction(16000), 0, 7)) == [(0, 1000, [0])]


@pytest.mark.parametrize(("values", "rate"), [(0, 16000), (399, 16000), (1102, 44100)])
def test_an_empty_recording_or_one_under_25_ms_fails(values: int, rate: int) -> None:
    with pytest.raises(RecordingError, match=r"empty|25 ms"):
        lay_out_windows_ms(values, Fraction(rate), 2000, 2000)


def test_a_recording_of_25_ms_is_enough() -> None:
    assert len(lay_out_windows_ms(400, Fraction(16000), 2000, 2000).windows) == 1


def test_a_stride_of_less_than_a_value_fails_and_names_the_rate() -> None:
    with pytest.raises(RecordingError, match="less than one value at 100 Hz"):
        lay_out_windows_ms(1000, Fraction(100), 1000, 1)


def test_one_window_more_than_a_million_is_refused_with_their_number() -> None:
    with pytest.raises(RecordingError, match="gives 1000001 windows; expected at most 1000000"):
        lay_out_windows_ms(1_000_025, Fraction(1000), 25, 1)


@given(st.integers(1, 10**6), st.integers(1, 5000))
def test_chunks_are_the_fewest_that_fit_and_tile_the_window_evenly(length: int, limit: int) -> None:
    parts = list(split_into_chunks(length, limit))
    assert len(parts) == -(-length // limit)
    assert parts[0].start == 0
    assert parts[-1].end == length
    assert all(a.end == b.start for a, b in zip(parts, parts[1:], strict=False))
    assert max(part.length for part in parts) <= limit
    assert max(part.length for part in parts) - min(part.length for part in parts) <= 1


def test_slices_at_the_model_rate_keep_one_length_and_end_in_the_waveform() -> None:
    ratio = Fraction(160, 441)
    layout = lay_out_windows_ms(44100 * 3 + 7, Fraction(44100), 1000, 700)
    positions = 48003
    slices = [slice_at_model_rate(window, ratio, positions) for window in layout.windows]
    assert {piece.length for piece in slices} == {16000}
    assert slices[1] == Window(11200, 27200)
    assert max(piece.end for piece in slices) <= positions


def test_a_window_beyond_the_end_of_a_slightly_short_waveform_is_moved_back_into_it() -> None:
    assert slice_at_model_rate(Window(84, 100), Fraction(1), 95) == Window(79, 95)


@given(st.integers(1, 500), st.lists(st.integers(-5, 505), max_size=12), st.fractions(1, 90))
def test_stretches_tile_the_recording_keep_every_cut_and_are_no_longer_than_the_longest(
    values: int, cuts: list[int], longest: Fraction
) -> None:
    divided = divide_stretches(values, cuts, longest)
    layout = lay_out_stretches(values, divided)
    assert layout.cuts == tuple(divided)
    assert set(divided) >= {cut for cut in cuts if 0 < cut < values}
    edges = [0, *divided, values]
    assert [(window.start, window.end) for window in layout.windows] == list(itertools.pairwise(edges))
    assert told(layout) == [(start, end, [at]) for at, (start, end) in enumerate(itertools.pairwise(edges))]
    assert all(0 < window.length <= longest for window in layout.windows)
    assert divide_stretches(values, divided, longest) == divided


def test_a_long_stretch_is_divided_evenly_and_a_short_one_stays() -> None:
    assert divide_stretches(100, [40], Fraction(39)) == [20, 40, 70]
    assert divide_stretches(100, [40], Fraction(60)) == [40]
    assert divide_stretches(100, [], Fraction(1000)) == []


@pytest.mark.parametrize("cuts", [[0], [10], [5, 5], [7, 3], [-1], [11]])
def test_cuts_that_do_not_divide_the_recording_are_refused(cuts: list[int]) -> None:
    with pytest.raises(ValueError, match=r"got cuts .*; expected them in order, and between 0 and 10"):
        lay_out_stretches(10, cuts)


def test_more_than_a_million_stretches_are_refused() -> None:
    with pytest.raises(RecordingError, match="--boundaries sound gives 1000001 windows; expected at most 1000000"):
        lay_out_stretches(2_000_000, range(1, 1_000_001))


def test_context_is_the_same_on_both_sides_within_the_recording_and_the_limit() -> None:
    assert add_context(Window(100, 200), 0, 1000, 500) == Window(100, 200)
    assert add_context(Window(100, 200), 50, 1000, 500) == Window(50, 250)
    assert add_context(Window(10, 110), 50, 130, 500) == Window(0, 130)  # the recording ends on both sides
    assert add_context(Window(300, 400), 250, 1000, 301) == Window(200, 500)  # 100 on each side fit
    assert add_context(Window(0, 500), 50, 1000, 500) == Window(0, 500)


@given(st.integers(0, 100), st.integers(1, 50), st.integers(0, 200), st.integers(0, 60))
def test_context_never_exceeds_the_limit_or_the_recording(start: int, length: int, context: int, more: int) -> None:
    values, limit, window = start + length + more, length + more, Window(start, start + length)
    found = add_context(window, context, values, limit)
    assert 0 <= found.start <= window.start <= window.end <= found.end <= values
    assert found.length <= limit
    assert max(window.start - found.start, found.end - window.end) <= context
