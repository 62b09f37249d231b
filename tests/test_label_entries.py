"""Entries of a list of labels: read one by one, also where some are wrong, and written again."""

from __future__ import annotations

import pytest

from block.class_names import LabelError
from block.labels import parse_labels, read_entries, write_entry
from block.model.checkpoint import find_checkpoint
from tests.conftest import EMBEDDED

CLASSES = find_checkpoint(str(EMBEDDED)).class_names


def texts(text: str) -> list[tuple[str, bool]]:
    """Return the text of each entry, and whether it's right."""
    return [(entry.text, not entry.problem) for entry in read_entries(text, CLASSES, 0.2)]


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        ("Speech, Music (tune)\nDog*", [("Speech", True), ("Music (tune)", True), ("Dog*", True)]),
        ("Speech, Doog, Music", [("Speech", True), ("Doog", False), ("Music", True)]),
        ("Male speeech, man speaking, Dog", [("Male speeech, man speaking", False), ("Dog", True)]),
        ("Dog (my dog\nCat", [("Dog (my dog", False), ("Cat", True)]),
        ("Dog (1.4), Cat", [("Dog (1.4)", False), ("Cat", True)]),
        ("Dog, Dog, Cat", [("Dog", True), ("Dog", False), ("Cat", True)]),
        (" ,\n,, ", []),
    ],
)
def test_a_wrong_entry_ends_where_the_next_one_can_be_read(text: str, entries: list[tuple[str, bool]]) -> None:
    assert texts(text) == entries


def test_a_list_is_refused_with_the_place_of_its_first_wrong_entry() -> None:
    text = "Speech\nMusic, Doog, Dog, Music"
    first, second = [entry for entry in read_entries(text, CLASSES, 0.2) if entry.problem]
    assert (first.place, second.place) == ("line 2, column 8", "line 2, column 19")
    assert second.problem == "the class 'Music' is listed twice, first at line 2, column 1"
    with pytest.raises(LabelError) as refused:
        parse_labels(text, CLASSES, 0.2)
    assert str(refused.value) == f"{first.place}: {first.problem}"


def test_words_that_people_use_are_suggested() -> None:
    with pytest.raises(LabelError, match="'gun' is not a class of this checkpoint; did you mean 'Gunshot, gunfire' or"):
        parse_labels("gun", CLASSES, 0.2)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        (("Dog", "", ""), "Dog"), (("Dog", "my dog", ""), "Dog (my dog)"), (("Dog", "", " 0.4 "), "Dog (0.4)"),
        (("Animal*", "pet", "0.4"), "Animal* (pet, 0.4)"),
    ],
)  # fmt: skip
def test_an_entry_is_written_with_a_new_name_and_a_threshold(fields: tuple[str, str, str], text: str) -> None:
    assert write_entry(*fields) == text
