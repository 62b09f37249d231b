"""Event-based counts, border errors and time, by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from block.evaluation.bootstrap import Resamples
from block.evaluation.event_based import (
    Collars,
    count_events,
    match_events,
    measure_union,
    pair_events,
    sort_events,
)
from block.evaluation.event_metrics import compute_event_metrics, find_percentile
from block.evaluation.segment_based import Event
from tests.conftest import ROOT

DOCS = ROOT / "docs"


def spans(*times: tuple[float, float]):  # type: ignore[no-untyped-def]
    return sort_events(Event(0, start, end) for start, end in times)


def count_one(annotated: list[Event], predicted: list[Event], seconds: float = 10, labels: int = 2):  # type: ignore[no-untyped-def]
    return count_events([annotated], [predicted], [seconds], np.ones(labels, dtype=bool))


def test_an_event_is_correct_if_its_start_and_end_are_within_the_collars() -> None:
    annotated = spans((1.0, 2.0))
    for start, end, matches in [(1.2, 2.19, 1), (0.81, 1.81, 1), (1.25, 2.0, 0), (1.0, 2.25, 0), (1.0, 1.75, 0)]:
        assert len(match_events(annotated, spans((start, end)))) == matches, (start, end)


def test_a_long_event_may_end_a_share_of_its_length_away_but_not_begin_there() -> None:
    annotated = spans((0.0, 10.0))
    assert match_events(annotated, spans((0.0, 8.0))) == [(0, 0)]
    assert match_events(annotated, spans((0.0, 7.9))) == []
    assert match_events(annotated, spans((1.0, 10.0))) == []
    assert match_events(annotated, spans((0.0, 5.0)), Collars(0.2, 0.5)) == [(0, 0)]
    assert match_events(annotated, spans((0.9, 9.5)), Collars(1.0, 0.0)) == [(0, 0)]


def test_as_many_events_as_possible_are_matched() -> None:
    # The first predicted event fits both annotated ones, the second fits only the first: greedy matching finds one.
    assert match_events(spans((1.0, 2.0), (1.15, 2.15)), spans((0.95, 2.0), (1.1, 2.1))) == [(0, 0), (1, 1)]
    assert match_events(spans((1.0, 2.0), (1.3, 2.2)), spans((0.9, 2.0), (1.15, 2.1))) == [(0, 0), (1, 1)]
    assert len(match_events(spans((1.0, 2.0), (1.0, 2.0)), spans((1.0, 2.0)))) == 1


def test_the_number_of_matches_equals_that_of_an_exhaustive_search() -> None:
    rng = np.random.default_rng(3)
    for _ in range(200):
        sides = []
        for count in rng.integers(0, 6, 2):
            starts, lengths = rng.uniform(0, 0.8, count), rng.uniform(0.1, 1, count)
            sides.append(spans(*np.column_stack((starts, starts + lengths)).tolist()))
        fewer, more = sorted(sides, key=len)
        collars = Collars(0.2, 0.0)
        fits = [
            [abs(a - b) <= 0.2 and abs(c - d) <= 0.2 for b, d in zip(more.starts, more.ends, strict=True)]
            for a, c in zip(fewer.starts, fewer.ends, strict=True)
        ]
        most = max(
            sum(fits[at][to] for at, to in enumerate(chosen))
            for chosen in itertools.permutations(range(len(more)), len(fewer))
        )
        pairs = match_events(*sides, collars)
        assert len(pairs) == most
        assert len({one for one, _ in pairs}) == len({other for _, other in pairs}) == len(pairs)


def test_counts_are_those_of_each_label_of_each_clip() -> None:
    annotated = [[Event(0, 0, 1), Event(1, 2, 3)], []]
    predicted = [[Event(0, 0.1, 1.1), Event(0, 2, 3)], [Event(1, 0, 4)]]
    found = count_events(annotated, predicted, [4, 4], np.ones(2, dtype=bool)).events
    assert found.correct.tolist() == [[1, 0], [0, 0]]
    assert found.predicted.tolist() == [[2, 0], [0, 1]]
    assert found.annotated.tolist() == [[1, 1], [0, 0]]


def test_touching_events_of_one_label_stay_two_events() -> None:
    found = count_one([Event(0, 0, 1), Event(0, 1, 2)], [Event(0, 0, 2)])
    assert (found.events.annotated[0, 0], found.events.correct[0, 0]) == (2, 0)
    assert found.seconds.correct[0, 0] == 2


def test_events_without_a_length_are_matched_but_have_no_time_and_no_errors() -> None:
    found = count_one([Event(0, 1, 1)], [Event(0, 1, 1.1)])
    assert found.events.correct[0, 0] == 1
    assert found.seconds.annotated[0, 0] == 0
    assert len(found.errors.onsets_s) == 0


def test_events_that_begin_after_the_recording_are_ignored() -> None:
    found = count_one([Event(0, 12, 13)], [], 10)
    assert found.events.annotated.sum() == 0
    assert found.right_s.tolist() == [10]


def test_errors_are_those_of_events_that_overlap_each_other_best() -> None:
    # The second annotated event overlaps the predicted one less than the first does, so it has no pair.
    assert pair_events(spans((0, 4), (5, 6)), spans((1, 7))) == [(0, 0)]
    assert pair_events(spans((0, 10)), spans((0, 4), (4.5, 10))) == [(0, 1)]
    assert pair_events(spans((0, 1)), spans((1, 2))) == []
    assert pair_events(spans((0, 9), (2, 3)), spans((2, 3), (3, 4))) == [(1, 0)]
    found = count_one([Event(0, 1, 3), Event(1, 5, 6)], [Event(0, 0.5, 4), Event(1, 5.25, 5.5)]).errors
    assert found.labels.tolist() == [0, 1]
    assert found.onsets_s.tolist() == [-0.5, 0.25]
    assert found.offsets_s.tolist() == [1, -0.5]


def test_pairs_equal_those_of_a_search_over_all_overlaps() -> None:
    rng = np.random.default_rng(4)

    def overlap(one: tuple[float, float], other: tuple[float, float]) -> float:
        shared = max(0.0, min(one[1], other[1]) - max(one[0], other[0]))
        return shared / (one[1] - one[0] + other[1] - other[0] - shared)

    for _ in range(100):
        sides = []
        for count in rng.integers(1, 9, 2):
            starts, lengths = rng.uniform(0, 8, count), rng.uniform(0.1, 4, count)
            sides.append(spans(*np.column_stack((starts, starts + lengths)).tolist()))
        annotated, predicted = (list(zip(side.starts, side.ends, strict=True)) for side in sides)
        table = np.array([[overlap(one, other) for other in predicted] for one in annotated])
        expected = [
            (at, to)
            for at, to in np.argwhere(table > 0).tolist()
            if table[at].argmax() == to and table[:, to].argmax() == at
        ]
        assert pair_events(*sides) == expected


@pytest.mark.parametrize(
    ("labeled", "correct", "onset_s", "offset_s", "right"),
    [
        ([(0.1, 8.5)], 1, 0.1, -1.5, 0.84),
        ([(0.5, 10.0)], 0, 0.5, 0.0, 0.95),
        ([(0.0, 4.0), (4.5, 10.0)], 0, 4.5, 0.0, 0.95),
    ],
)
def test_the_example_in_the_docs_is_as_they_say(labeled, correct, onset_s, offset_s, right) -> None:  # type: ignore[no-untyped-def]
    found = count_one([Event(0, 0.0, 10.0)], [Event(0, *times) for times in labeled], 10)
    assert found.events.correct[0, 0] == correct
    assert (found.errors.onsets_s.tolist(), found.errors.offsets_s.tolist()) == ([onset_s], [offset_s])
    assert found.seconds.correct[0, 0] / found.seconds.annotated[0, 0] == pytest.approx(right)
    table = (DOCS / "evaluation.md").read_text(encoding="utf-8")
    (row,) = (line for line in table.splitlines() if line.startswith(f"| {labeled[0][0]:g}–{labeled[0][1]:g} s"))
    assert [cell.split(",")[0].strip() for cell in row.split("|")[3:6]] == [
        f"{abs(onset_s):g} s", f"{abs(offset_s):g} s", f"{right * 100:g} %",
    ]  # fmt: skip
    assert ("| yes" in row) == bool(correct)


def test_time_that_several_events_share_counts_once() -> None:
    assert measure_union(spans((0, 2), (1, 3), (1.5, 1.6), (5, 9)), 6) == 4
    assert measure_union(spans((-1, 1), (7, 9)), 6) == 1
    assert measure_union(spans(), 6) == 0


def test_time_is_right_where_the_label_is_annotated_or_where_neither_says_anything() -> None:
    annotated = [Event(0, 0, 4), Event(1, 2, 5)]
    predicted = [Event(0, 1, 3), Event(1, 3, 6)]  # 0–1 missed, 1–3 and 3–5 right, 5–6 wrong, 6–10 right
    found = count_one(annotated, predicted)
    assert found.right_s.tolist() == [8]
    assert found.judged_s.tolist() == [10]
    assert found.seconds.correct.tolist() == [[2, 2]]


def test_time_under_a_label_that_is_not_judged_is_wrong_only_where_another_is_annotated() -> None:
    found = count_events([[Event(0, 0, 2)]], [[Event(1, 1, 4)]], [10], np.array([True, False]))
    assert found.judged_s.tolist() == [8]
    assert found.right_s.tolist() == [6]


def test_a_recording_without_events_is_right_if_it_gets_no_label() -> None:
    assert count_one([], [], 5).right_s.tolist() == [5]
    assert count_one([], [Event(0, 0, 5)], 5).right_s.tolist() == [0]


def test_percentiles_count_each_value_as_often_as_its_clip_was_drawn() -> None:
    rng = np.random.default_rng(5)
    values, clips = rng.uniform(0, 1, 40), rng.integers(0, 6, 40)
    weights = rng.integers(0, 3, (20, 6)).astype(float)
    weights[0] = 0
    for percent in (50, 90):
        found = find_percentile(values, weights, clips, percent)
        assert np.isnan(found[0])
        for draw, one in zip(weights[1:], found[1:], strict=True):
            repeated = np.repeat(values, draw[clips].astype(int))
            assert one == np.percentile(repeated, percent, method="inverted_cdf")
    assert np.isnan(find_percentile(np.zeros(0), weights, np.zeros(0, int), 50)).all()


def test_metrics_have_intervals_over_recordings() -> None:
    annotated = [[Event(0, 1, 2)], [Event(0, 1, 2)], [Event(0, 1, 3)], [Event(1, 0, 5)]]
    predicted = [[Event(0, 1.1, 2)], [Event(0, 1.5, 2)], [], [Event(1, 0, 5.5)]]
    counts = count_events(annotated, predicted, [5, 5, 5, 10], np.ones(2, dtype=bool))
    found = compute_event_metrics(counts, np.arange(2), Resamples(4, 200))
    assert found.events == (3, 1)
    assert found.pairs == (2, 1)
    assert found.rates.labels[0].f1.value == pytest.approx(2 * 1 / (2 + 3))
    assert found.rates.macro.f1.value == pytest.approx((0.4 + 1) / 2)
    assert found.onset.median.labels[0].value == pytest.approx(0.1)
    assert found.onset.high.labels[0].value == pytest.approx(0.5)
    assert found.offset.high.pooled.value == pytest.approx(0.5)
    assert found.time_right.labels[0].value == pytest.approx(1.4 / 4)
    assert found.time_right.pooled.value == pytest.approx((25 - 0.1 - 0.5 - 2 - 0.5) / 25)
    assert found.time_right.pooled.low < found.time_right.pooled.value < found.time_right.pooled.high
    assert found.onset.median.pooled.low <= found.onset.median.pooled.value <= found.onset.median.pooled.high
