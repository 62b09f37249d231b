from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from block.smoothing import FilterSpans, filter_median, find_active, number_runs
from block.windows import Cell, Layout, lay_out_windows
from tests.layouts import GRID, draw_scores, layouts


def column(*values: float) -> np.ndarray:
    return np.array(values)[:, None]


def test_the_median_filter_removes_what_is_shorter_than_half_of_it_and_keeps_what_is_longer() -> None:
    cells = lay_out_windows(70, 10, 10).cells
    blip, event = column(0, 0, 0.9, 0, 0, 0, 0), column(0, 0, 0.9, 0.9, 0, 0, 0)
    assert (filter_median(blip, cells, 30) == 0).all()
    assert (filter_median(event, cells, 30) == event).all()
    assert (filter_median(1 - blip, cells, 30) == 1).all()


def test_the_median_filter_counts_time_and_not_cells() -> None:
    lengths = [10, 1, 1, 1, 10]
    starts = np.cumsum([0, *lengths])
    cells = [Cell(int(a), int(b), range(1)) for a, b in zip(starts, starts[1:], strict=False)]
    scores = column(0.1, 0.9, 0.9, 0.9, 0.1)
    # Three of the five cells in the middle one's span have the high score, but for 3 of 9 values only.
    assert filter_median(scores, cells, 9)[2] == 0.1
    assert filter_median(scores, cells, 5)[2] == 0.9


@given(st.data(), layouts(), st.integers(1, 30))
def test_the_median_filter_equals_the_lower_median_of_the_values_in_the_span(
    data: st.DataObject, layout: Layout, length: int
) -> None:
    scores = draw_scores(data, len(layout.cells), 2)
    filtered = filter_median(scores, layout.cells, length)
    halves = np.repeat(scores, [2 * cell.length for cell in layout.cells], axis=0)
    for at, cell in enumerate(layout.cells):
        center = cell.start + cell.end
        inside = np.sort(halves[max(0, center - length) : center + length], axis=0)
        assert (filtered[at] == inside[(len(inside) - 1) // 2]).all()


@given(st.data(), layouts(), st.integers(1, 30), GRID)
def test_filtering_scores_and_then_comparing_equals_filtering_the_comparison(
    data: st.DataObject, layout: Layout, length: int, threshold: float
) -> None:
    scores = draw_scores(data, len(layout.cells), 2)
    decided = (scores >= threshold).astype(float)
    assert (
        (filter_median(scores, layout.cells, length) >= threshold) == filter_median(decided, layout.cells, length)
    ).all()


def test_a_filter_no_longer_than_the_shortest_cell_returns_the_scores_themselves() -> None:
    cells = lay_out_windows(25, 10, 10).cells
    scores = column(0.1, 0.9, 0.3)
    assert filter_median(scores, cells, 0) is scores
    assert filter_median(scores, cells, 5) is scores
    assert filter_median(scores, cells, 6) is not scores


def test_large_groups_are_filtered_block_by_block_with_the_same_result(monkeypatch) -> None:
    cells = lay_out_windows(997, 10, 10).cells
    scores = np.random.default_rng(1).random((len(cells), 3))
    whole = filter_median(scores, cells, 75)
    monkeypatch.setattr("block.smoothing.BLOCK_SCORES", 50)
    assert (filter_median(scores, cells, 75) == whole).all()


@given(st.data(), layouts(), st.integers(1, 30))
def test_spread_finds_the_cells_that_a_changed_score_can_reach(
    data: st.DataObject, layout: Layout, length: int
) -> None:
    count = len(layout.cells)
    chosen = np.zeros(count, dtype=bool)
    chosen[data.draw(st.integers(0, count - 1))] = True
    spans = FilterSpans.of(layout.cells, length)
    reached = [at for at in range(count) if chosen[spans.first[at] : spans.last[at]].any()]
    found = spans.spread(chosen)
    [own] = np.flatnonzero(chosen)
    assert found.tolist() == [spans.first[own] <= at < spans.last[own] for at in range(count)]
    # The spans of unequal cells aren't symmetric, but a cell is always in its own.
    assert own in reached
    assert found[own]


@given(st.data(), st.integers(1, 12), st.integers(1, 3))
def test_a_label_is_active_in_the_runs_that_reach_its_threshold(data: st.DataObject, rows: int, columns: int) -> None:
    sustained = draw_scores(data, rows, columns) > 0.3
    reached = sustained & (draw_scores(data, rows, columns) > 0.6)
    active = find_active(reached, sustained)
    expected = reached.copy()
    for _ in range(rows):
        before, after = expected.copy(), expected.copy()
        before[1:], after[:-1] = expected[:-1], expected[1:]
        expected |= (before | after) & sustained
    assert (active == expected).all()
    assert (find_active(active, sustained) == active).all()
    assert (find_active(reached, reached) == reached).all()


def test_runs_are_numbered_down_each_column() -> None:
    mask = np.array([[1, 0], [1, 1], [0, 1], [1, 1]], dtype=bool)
    assert number_runs(mask).T.tolist() == [[1, 1, 0, 2], [0, 3, 3, 3]]
    assert number_runs(np.zeros((2, 2), dtype=bool)).tolist() == [[0, 0], [0, 0]]
