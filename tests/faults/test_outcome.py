"""The fault table's checks of a run notice every kind of error."""

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


class Counted(Layer):
    """A layer that only says what it was asked."""

    def __init__(self, asked: int, heard: list[bytes] | None = None) -> None:
        self.asked = asked
        self.elsewhere = SimpleNamespace(heard=heard or [])  # type: ignore[assignment]

    def count(self, call: str, sample: int | None = None) -> int:
        return self.asked


def found(
    outcome: Outcome = RIGHT, after: dict[int, State] = AFTER, layer: Layer | None = None, row: Row = ROW
) -> list[str]:
    return problems(row, outcome, layer or Counted(2), KEY, BEFORE, UNDISTURBED, after)


def test_a_run_as_the_row_says_has_no_problems() -> None:
    assert found() == []


@pytest.mark.parametrize(
    ("outcome", "said"),
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
def test_a_run_that_says_something_else_is_wrong(outcome: Outcome, said: str) -> None:
    assert any(said in one for one in found(outcome))


@pytest.mark.parametrize(
    "after",
    [
        {**AFTER, 1: BEFORE[1]},
        {**AFTER, 1: State(LABELS, ())},
        {**AFTER, 2: State(LABELS, ())},
        {**AFTER, 2: UNDISTURBED[2]},
    ],
)
def test_labels_that_are_there_and_not_told_or_told_and_not_there_are_wrong(after: dict[int, State]) -> None:
    assert len(found(after=after)) == 1


def test_what_a_row_says_is_left_of_a_failure_has_to_be_left() -> None:
    half = {**AFTER, 2: State(LABELS, ())}
    assert found(row=replace(ROW, leaves="labels"), after=half) == []
    assert len(found(row=replace(ROW, leaves="all"), after=half)) == 1
    assert len(found(row=replace(ROW, leaves="labels"))) == 1


def test_a_run_that_ended_early_leaves_what_it_did_not_reach_alone() -> None:
    row = replace(ROW, reports="", ends=True)
    output = "1 a.wav (1.0 s): speech 1.0 s\n2 recordings in 1 s: 1 labeled, 0 failed, 1 not reached\n"
    assert found(replace(RIGHT, output=output), row=row) == []
    assert len(found(replace(RIGHT, output=output), {**AFTER, 2: State(LABELS, ())}, row=row)) == 1


def test_calls_are_counted_and_no_other_host_is_contacted() -> None:
    assert [len(found(layer=Counted(count))) for count in (0, 1, 2, 3)] == [1, 0, 0, 1]
    assert "another host was asked" in found(layer=Counted(1, [b"GET / HTTP/1.1"]))[0]
