"""The checks that compare a run with a row of the fault table catch every kind of error."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from tests.faults.layer import Layer
from tests.faults.outcome import Outcome, problems
from tests.faults.row import Asked, Row
from tests.faults.stage import State

KEY = "ei_secret"
ROW = Row("", "", "", "2 failed: … gone", lambda _: [], (Asked("wav", 1, 2, 2),), code=1, failed=(2,))
BEFORE = {1: State(None, ()), 2: State(None, ())}
LABELS = ((0, 9, "speech"),)
UNDISTURBED = {one: State(LABELS, (("labeled_by", "ast"),)) for one in BEFORE}
AFTER = {1: UNDISTURBED[1], 2: BEFORE[2]}
OUTPUT = "1 a.wav (1.0 s): speech 1.0 s\n2 failed: GET: gone\n2 recordings in 1 s: 1 labeled, 1 failed\n"
RIGHT = Outcome(1, OUTPUT, (2,))


class FakeLayer(Layer):
    """A layer that reports a fixed number of calls."""

    def __init__(self, asked: int, heard: list[bytes] | None = None) -> None:
        self.asked = asked
        self.elsewhere = SimpleNamespace(heard=heard or [])  # type: ignore[assignment]

    def count(self, call: str, sample: int | None = None) -> int:
        return self.asked


def find_problems(
    outcome: Outcome = RIGHT, after: dict[int, State] = AFTER, layer: Layer | None = None, row: Row = ROW
) -> list[str]:
    return problems(row, outcome, layer or FakeLayer(2), KEY, BEFORE, UNDISTURBED, after)


def test_a_run_that_matches_the_row_has_no_problems() -> None:
    assert find_problems() == []


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        (replace(RIGHT, code=0), "exit code 0, expected 1"),
        (replace(RIGHT, output=OUTPUT.replace("gone", "busy")), "no line like"),
        (replace(RIGHT, output=f"{KEY}\n{OUTPUT}"), "the key is in the output"),
        (replace(RIGHT, output=f"Traceback\n{OUTPUT}"), "an unexpected error"),
        (replace(RIGHT, output=OUTPUT.rpartition("2 rec")[0]), "does not count"),
        (replace(RIGHT, output=OUTPUT.replace("1 labeled", "2 labeled")), "say otherwise"),
        (replace(RIGHT, unlabeled=None), "the ids file of failures holds None"),
        (replace(RIGHT, unlabeled=(1, 2)), "the ids file of failures holds (1, 2)"),
        (replace(RIGHT, output=OUTPUT.replace("1 a.wav (1.0 s): speech 1.0 s\n", "")), "neither labeled nor failed"),
    ],
)
def test_a_wrong_exit_code_output_or_failed_ids_file_is_a_problem(outcome: Outcome, message: str) -> None:
    assert any(message in one for one in find_problems(outcome))


@pytest.mark.parametrize(
    "after",
    [
        {**AFTER, 1: BEFORE[1]},
        {**AFTER, 1: State(LABELS, ())},
        {**AFTER, 2: State(LABELS, ())},
        {**AFTER, 2: UNDISTURBED[2]},
    ],
)
def test_stored_labels_that_differ_from_the_report_are_a_problem(after: dict[int, State]) -> None:
    assert len(find_problems(after=after)) == 1


def test_a_failed_recording_must_be_left_in_the_state_that_the_row_expects() -> None:
    labels_only = {**AFTER, 2: State(LABELS, ())}
    assert find_problems(row=replace(ROW, leaves="labels"), after=labels_only) == []
    assert len(find_problems(row=replace(ROW, leaves="all"), after=labels_only)) == 1
    assert len(find_problems(row=replace(ROW, leaves="labels"))) == 1


def test_a_run_that_ends_early_must_not_change_recordings_it_did_not_reach() -> None:
    row = replace(ROW, reports="", ends=True)
    output = "1 a.wav (1.0 s): speech 1.0 s\n2 recordings in 1 s: 1 labeled, 0 failed, 1 not reached\n"
    assert find_problems(replace(RIGHT, output=output), row=row) == []
    assert len(find_problems(replace(RIGHT, output=output), {**AFTER, 2: State(LABELS, ())}, row=row)) == 1


def test_calls_are_counted_and_no_other_host_is_contacted() -> None:
    assert [len(find_problems(layer=FakeLayer(count))) for count in (0, 1, 2, 3)] == [1, 0, 0, 1]
    assert "another host was asked" in find_problems(layer=FakeLayer(1, [b"GET / HTTP/1.1"]))[0]
