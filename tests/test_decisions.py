from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from block.decisions import (
    apply_score_function,
    decide_cells,
    label_recording,
    reduce_to_labels,
    score_cells,
    score_classes,
)
from block.labels import LabelOfInterest
from block.segments import Decision, build_segments
from block.settings import DecisionSettings
from block.uncertainty import find_uncertain_cells, find_uncertain_windows
from block.windows import lay_out_windows

ALL_HEARD = np.ones(4, dtype=bool)


def label(index: int, name: str, threshold: float = 0.2) -> LabelOfInterest:
    return LabelOfInterest(index, name, name, threshold, name)


def test_softmax_makes_classes_compete_and_sigmoid_does_not() -> None:
    three_present = np.array([3.0, 3.0, 3.0] + [-11.0] * 524)
    assert apply_score_function(three_present, "softmax")[:3] == pytest.approx([1 / 3] * 3, abs=1e-3)
    assert apply_score_function(three_present, "sigmoid")[:3] == pytest.approx([0.9526] * 3, abs=1e-4)


@pytest.mark.parametrize("function", ["softmax", "sigmoid"])
def test_scores_stay_finite_for_extreme_logits(function: str) -> None:
    scores = apply_score_function(np.array([[-1e4, 1e4, 0.0], [700.0, 701.0, -700.0]]), function)  # type: ignore[arg-type]
    assert np.isfinite(scores).all()
    assert ((scores >= 0) & (scores <= 1)).all()
    assert apply_score_function(np.array([-30.0, 30.0]), "sigmoid") == pytest.approx([9.36e-14, 1 - 9.36e-14], rel=1e-2)


def test_a_window_in_chunks_gets_the_maximum_of_scores_not_the_score_of_the_maximum() -> None:
    logits = np.array([[2.0, 0.0], [0.0, 5.0], [1.0, 1.0]])
    scores = score_classes(logits, [2, 1], "softmax")
    assert scores == pytest.approx(
        np.array([[np.exp(2) / (np.exp(2) + 1), np.exp(5) / (np.exp(5) + 1)], [0.5, 0.5]]), abs=1e-12
    )


def test_a_label_gets_the_highest_score_of_its_classes_in_any_chunk() -> None:
    logits = np.array([[2.0, 0.0, 0.0], [0.0, 0.0, 5.0], [1.0, 1.0, 1.0]])
    labels = [label(1, "b"), LabelOfInterest(0, "a*", "a", 0.2, "a*", (0, 2)), label(0, "a")]
    of_windows = score_classes(logits, [2, 1], "softmax")
    scores = reduce_to_labels(of_windows, labels)
    assert scores == pytest.approx(np.stack([of_windows[:, 1], of_windows[:, [0, 2]].max(axis=1), of_windows[:, 0]], 1))
    # The maximum of each chunk, then of the chunks, is the same.
    of_pieces = reduce_to_labels(apply_score_function(logits, "softmax"), labels)
    assert (scores == np.stack([of_pieces[:2].max(axis=0), of_pieces[2]])).all()
    assert reduce_to_labels(of_windows, []).shape == (2, 0)


@given(st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=5), min_size=1, max_size=6))
def test_the_highest_of_a_labels_classes_equals_one_taken_class_by_class(classes: list[list[int]]) -> None:
    scores = np.random.default_rng(1).random((7, 5))
    labels = [LabelOfInterest(own[0], "x*", "x", 0.2, "x*", tuple(own)) for own in classes]
    expected = [[max(row[index] for index in own) for own in classes] for row in scores]
    assert reduce_to_labels(scores, labels).tolist() == expected


def test_a_cell_gets_the_mean_of_the_windows_that_cover_it() -> None:
    cells = lay_out_windows(10, 5, 3).cells
    scores = np.array([[0.0, 1.0], [0.4, 0.2], [0.8, 0.0]])
    assert score_cells(scores, cells) == pytest.approx(np.array([[0, 1], [0.4, 0.2], [0.6, 0.1], [0.8, 0]]))


