"""`python -m block labels WORD`: which classes a word finds, and what the command prints."""

from __future__ import annotations

import pytest

from block import cli
from block.class_guide import build_guide, explain
from block.label_search import load_synonyms, search_classes, suggest_classes
from block.labels import parse_labels
from block.model.checkpoint import find_checkpoint
from tests.conftest import EMBEDDED

CLASSES = find_checkpoint(str(EMBEDDED)).class_names


def search(text: str, names: tuple[str, ...] = CLASSES) -> list[str]:
    return [line for entry in search_classes(text, build_guide(names)) for line in entry.lines]


def suggest(text: str) -> list[str]:
    return [entry.name for entry in suggest_classes(text, build_guide(CLASSES))]


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


# What people type, and a class that they mean.
EVERYDAY = {
    "gun": "Gunshot, gunfire", "gunshot": "Gunshot, gunfire", "guns": "Gunshot, gunfire", "shotgun": "Gunshot, gunfire",
    "pistol": "Gunshot, gunfire", "fireworks": "Fireworks", "explosion": "Explosion", "bomb": "Explosion",
    "baby": "Baby cry, infant cry", "crying": "Crying, sobbing", "baby crying": "Baby cry, infant cry",
    "kid": "Child speech, kid speaking", "talking": "Speech", "man": "Male speech, man speaking",
    "woman": "Female speech, woman speaking", "whisper": "Whispering", "scream": "Screaming", "laugh": "Laughter",
    "cough": "Cough", "coughing": "Cough", "sneeze": "Sneeze", "snore": "Snoring", "burp": "Burping, eructation",
    "breathing": "Breathing", "heartbeat": "Heart sounds, heartbeat", "footsteps": "Walk, footsteps",
    "clapping": "Clapping", "crowd": "Crowd", "bee": "Bee, wasp, etc.", "bees": "Bee, wasp, etc.", "puppy": "Bark",
    "dog": "Dog", "barking": "Bark", "cat": "Cat", "bird": "Bird", "chicken": "Chicken, rooster",
    "cow": "Cattle, bovinae", "wolf": "Howl", "mosquito": "Mosquito", "frog": "Frog", "siren": "Siren",
    "police": "Police car (siren)", "cop": "Police car (siren)", "ambulance": "Ambulance (siren)",
    "firetruck": "Fire engine, fire truck (siren)", "alarm": "Alarm", "smoke detector": "Smoke detector, smoke alarm",
    "car alarm": "Car alarm", "car": "Car", "Car Horn": "Vehicle horn, car horn, honking",
    "carhorn": "Vehicle horn, car horn, honking", "car crash": "Smash, crash", "motorbike": "Motorcycle",
    "plane": "Fixed-wing aircraft, airplane", "chopper": "Helicopter", "train": "Train", "boat": "Boat, Water vehicle",
    "subway": "Subway, metro, underground", "tractor": "Engine", "reversing truck": "Reversing beeps",
    "phone": "Telephone", "keyboard": "Computer keyboard", "mouse click": "Clicking", "doorbell": "Doorbell",
    "knocking": "Knock", "glass": "Glass", "broken glass": "Shatter", "glass breaking": "Shatter",
    "window breaking": "Shatter", "leak": "Water tap, faucet", "dripping": "Drip", "toilet": "Toilet flush",
    "kettle": "Boiling", "vacuum": "Vacuum cleaner", "hairdryer": "Hair dryer", "air conditioner": "Air conditioning",
    "fan": "Mechanical fan", "drill": "Drill", "drilling": "Drill", "hammer": "Hammer", "chainsaw": "Chainsaw",
    "lawnmower": "Lawn mower", "leaf blower": "Lawn mower", "paper": "Crumpling, crinkling", "coins": "Coin (dropping)",
    "rain": "Rain", "thunder": "Thunder", "wind": "Wind", "sea": "Ocean", "crackling": "Crackle", "guitar": "Guitar",
    "drums": "Drum", "singing": "Singing", "hip-hop": "Hip hop music", "tv": "Television", "silence": "Silence",
}  # fmt: skip


@pytest.mark.parametrize(("word", "name"), EVERYDAY.items())
def test_everyday_words_find_the_class_that_is_meant_among_the_first_three(word: str, name: str) -> None:
    assert name in [entry.name for entry in search_classes(word, build_guide(CLASSES))[:3]]


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


def test_the_guide_has_every_class_once_and_says_what_it_holds() -> None:
    guide = {entry.name: entry for entry in build_guide(CLASSES)}
    assert {name for name, entry in guide.items() if entry.is_class} == set(CLASSES)
    assert explain(guide["Dog"]) == (
        "Dog* adds 6 narrower sounds: Bark; Yip; Howl; Bow-wow; Growling; Whimper (dog). Not part of it: Cat. "
        "This model doesn't know Bay."
    )
    assert explain(guide["Human locomotion*"]) == (
        "Not a class itself, but 3 sounds: Run; Shuffle; Walk, footsteps. Not part of it: Human voice*; Whistling; "
        "Respiratory sounds*; and 4 more."
    )
    assert explain(guide["Toilet flush"]) == ""
    (entry,) = build_guide(("Chirp of my phone",))
    assert (entry.lines, explain(entry)) == (("Chirp of my phone",), "")


@pytest.mark.parametrize("word", ["dog", "voice", "music", "horn", "sounds"])
def test_every_name_found_can_be_asked_for(word: str) -> None:
    names = found_names(word)
    assert names
    assert len(parse_labels("\n".join(names), CLASSES, 0.2)) == len(names)


@pytest.mark.parametrize(("typed", "name"), {"dgo": "Dog", "sirne": "Siren", "ct": "Cat", "gutar": "Guitar"}.items())
def test_a_typo_suggests_the_class_that_is_meant_first(typed: str, name: str) -> None:
    assert search(typed) == []
    assert suggest(typed)[0] == name


def test_misspelled_words_suggest_near_names() -> None:
    assert suggest("speach")[0] == "Speech"
    assert suggest("kiten")[0] == "Cat"
    assert len(suggest("musik")) == 5
    assert suggest("xyzzy") == []


def test_the_command_prints_what_it_found_and_how_to_use_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("dog") == 0
    out = capsys.readouterr().out
    assert out.startswith("Animal > Domestic animals, pets > Dog\nAnimal > Domestic animals, pets > Dog > Bark\n")
    assert "\nDog: Dog* adds 6 narrower sounds: Bark; " in out
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
