"""Hysteresis, the median filter, and the shortest sounds and gaps, on cells of equal and unequal length."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from block.decisions import compute_margins, decide_cells, find_sounding, label_recording
from block.labels import LabelOfInterest
from block.recording import Segment
from block.segments import Decision, build_segments
from block.settings import DecisionSettings
from block.windows import Layout, lay_out_windows
from tests.layouts import draw_labels, draw_scores, layouts

OPTIONS = st.fixed_dictionaries(
    {
        "hysteresis": st.sampled_from([1.0, 0.75, 0.5, 0.1]),
        "median_ms": st.integers(0, 30),
        "min_event_ms": st.integers(0, 20),
        "min_gap_ms": st.integers(0, 20),
    }
)


def label(index: int, name: str, threshold: float = 0.4) -> LabelOfInterest:
    return LabelOfInterest(index, name, name, threshold, name)


def decide_all(
    layout: Layout, scores: np.ndarray, counts: list[int], labels: tuple[LabelOfInterest, ...], **options: Any
) -> tuple[Segment, ...]:
    """Return the segments of a recording with a value a millisecond."""
    settings = DecisionSettings(labels, **options)
    return label_recording(1, "r", Fraction(1000), layout, counts, scores, settings).segments


def spell(scores: np.ndarray, labels: list[LabelOfInterest], hysteresis: float, silent: tuple[int, ...] = ()) -> str:
    heard = np.array([at not in silent for at in range(len(scores))])
    return "".join(one.label for one in decide_cells(scores, heard, labels, "-", hysteresis))


def test_a_label_begins_and_ends_where_its_score_falls_below_the_share_of_its_threshold() -> None:
    scores = np.array([0.19, 0.2, 0.3, 0.4, 0.2, 0.19, 0.3, 0.39])[:, None]
    assert spell(scores, [label(0, "a")], 0.5) == "-aaaa---"  # the last two never reach 0.4
    assert spell(scores, [label(0, "a")], 1.0) == "---a----"


def test_silence_and_the_ends_of_the_recording_end_a_label() -> None:
    scores = np.array([0.3, 0.9, 0.3, 0.0, 0.3, 0.3])[:, None]
    assert spell(scores, [label(0, "a", 0.4)], 0.5, silent=(3,)) == "aaa---"
    assert spell(scores, [label(0, "a", 0.4)], 0.5) == "aaa---"
    # Even if silence would keep a label that begins at 0.
    assert spell(np.zeros((3, 1)), [label(0, "a", 0.0)], 0.5, silent=(1,)) == "a-a"


def test_another_label_at_its_threshold_wins_and_the_kept_one_continues_after_it() -> None:
    labels = [label(0, "a", 0.4), label(1, "b", 0.1)]
    scores = np.array([[0.5, 0.0], [0.3, 0.0], [0.3, 0.1], [0.3, 0.0]])
    assert spell(scores, labels, 0.5) == "aaba"


def test_of_two_kept_labels_the_higher_score_wins_and_ties_go_to_the_first() -> None:
    labels = [label(0, "a"), label(1, "b")]
    scores = np.array([[0.5, 0.0], [0.3, 0.2], [0.3, 0.3], [0.2, 0.3], [0.0, 0.5]])
    assert spell(scores, labels, 0.5) == "aaabb"


@given(st.data(), st.integers(1, 10), st.sampled_from([0.9, 0.5, 0.05]))
def test_hysteresis_only_labels_cells_that_would_get_the_other_label(
    data: st.DataObject, rows: int, hysteresis: float
) -> None:
    labels = draw_labels(data)
    scores = draw_scores(data, rows, len(labels))
    heard = np.array(data.draw(st.lists(st.booleans(), min_size=rows, max_size=rows)))
    plain = decide_cells(scores, heard, labels, "other")
    kept = decide_cells(scores, heard, labels, "other", hysteresis)
    assert all(a == b for a, b in zip(plain, kept, strict=True) if a.label != "other")
    assert all(heard[at] for at, (a, b) in enumerate(zip(plain, kept, strict=True)) if a != b)


@given(st.data(), layouts(), OPTIONS)
def test_segments_tile_the_recording_whatever_the_options(
    data: st.DataObject, layout: Layout, options: dict[str, Any]
) -> None:
    labels = draw_labels(data)
    count = len(layout.windows)
    scores = draw_scores(data, count, len(labels))
    counts = data.draw(st.lists(st.integers(0, 1), min_size=count, max_size=count))
    found = decide_all(layout, scores * np.array(counts)[:, None], counts, labels, **options)
    assert (found[0].start, found[-1].end) == (0, layout.values)
    assert all(a.end == b.start and a.label != b.label for a, b in zip(found, found[1:], strict=False))
    assert all(0 <= one.score <= 1 and one.length > 0 for one in found)


@given(st.data(), layouts())
def test_options_that_are_off_change_nothing(data: st.DataObject, layout: Layout) -> None:
    labels = draw_labels(data)
    count = len(layout.windows)
    scores = draw_scores(data, count, len(labels))
    off = {"hysteresis": 1.0, "median_ms": 0, "min_event_ms": 0, "min_gap_ms": 0}
    usual = decide_all(layout, scores, [1] * count, labels)
    assert decide_all(layout, scores, [1] * count, labels, **off) == usual
    # Nor does what is as short as a cell: nothing is shorter, and a filter has nothing to look at.
    shortest = min(cell.length for cell in layout.cells)
    for name in ("median_ms", "min_event_ms", "min_gap_ms"):
        assert decide_all(layout, scores, [1] * count, labels, **{name: shortest}) == usual


def measure_times(segments: tuple[Segment, ...], name: str) -> set[int]:
    return {at for one in segments if one.label == name for at in range(one.start, one.end)}


@given(st.data(), layouts(), OPTIONS)
def test_a_higher_threshold_never_gives_a_label_more_time(
    data: st.DataObject, layout: Layout, options: dict[str, Any]
) -> None:
    labels = draw_labels(data)
    count = len(layout.windows)
    scores = draw_scores(data, count, len(labels))
    raised = data.draw(st.integers(0, len(labels) - 1))
    threshold = data.draw(st.integers(0, 20)) / 20
    higher = list(labels)
    higher[raised] = replace(labels[raised], threshold=max(threshold, labels[raised].threshold))
    before = decide_all(layout, scores, [1] * count, labels, **options)
    after = decide_all(layout, scores, [1] * count, tuple(higher), **options)
    name = labels[raised].name
    assert measure_times(after, name) <= measure_times(before, name)


@given(st.data(), layouts())
def test_a_lower_share_never_takes_time_from_the_labels(data: st.DataObject, layout: Layout) -> None:
    labels = draw_labels(data)
    count = len(layout.windows)
    scores = draw_scores(data, count, len(labels))
    others = [
        measure_times(decide_all(layout, scores, [1] * count, labels, hysteresis=share), "other")
        for share in (1.0, 0.75, 0.5, 0.25)
    ]
    assert all(after <= before for before, after in zip(others, others[1:], strict=False))


def join(names: str, min_event: int = 0, min_gap: int = 0, length: int = 10) -> str:
    """Return the labels of cells, a letter each, after the rules for short sounds and gaps."""
    cells = lay_out_windows(length * len(names), length, length).cells
    decisions = [Decision(name, 0.5) for name in names]
    found = build_segments(cells, decisions, True, 0, other_label="-", min_event=min_event, min_gap=min_gap)
    return "".join(one.label * (one.length // length) for one in found)


@pytest.mark.parametrize(
    ("names", "min_event", "min_gap", "expected"),
    [
        ("aa-aa", 0, 11, "aaaaa"),
        ("aa-aa", 0, 10, "aa-aa"),  # as long as the minimum is long enough
        ("aa-bb", 0, 99, "aa-bb"),  # a gap between different sounds belongs to neither
        ("-aa-", 0, 99, "-aa-"),
        ("-a-bb-", 11, 0, "---bb-"),
        ("a-a-a-", 21, 11, "aaaaa-"),  # gaps first: pieces of one sound count together
        ("aabaa", 11, 0, "aa-aa"),
        ("aabaa", 11, 11, "aaaaa"),  # a gap that a short sound leaves is closed
        ("aa-b-aa", 11, 31, "aaaaaaa"),
        ("aa-b-aa", 11, 30, "aa---aa"),
        ("a", 99, 0, "a"),  # a sound that fills the recording stays
        ("aaa", 99, 99, "aaa"),
        ("ab", 99, 0, "--"),
    ],
)
def test_short_sounds_and_gaps_by_hand(names: str, min_event: int, min_gap: int, expected: str) -> None:
    assert join(names, min_event, min_gap) == expected


@given(st.text("ab-", min_size=1, max_size=20), st.integers(0, 60), st.integers(0, 60))
def test_the_rules_for_short_sounds_and_gaps_leave_nothing_to_do(names: str, min_event: int, min_gap: int) -> None:
    found = join(names, min_event, min_gap)
    assert join(found, min_event, min_gap) == found


def test_a_closed_gap_has_no_part_in_the_score_and_the_shortest_segment_comes_last() -> None:
    cells = lay_out_windows(60, 10, 10).cells
    decisions = [Decision(name, score) for name, score in zip("aa-aab", (0.6, 0.6, 0.1, 0.8, 0.8, 0.9), strict=True)]
    closed = build_segments(cells, decisions, True, 0, other_label="-", min_gap=11)
    assert [(one.label, one.end) for one in closed] == [("a", 50), ("b", 60)]
    assert closed[0].score == pytest.approx(0.7)
    [one] = build_segments(cells, decisions, True, 11, other_label="-", min_gap=11)
    assert (one.label, one.score) == ("a", pytest.approx(0.7))


def test_the_options_are_in_milliseconds_of_the_recording() -> None:
    layout = lay_out_windows(3000, 1000, 1000)
    scores = np.array([[0.9], [0.1], [0.9]])
    for option in ("min_gap_ms", "median_ms"):
        for ms, pieces in ((500, 3), (1001, 1)):
            settings = DecisionSettings((label(0, "a"),), **{option: ms})
            found = label_recording(1, "r", Fraction(2000), layout, [1, 1, 1], scores, settings).segments
            assert len(found) == pieces


def test_the_margin_of_a_kept_label_is_down_to_its_share_and_to_rivals_at_their_thresholds() -> None:
    labels = [label(0, "a", 0.4), label(1, "b", 0.3)]
    scores = np.array([[0.38, 0.1], [0.38, 0.25], [0.5, 0.25]])
    margins = compute_margins(scores, ["a", "a", "a"], labels, 0.5)
    # b only needs its threshold while a is kept, but a's score as well while a is at its own.
    assert margins == pytest.approx([0.18, 0.05, 0.25])
    assert compute_margins(scores, ["a", "a", "a"], labels)[0] == pytest.approx(-0.02)


def test_a_label_sounds_by_its_own_threshold_regardless_of_the_others() -> None:
    labels = [label(0, "a"), label(1, "b")]
    scores = np.array([[0.5, 0.9], [0.3, 0.9], [0.1, 0.3]])
    assert find_sounding(scores, np.ones(3, dtype=bool), labels, 0.5).T.tolist() == [[2, 1, 0], [2, 2, 1]]