def test_the_highest_label_at_or_above_its_own_threshold_wins() -> None:
    labels = [label(0, "a", 0.5), label(1, "b", 0.2), label(2, "c", 0.9)]
    scores = np.array([[0.4, 0.3, 0.8], [0.5, 0.5, 0.0], [0.49, 0.19, 0.89], [0.0, 0.2, 0.0]])
    assert decide_cells(scores, ALL_HEARD[:4], labels, "other") == [
        Decision("b", 0.3),  # a and c are higher but below their thresholds
        Decision("a", 0.5),  # a tie goes to the first label
        Decision("other", 0.89),
        Decision("b", 0.2),  # the threshold itself is enough
    ]


def test_a_threshold_of_0_is_reached_by_a_score_of_0() -> None:
    assert decide_cells(np.array([[0.0]]), ALL_HEARD[:1], [label(0, "a", 0.0)], "other") == [Decision("a", 0.0)]


def test_a_silent_cell_gets_the_other_label_even_where_a_threshold_is_0() -> None:
    heard = np.array([True, False])
    decisions = decide_cells(np.array([[0.0], [0.0]]), heard, [label(0, "a", 0.0)], "other")
    assert decisions == [Decision("a", 0.0), Decision("other", 0.0)]


def test_a_cell_that_a_silent_and_a_loud_window_cover_gets_the_mean_with_0() -> None:
    layout = lay_out_windows(10, 5, 3)
    scores = np.array([[0.0], [0.8], [0.0]])
    settings = DecisionSettings((label(0, "a", 0.4),), merge=False)
    found = label_recording(1, "r1", Fraction(1000), layout, [0, 1, 0], scores, settings).segments
    assert [s.label for s in found] == ["other", "a", "a", "other"]
    assert [s.score for s in found] == pytest.approx([0, 0.8, 0.4, 0])


def test_classes_renamed_to_one_name_compete_separately() -> None:
    labels = [label(0, "sound"), label(1, "sound"), label(2, "dog")]
    assert decide_cells(np.array([[0.3, 0.3, 0.4]]), ALL_HEARD[:1], labels, "other") == [Decision("dog", 0.4)]


def test_the_minimum_length_of_a_segment_is_in_milliseconds_of_the_recording() -> None:
    layout = lay_out_windows(3000, 1000, 1000)
    scores = np.array([[0.9, 0.1], [0.1, 0.9], [0.9, 0.1]])
    labels = (label(0, "dog"), label(1, "cat"))
    for min_ms, names in ((499, ["dog", "cat", "dog"]), (500, ["dog", "cat", "dog"]), (501, ["cat"])):
        settings = DecisionSettings(labels, min_segment_ms=min_ms)
        found = label_recording(1, "r1", Fraction(2000), layout, [1, 1, 1], scores, settings)
        assert [segment.label for segment in found.segments] == names


def test_neighbors_of_one_label_merge_with_the_length_weighted_mean_score() -> None:
    cells = lay_out_windows(10, 4, 4).cells
    decisions = [Decision("a", 0.5), Decision("a", 0.9), Decision("b", 0.7)]
    merged = build_segments(cells, decisions, merge=True, min_length=0)
    assert [(s.start, s.end, s.label) for s in merged] == [(0, 8, "a"), (8, 10, "b")]
    assert merged[0].score == pytest.approx(0.7)
    apart = build_segments(cells, decisions, merge=False, min_length=0)
    assert [(s.start, s.end, s.label, s.score) for s in apart] == [
        (0, 4, "a", 0.5), (4, 8, "a", 0.9), (8, 10, "b", 0.7),
    ]  # fmt: skip
    uneven = build_segments(
        lay_out_windows(6, 4, 4).cells, [Decision("a", 0.9), Decision("a", 0.3)], merge=True, min_length=0
    )
    assert uneven[0].score == pytest.approx((4 * 0.9 + 2 * 0.3) / 6)


