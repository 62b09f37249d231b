"""The list of labels as rows: text into rows and back keeps its meaning, and each row says what is wrong with it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from block.class_names import LabelError
from block.labels import LabelOfInterest, parse_labels, write_entry
from block.local_studio.web.label_rows import PickedLabel, read_rows
from block.model.checkpoint import read_checkpoint
from tests.conftest import EMBEDDED
from tests.fuzz.drawn import examples
from tests.fuzz.test_fuzz_labels import pieces

NAMES = tuple(read_checkpoint(EMBEDDED).class_names)
texts = st.lists(pieces, max_size=12).map("".join)


def read(text: str, other: str = "other") -> list[PickedLabel]:
    return read_rows(text, NAMES, 0.2, other)


def write(rows: list[PickedLabel]) -> str:
    """Write the rows as the picker does when all their fields are typed again."""
    return "\n".join(
        write_entry(row.class_name, row.name, row.threshold) if row.class_name else row.text for row in rows
    )


def parse(text: str) -> list[LabelOfInterest]:
    return [replace(label, entry="") for label in parse_labels(text, NAMES, 0.2)]


@examples(300)
@given(texts)
@example("whimper (dog) (take, 2, 0.40)\nMale  speech,  man speaking,Animal*(0)")
def test_a_list_that_is_written_from_its_rows_has_the_same_labels(text: str) -> None:
    rows = read(text)
    try:
        labels = parse(text)
    except LabelError:
        assert not rows or any(row.problem for row in rows)
        return
    assert [row.problem for row in rows] == [""] * len(labels)
    assert parse(write(rows)) == labels
    assert parse("\n".join(row.text for row in rows)) == labels


@examples(300)
@given(texts)
def test_what_cannot_be_read_stays_as_it_was_typed(text: str) -> None:
    rows = read(text)
    again = read("\n".join(row.text for row in rows))
    assert [row.text for row in again] == [row.text for row in rows]
    for row in rows:
        assert row.text in text
        assert row.class_name or row.problem


@examples(100)
@given(st.sampled_from(NAMES), st.floats(0, 1), st.text(max_size=20))
@example("Dog", 5e-324, "take, 2")
def test_a_row_of_any_class_threshold_and_name_is_read_as_such(class_name: str, threshold: float, name: str) -> None:
    row, *more = read(write_entry(class_name, name, repr(threshold))) or [PickedLabel("", problem="empty")]
    if row.problem or more:
        return  # a name with a parenthesis or a new line
    assert (row.class_name, float(row.threshold)) == (class_name, threshold)
    assert row.name == ("" if name.strip() == class_name else name.strip())


def test_a_class_name_that_reads_like_a_threshold_stays_text() -> None:
    (row,) = read_rows("a, 0.5", ("A, 0.5",), 0.2, "other")
    assert row == PickedLabel("a, 0.5")


@pytest.mark.parametrize(
    ("text", "suggestion"),
    [("gun", "Gunshot, gunfire"), ("Doog", "Dog"), ("siren of police (cop, 0.4)", "Police car (siren) (cop, 0.4)")],
)
def test_an_unknown_class_gets_suggestions_that_keep_its_name_and_threshold(text: str, suggestion: str) -> None:
    (row,) = read(text)
    assert "is not a class" in row.problem
    assert suggestion in row.suggestions
    assert not read(suggestion)[0].problem


def test_a_wrong_threshold_gets_no_other_class() -> None:
    (row,) = read("Dog (1.4)")
    assert row.problem == "The threshold of 'Dog' is 1.4; expected a number from 0 to 1."
    assert row.suggestions == ()


NEVER = "'Dog' will never be used: 'Animal*' comes first, always scores at least as high, and has no higher threshold; "
WIDER = "Animal is a wider class above this one. Where both are heard, the higher score wins."
SHARED = "Animal* counts this sound, too. Where both score the same, the first one wins."
SAME = "The label for everything else has this name, too."


@pytest.mark.parametrize(
    ("text", "notes"),
    [
        ("Dog, Speech", ["", ""]),
        ("Dog (pet), Cat (pet)", [f"One label with {name}: the highest score counts." for name in ("Cat", "Dog")]),
        ("Animal*, Dog", ["Stands for 65 classes.", f"{NEVER}list 'Dog' first."]),
        ("Dog, Animal*", [SHARED, "Stands for 65 classes."]),
        ("Dog*, Animal", [f"Stands for 7 classes. {WIDER}", ""]),
        ("Dog, Animal", [WIDER, ""]),
        ("Dog (other)", [SAME]),
        ("Doog, Dog (other)", ["", SAME]),
    ],
)
def test_a_row_says_how_it_shares_sounds_with_others(text: str, notes: list[str]) -> None:
    assert [row.note for row in read(text)] == notes


def test_the_forms_threshold_decides_which_label_never_wins() -> None:
    assert "never be used" in read_rows("Animal* (0.3), Dog", NAMES, 0.5, "other")[1].note
    assert "never be used" not in read_rows("Animal* (0.3), Dog", NAMES, 0.2, "other")[1].note
    assert math.isclose(float(read("Dog (0.25)")[0].threshold), 0.25)
