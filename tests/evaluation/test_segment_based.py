"""Segments of strong labels, compared with results by hand, and with sed_eval if it is installed."""

from __future__ import annotations

import numpy as np
import pytest

from block.evaluation.segment_based import Event, count_segments, mark_segments


def active(events: list[Event], seconds: float, **options: float) -> list[list[int]]:
    return [np.flatnonzero(column).tolist() for column in mark_segments(events, seconds, 2, **options).T]


def test_an_event_is_active_in_every_segment_that_it_overlaps() -> None:
    assert active([Event(0, 0.9, 2.1), Event(1, 3.0, 4.0)], 5) == [[0, 1, 2], [3]]


def test_rounding_does_not_move_the_end_of_an_event_across_a_segment_border() -> None:
    assert active([Event(0, 0.1 + 0.2, 0.6000000000000001)], 1.2, segment_s=0.3) == [[1], []]


def test_events_outside_the_clip_are_ignored() -> None:
    assert active([Event(0, 1.5, 9.0), Event(1, 2.5, 3.0)], 2.5) == [[1, 2], []]
    assert mark_segments([], 2.5, 2).shape == (3, 2)
    assert mark_segments([], 0.01, 2).shape == (1, 2)


def test_segments_are_counted_clip_by_clip() -> None:
    reference = [[Event(0, 0, 2)], [Event(1, 0, 1)]]
    estimated = [[Event(0, 1, 4)], []]
    found = count_segments(reference, estimated, [4, 1], 2)
    assert found.correct.tolist() == [[1, 0], [0, 0]]
    assert found.predicted.tolist() == [[3, 0], [0, 0]]
    assert found.annotated.tolist() == [[2, 0], [0, 1]]


def test_the_counts_equal_sed_evals() -> None:
    sed_eval = pytest.importorskip("sed_eval")
    rng = np.random.default_rng(2)
    names = ["a", "b"]

    def events(count: int) -> list[Event]:
        starts = rng.uniform(0, 9, count).round(2)
        return [Event(int(rng.integers(2)), start, min(10, start + round(rng.uniform(0.05, 3), 2))) for start in starts]

    def as_dicts(found: list[Event]) -> list[dict[str, object]]:
        return [{"event_label": names[e.label], "event_onset": e.start_s, "event_offset": e.end_s} for e in found]

    metrics = sed_eval.sound_event.SegmentBasedMetrics(names, time_resolution=1.0)
    pairs = [(events(6), events(7)) for _ in range(12)]
    for reference, estimated in pairs:
        metrics.evaluate(as_dicts(reference), as_dicts(estimated), evaluated_length_seconds=10)
    ours = count_segments(*zip(*pairs, strict=True), [10] * len(pairs), 2)
    theirs = metrics.results_class_wise_metrics()
    for at, name in enumerate(names):
        f1 = 2 * ours.correct[:, at].sum() / (ours.predicted[:, at].sum() + ours.annotated[:, at].sum())
        assert f1 == pytest.approx(theirs[name]["f_measure"]["f_measure"])