def test_a_short_segment_goes_to_its_longer_neighbor_which_keeps_its_score() -> None:
    cells = lay_out_windows(24, 4, 4).cells
    names = ["a", "b", "c", "c", "a", "a"]
    decisions = [Decision(name, 0.5 if name == "c" else 0.3) for name in names]
    kept = build_segments(cells, decisions, merge=True, min_length=5)
    # a (4) and b (4) are short: a, the earlier, goes to b, its only neighbor; the two are long enough together.
    assert [(s.start, s.end, s.label, s.score) for s in kept] == [
        (0, 8, "b", 0.3), (8, 16, "c", 0.5), (16, 24, "a", 0.3),
    ]  # fmt: skip


def test_giving_away_a_segment_between_two_of_one_label_joins_them() -> None:
    cells = lay_out_windows(20, 4, 4).cells
    decisions = [Decision(name, {"a": 0.4, "b": 0.9, "A": 0.6}[name]) for name in "aabAA"]
    decisions = [Decision(decision.label.lower(), decision.score) for decision in decisions]
    kept = build_segments(cells, decisions, merge=True, min_length=5)
    assert [(s.start, s.end, s.label) for s in kept] == [(0, 20, "a")]
    assert kept[0].score == pytest.approx(0.5)


@given(st.data(), st.integers(1, 200), st.integers(1, 40), st.booleans(), st.integers(0, 60))
def test_segments_cover_the_recording_once_and_in_order(
    data: st.DataObject, values: int, size: int, merge: bool, min_length: int
) -> None:
    cells = lay_out_windows(values, size, data.draw(st.integers(1, size))).cells
    names = data.draw(st.lists(st.sampled_from("abc"), min_size=len(cells), max_size=len(cells)))
    found = build_segments(cells, [Decision(name, 0.5) for name in names], merge, min_length)
    assert found[0].start == 0
    assert found[-1].end == values
    assert all(a.end == b.start for a, b in zip(found, found[1:], strict=False))
    assert all(segment.score == pytest.approx(0.5) for segment in found)
    if merge:
        assert all(a.label != b.label for a, b in zip(found, found[1:], strict=False))
        assert len(found) == 1 or all(segment.length >= min_length for segment in found)


def by_hand(cells: list[tuple[int, int, str]], min_length: int) -> list[tuple[int, int, str]]:
    """Apply the rule word for word, repeatedly, to a plain list."""
    runs = [list(cell) for cell in cells]
    while True:
        joined: list[list] = []
        for run in runs:
            if joined and joined[-1][2] == run[2]:
                joined[-1][1] = run[1]
            else:
                joined.append(run)
        runs = joined
        short = min(range(len(runs)), key=lambda i: runs[i][1] - runs[i][0])
        if len(runs) == 1 or runs[short][1] - runs[short][0] >= min_length:
            return [tuple(run) for run in runs]
        neighbors = [i for i in (short - 1, short + 1) if 0 <= i < len(runs)]
        taker = max(neighbors, key=lambda i: runs[i][1] - runs[i][0])
        runs[taker][0], runs[taker][1] = min(runs[taker][0], runs[short][0]), max(runs[taker][1], runs[short][1])
        del runs[short]


@given(st.data(), st.integers(1, 300), st.integers(1, 40), st.integers(0, 90))
def test_merging_short_segments_follows_the_rule_word_for_word(
    data: st.DataObject, values: int, size: int, min_length: int
) -> None:
    cells = lay_out_windows(values, size, data.draw(st.integers(1, size))).cells
    names = data.draw(st.lists(st.sampled_from("abc"), min_size=len(cells), max_size=len(cells)))
    found = build_segments(cells, [Decision(name, 0.5) for name in names], True, min_length)
    expected = by_hand([(c.start, c.end, n) for c, n in zip(cells, names, strict=True)], min_length)
    assert [(s.start, s.end, s.label) for s in found] == expected


