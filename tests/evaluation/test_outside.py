"""Events outside of their recording are counted and questioned; if all are, nothing is judged."""

from __future__ import annotations

import pytest

from block.evaluation.annotations import Annotation, Annotations
from block.evaluation.outside import OutsideEvent, describe_outside, find_outside
from block.settings import SettingsError

LENGTHS_S = {"a.wav": 4.0, "b.wav": 2.5}


def find(*rows: tuple[str, float | None, float | None]) -> list[tuple[str, float]]:
    annotations = Annotations("notes.csv", True, tuple(Annotation("", file, "Dog", *times) for file, *times in rows))
    return [(event.file, event.end_s) for event in find_outside(annotations, LENGTHS_S)]


def test_events_that_end_later_than_rounding_explains_are_found() -> None:
    found = find(("a.wav", 0, 4), ("a.wav", 3, 4.1), ("a.wav", 3, 4.2), ("b.wav", 0, 4), ("b.wav", 3, 4))
    assert found == [("a.wav", 4.2), ("b.wav", 4), ("b.wav", 4)]


def test_files_without_times_or_without_a_recording_are_left_out() -> None:
    assert find(("a.wav", None, None), ("gone.wav", 5, 6)) == []


def test_rounded_ends_are_judged_even_if_all_are_late() -> None:
    assert find(("a.wav", 0, 5), ("b.wav", 0, 5)) == [("a.wav", 5), ("b.wav", 5)]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [("a.wav", 0, 2000), ("b.wav", 1500, 2500)],
            r"notes.csv: 2 annotations lie outside of their recordings \(a.wav: 0 to 2000 s, it is 4 s long\): are the "
            r"times in milliseconds\? Expected seconds from the start of each recording",
        ),
        ([("b.wav", 5, 6.25)], r"1 annotation lies outside of its recording \(b.wav: 5 to 6.25 s, it is 2.5 s long\)"),
    ],
)
def test_if_all_events_are_outside_nothing_is_judged(rows, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(SettingsError, match=message):
        find(*rows)
    # A single good event is judged.
    assert len(find(*rows, ("a.wav", 0, 1))) == len(rows)


def test_the_question_names_the_first_event_on_one_line() -> None:
    events = [OutsideEvent("a\n.wav", 1000 / 3, 1e6, 30 / 7), OutsideEvent("b.wav", 5, 6, 1)]
    assert describe_outside(events) == (
        "2 annotations lie outside of their recordings (a?.wav: 333.333 to 1000000 s, it is 4.286 s long): are the "
        "times in milliseconds?"
    )
