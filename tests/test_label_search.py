"""`python -m block labels WORD`: which classes a word finds, and what the command prints."""

from __future__ import annotations

import pytest

from block import cli
from block.label_search import load_synonyms, search_classes, suggest_classes
from block.labels import parse_labels
from block.model.checkpoint import find_checkpoint
from block.ontology import load_audioset
from tests.conftest import EMBEDDED

CLASSES = find_checkpoint(str(EMBEDDED)).class_names


def search(text: str, names: tuple[str, ...] = CLASSES) -> list[str]:
    return search_classes(text, names, load_audioset())


def found_names(text: str) -> set[str]:
    return {line.rpartition(" > ")[2] for line in search(text)}


def run(*words: str) -> int:
    return cli.run_command(["labels", *words, "--model", str(EMBEDDED)])


def test_every_synonym_names_existing_classes_once_and_in_lower_case() -> None:
    for word, names in load_synonyms().items():
        assert word == word.lower().strip()
        assert set(names) <= set(CLASSES), word
        assert len(set(names)) == len(names), word
        assert found_names(word) >= set(names), word


def test_a_word_finds_the_names_in_which_a_word_begins_with_it() -> None:
    assert {"Gunshot, gunfire", "Machine gun", "Cap gun"} <= found_names("gun")
    assert found_names("GUNFIRE") == {"Gunshot, gunfire"}
    assert found_names("unshot") == set()
    assert "Cattle, bovinae" in found_names("cat")
    assert search("cat", ("Education", "Cat", "Big cat")) == ["Animal > Domestic animals, pets > Cat", "Big cat"]


@pytest.mark.parametrize(
    ("word", "name"),
    [("baby", "Baby cry, infant cry"), ("puppy", "Bark"), ("cop", "Police car (siren)"), ("talking", "Speech"),
     ("plane", "Fixed-wing aircraft, airplane"), ("phone", "Telephone"), ("vacuum", "Vacuum cleaner"),
     ("broken glass", "Shatter"), ("Car Horn", "Vehicle horn, car horn, honking"), ("hip-hop", "Hip hop music")],
)  # fmt: skip
def test_everyday_words_find_classes(word: str, name: str) -> None:
    assert name in found_names(word)


def test_all_words_must_match() -> None:
    assert found_names("baby laugh") == {"Baby laughter"}
    assert found_names("dog music") == set()
    assert found_names(" ,* ") == set()


def test_a_class_is_shown_with_the_names_above_it_under_each_of_its_parents() -> None:
    assert "Animal > Domestic animals, pets > Dog > Bark" in search("dog")
    assert search("growl") == [
        "Animal > Domestic animals, pets > Dog > Growling",
        "Animal > Domestic animals, pets > Cat > Growling",
        "Animal > Wild animals > Roaring cats (lions, tigers) > Growling",
        "Animal > Wild animals > Canidae, dogs, wolves > Growling",
    ]


def test_a_name_that_only_groups_classes_ends_in_a_star() -> None:
    assert search("human voice") == ["Human sounds > Human voice*"]
    assert search("human voice", ("Dog",)) == []


@pytest.mark.parametrize("word", ["dog", "voice", "music", "horn", "sounds"])
def test_every_name_found_can_be_asked_for(word: str) -> None:
    names = found_names(word)
    assert names
    assert len(parse_labels("\n".join(names), CLASSES, 0.2)) == len(names)


def test_misspelled_words_suggest_near_names() -> None:
    assert suggest_classes("speach", CLASSES)[0] == "Speech"
    assert suggest_classes("kiten", CLASSES)[0] == "Cat"
    assert len(suggest_classes("musik", CLASSES)) == 5
    assert suggest_classes("xyzzy", CLASSES) == []


def test_the_command_prints_what_it_found_and_how_to_use_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("dog") == 0
    out = capsys.readouterr().out
    assert out.startswith("Animal > Domestic animals, pets > Dog\nAnimal > Domestic animals, pets > Dog > Bark\n")
    assert '--audioset-labels "Dog"' in out


def test_the_command_fails_if_nothing_matches(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("speach") == 1
    assert capsys.readouterr().err.startswith("No class matches 'speach'. The nearest are: Speech; ")
    assert run("xyz\x1b", "zy") == 1
    assert capsys.readouterr().err == (
        "No class matches 'xyz\\x1b zy'. To see all classes, run: python -m block labels --tree\n"
    )


def test_without_a_word_the_command_prints_every_class(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    assert capsys.readouterr().out.splitlines() == list(CLASSES)
