"""Fast mode computes a window exactly if its error could change a label, with hysteresis and medians: brute force."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from block.decisions import decide_cells, find_heard_cells, label_recording, smooth_cells
from block.labels import LabelOfInterest
from block.settings import DecisionSettings
from block.uncertainty import find_uncertain_windows
from block.windows import Layout, lay_out_windows
from tests.layouts import draw_labels, draw_scores, join_windows, layouts

SHARES = st.sampled_from([1.0, 0.75, 0.5, 0.2])


def decide(
    layout: Layout,
    scores: np.ndarray,
    heard: np.ndarray,
    labels: tuple[LabelOfInterest, ...],
    share: float,
    median: int,
) -> list[str]:
    cells_heard = find_heard_cells(heard, layout.cells)
    smooth = smooth_cells(scores, cells_heard, layout.cells, median)
    return [one.label for one in decide_cells(smooth, cells_heard, labels, "other", share)]


def draw_layout(rng: np.random.Generator) -> Layout:
    if rng.random() < 0.3:
        size = int(rng.integers(1, 12))
        return lay_out_windows(int(rng.integers(20, 40)), size, int(rng.integers(max(1, size // 3), size + 1)))
    return join_windows(rng.integers(1, 12, int(rng.integers(2, 10))).tolist())


@pytest.mark.parametrize("seed", range(4))
def test_no_label_changes_within_the_errors_if_no_window_is_uncertain(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rounds = 0
    for _ in range(300):
        layout = draw_layout(rng)
        count, width = len(layout.windows), int(rng.integers(1, 4))
        labels = tuple(LabelOfInterest(at, "aab"[at], "aab"[at], rng.choice([0.3, 0.5]), "") for at in range(width))
        share, median = rng.choice([1.0, 0.7, 0.5]), int(rng.choice([0, 0, 7, 15, 30]))
        heard = rng.random(count) < 0.95
        scores = rng.choice([0.0, 0.14, 0.16, 0.24, 0.26, 0.29, 0.31, 0.49, 0.51, 0.9], (count, width)) * heard[:, None]
        errors = rng.choice([0.0, 0.02, 0.06, 0.2], count) * heard
        exact = scores + errors[:, None] * rng.choice([-0.999, -0.5, 0.5, 0.999], scores.shape)
        truth = decide(layout, exact, heard, labels, share, median)
        # As fast mode does: compute uncertain windows exactly, until none is left.
        while True:
            found = find_uncertain_windows(scores, errors, heard, layout.cells, labels, share, median)
            assert not (found & (errors == 0)).any()
            if not found.any():
                break
            scores, errors = np.where(found[:, None], exact, scores), np.where(found, 0.0, errors)
            rounds += 1
        assert decide(layout, scores, heard, labels, share, median) == truth
        for _ in range(4):
            moved = scores + errors[:, None] * rng.choice([-0.999, 0.999], scores.shape)
            assert decide(layout, moved, heard, labels, share, median) == truth
    assert rounds > 200, "hardly any window was uncertain: the test could not fail"


@given(st.data(), layouts(), SHARES, st.integers(0, 30))
def test_a_label_that_changes_has_an_uncertain_window_that_can_change_it(
    data: st.DataObject, layout: Layout, share: float, median: int
) -> None:
    """With only one window off, that window must be found wherever a label changes."""
    labels = draw_labels(data)
    count = len(layout.windows)
    heard = np.ones(count, dtype=bool)
    scores = draw_scores(data, count, len(labels))
    errors = np.zeros(count)
    errors[data.draw(st.integers(0, count - 1))] = 0.1
    found = find_uncertain_windows(scores, errors, heard, layout.cells, labels, share, median)
    before = decide(layout, scores, heard, labels, share, median)
    for move in (-0.0999, -0.05, 0.05, 0.0999):
        after = decide(
            layout, scores + (errors * np.sign(move) * abs(move) / 0.1)[:, None], heard, labels, share, median
        )
        if after != before:
            assert (found == (errors > 0)).all()


def test_a_window_is_uncertain_if_a_label_far_from_it_depends_on_it() -> None:
    cells = lay_out_windows(50, 10, 10).cells
    labels = [LabelOfInterest(0, "a", "a", 0.4, "a")]
    heard, errors = np.ones(5, dtype=bool), np.full(5, 0.02)

    def find(*scores: float) -> list[int]:
        column = np.array(scores)[:, None]
        return np.flatnonzero(find_uncertain_windows(column, errors, heard, cells, labels, 0.5)).tolist()

    assert find(0.41, 0.3, 0.3, 0.3, 0.3) == [0]  # if it falls below the threshold, all of them lose their label
    assert find(0.9, 0.3, 0.21, 0.3, 0.3) == [2]  # if it falls below the share, those after it do
    assert find(0.9, 0.3, 0.21, 0.3, 0.9) == [2]
    assert find(0.9, 0.41, 0.3, 0.3, 0.3) == []  # the label is kept in any case
    assert find(0.3, 0.21, 0.3, 0.1, 0.9) == []  # nothing near them reaches the threshold


def test_a_window_is_uncertain_if_the_median_of_a_neighbor_depends_on_it() -> None:
    cells = lay_out_windows(50, 10, 10).cells
    labels = [LabelOfInterest(0, "a", "a", 0.4, "a")]
    scores = np.array([0.9, 0.41, 0.1, 0.1, 0.1])[:, None]
    heard = np.ones(5, dtype=bool)
    # The median at 0 is 0.41 or 0.9, and at 1, it is 0.41.
    errors = np.array([0.02, 0.02, 0.0, 0.0, 0.02])
    found = find_uncertain_windows(scores, errors, heard, cells, labels, 1.0, 30)
    assert found.tolist() == [True, True, False, False, False]
    assert not find_uncertain_windows(scores, np.where(errors > 0, 0.005, 0), heard, cells, labels, 1.0, 30).any()


def test_shortest_sounds_and_gaps_follow_from_the_labels_of_cells() -> None:
    layout = lay_out_windows(50, 10, 10)
    labels = (LabelOfInterest(0, "a", "a", 0.4, "a"),)
    chosen = DecisionSettings(labels, min_event_ms=15, min_gap_ms=15)
    scores = np.array([0.9, 0.9, 0.39, 0.9, 0.1])[:, None]
    heard, errors = np.ones(5, dtype=bool), np.full(5, 0.02)
    # The third window's label is open, though the gap that it may leave would be closed: better one window too many.
    assert find_uncertain_windows(scores, errors, heard, layout.cells, labels).tolist() == [0, 0, 1, 0, 0]
    for moved in (scores, scores + 0.02):
        found = label_recording(1, "r", Fraction(1000), layout, [1] * 5, moved, chosen).segments
        assert [(one.label, one.end) for one in found] == [("a", 40), ("other", 50)]
