"""The times of the worst recordings, one line above the other."""

from __future__ import annotations

import numpy as np

from block.evaluation.bootstrap import Resamples
from block.evaluation.evaluation import LabelingResult, evaluate_labels
from block.evaluation.ground_truth import GroundTruth
from block.evaluation.timelines import MAX_LANES, MAX_STRETCHES, SPAN_S, find_timelines
from block.settings import WindowSettings
from tests.conftest import NAMES
from tests.evaluation.synthetic import make_clip, make_settings, make_truth

DECISIONS = make_settings("Speech, Dog")


def evaluate(rows: list[tuple[object, ...]], *found: list[str]) -> tuple[LabelingResult, GroundTruth]:
    """Return the result for clips that get the labels `found`, one a second, and the truth of `rows`."""
    clips = []
    for names in found:
        logits = np.full((len(names), len(NAMES)), -6.0)
        for at, name in enumerate(names):
            if name:
                logits[at, NAMES.index(name)] = 4.0
        clips.append(make_clip(logits, float(len(names)), WindowSettings(1000, 1000)))
    truth = make_truth(rows, DECISIONS)
    return evaluate_labels("", clips, DECISIONS, truth, Resamples(len(clips), 100), 1.0), truth


def test_the_clips_with_the_least_time_right_come_first_and_right_ones_not_at_all() -> None:
    rows = [("a", 0.0, 1.0, "Dog"), ("b", 0.0, 2.0, "Speech"), ("c", 0.0, 4.0, "Dog")]
    result, truth = evaluate(rows, ["Dog", ""], ["", "", "", ""], ["Dog", "", "", ""])
    found = find_timelines([result], truth)
    assert [(one.clip, one.right) for one in found] == [(2, 0.25), (1, 0.5)]
    assert [line.name for line in found[0].lines] == ["annotated", "labeled"]


def test_each_line_shows_its_events_and_whether_they_match() -> None:
    rows = [("a", 0.1, 2.0, "Dog"), ("a", 1.5, 3.0, "Speech"), ("a", 9.0, 10.0, "Dog")]
    result, truth = evaluate(rows, ["Dog", "Dog", "", "Dog"])
    (one,) = find_timelines([result], truth)
    annotated, labeled = one.lines
    assert [(part.label, part.start_s, part.is_matched, part.lane) for part in annotated.stretches] == [
        (1, 0.1, True, 0), (0, 1.5, False, 1),
    ]  # fmt: skip
    assert [(part.start_s, part.end_s, part.is_matched) for part in labeled.stretches] == [
        (0, 2, True), (3, 4, False),
    ]  # fmt: skip
    assert (annotated.lanes, labeled.lanes) == (2, 1)
    assert (one.percent(1.0), one.percent(9.0)) == (25, 100)
    assert one.ticks == [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4]


def test_two_configurations_have_a_line_each() -> None:
    first, truth = evaluate([("a", 0.0, 1.0, "Dog")], ["", "Dog"])
    second, _ = evaluate([("a", 0.0, 1.0, "Dog")], ["Dog", ""])
    (one,) = find_timelines([first, second], truth)
    assert [(line.name, [part.is_matched for part in line.stretches]) for line in one.lines] == [
        ("annotated", [False]), ("A", [False]), ("B", [True]),
    ]  # fmt: skip


def test_a_long_recording_is_shown_where_most_is_wrong() -> None:
    seconds = 400
    rows = [("a", float(at), at + 0.5, "Dog") for at in (3, 200, 210, 220)]
    result, truth = evaluate(rows, [""] * seconds)
    (one,) = find_timelines([result], truth)
    assert (one.start_s, one.end_s) == (200, 200 + SPAN_S)
    assert len(one.lines[0].stretches) == 3
    assert len(one.ticks) <= 9


def test_any_number_of_overlapping_events_stays_within_bounds() -> None:
    rows = [("a", 0.001 * at, 1.0, "Dog") for at in range(900)]
    result, truth = evaluate(rows, ["", ""])
    (one,) = find_timelines([result], truth)
    line = one.lines[0]
    assert (len(line.stretches), line.more, line.lanes) == (MAX_STRETCHES, 900 - MAX_STRETCHES, MAX_LANES)


def test_clips_without_times_have_no_lines() -> None:
    truth = make_truth([("a", "Dog")], DECISIONS)
    clip = make_clip(np.full((1, len(NAMES)), -6.0))
    result = evaluate_labels("", [clip], DECISIONS, truth, Resamples(1, 100), None)
    assert find_timelines([result], truth) == []