@pytest.mark.slow
def test_a_long_recording_of_short_segments_is_fast() -> None:
    cells = lay_out_windows(100_000, 1, 1).cells
    decisions = [Decision("abc"[i * 7 % 3], 0.5) for i in range(len(cells))]
    assert len(build_segments(cells, decisions, True, 1000)) < 200


@given(st.data())
def test_a_certain_label_survives_errors_up_to_the_given_size(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 4))
    grid = st.integers(0, 20).map(lambda step: step / 20)  # ties and scores on a threshold are common
    labels = [label(i, "abcd"[i], data.draw(grid)) for i in range(count)]
    scores = np.array([data.draw(st.lists(grid, min_size=count, max_size=count))])
    error = data.draw(st.sampled_from([0.0, 0.05, 0.1, 0.3]))
    heard = np.array([True])
    is_open = find_uncertain_cells(scores, heard, labels, np.array([error]))[0]
    before = decide_cells(scores, heard, labels, "other")[0].label
    moves = np.array(np.meshgrid(*[[-1.0, -0.5, 0.0, 0.5, 1.0]] * count)).reshape(count, -1).T
    after = {decide_cells(scores + 0.999 * error * move, heard, labels, "other")[0].label for move in moves}
    if not is_open:
        assert after == {before}
    else:
        # Uncertain cells are really uncertain: a slightly larger error changes the label.
        wider = {decide_cells(scores + (error + 0.001) * move, heard, labels, "other")[0].label for move in moves}
        assert len(wider) > 1


def test_the_error_of_a_rival_counts_like_that_of_the_winner() -> None:
    labels = [label(0, "a", 0.5), label(1, "b", 0.5)]
    scores = np.array([[0.60, 0.57], [0.60, 0.55], [0.10, 0.49], [0.10, 0.47]])
    heard, errors = np.ones(4, dtype=bool), np.full(4, 0.02)
    # The rival passes the winner only if both are off, and reaches its threshold only by its own error.
    assert find_uncertain_cells(scores, heard, labels, errors).tolist() == [True, False, True, False]


def test_windows_are_uncertain_if_their_cell_is_and_exact_ones_are_not() -> None:
    labels = [label(0, "a", 0.5)]
    cells = lay_out_windows(300, 100, 50).cells
    scores = np.array([[0.9], [0.49], [0.5], [0.1], [0.1]])
    errors = np.array([0.02, 0.02, 0.0, np.inf, 0.02])
    heard = np.array([True, True, True, False, True])
    # Cells: w0 · w0 w1 · w1 w2 · w2 w3 · w3 w4 · w4. The mean of w1 and w2 is 0.495, with an error of 0.01.
    found = find_uncertain_windows(scores, errors, heard, cells, labels)
    assert found.tolist() == [False, True, False, False, False]
    assert not find_uncertain_windows(scores, np.zeros(5), heard, cells, labels).any()


def test_a_silent_window_adds_nothing_to_the_error_of_the_cell_that_it_shares() -> None:
    cells = lay_out_windows(10, 5, 3).cells
    scores = np.array([[0.0], [0.9], [0.0]])
    heard = np.array([False, True, False])
    # The mean of the heard window and a silent one is 0.45, with an error of 0.1.
    found = find_uncertain_windows(scores, np.array([0.0, 0.2, 0.0]), heard, cells, [label(0, "a", 0.5)])
    assert found.tolist() == [False, True, False]


def test_exact_and_silent_cells_are_certain() -> None:
    labels = [label(0, "a"), label(1, "b")]
    scores = np.array([[0.2, 0.2], [0.2, 0.2], [0.2, 0.2]])
    errors = np.array([0.1, 0.0, 0.1])
    heard = np.array([True, True, False])
    assert find_uncertain_cells(scores, heard, labels, errors).tolist() == [True, False, False]
