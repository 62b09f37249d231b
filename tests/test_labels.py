from __future__ import annotations

import csv

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from block.class_names import LabelError
from block.labeling.job import format_labels
from block.labels import LabelOfInterest, describe_unreachable_labels, parse_labels
from block.ontology import load_audioset
from tests.conftest import NAMES, SHARED


def read(text: str, names: tuple[str, ...] = NAMES) -> list[tuple[str, str, float]]:
    return [(label.class_name, label.name, label.threshold) for label in parse_labels(text, names, 0.2)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("speech\nmusic", [("Speech", "speech", 0.2), ("Music", "music", 0.2)]),
        ("speech\\nmusic", [("Speech", "speech", 0.2), ("Music", "music", 0.2)]),
        ("speech, music", [("Speech", "speech", 0.2), ("Music", "music", 0.2)]),
        ("\n speech ,\r\n\n,Music,\n", [("Speech", "speech", 0.2), ("Music", "Music", 0.2)]),
        ("Male speech, man speaking, Dog",
         [("Male speech, man speaking", "Male speech, man speaking", 0.2), ("Dog", "Dog", 0.2)]),
        ("male  speech,   man speaking",
         [("Male speech, man speaking", "male  speech,   man speaking", 0.2)]),
        ("Whimper (dog)", [("Whimper (dog)", "Whimper (dog)", 0.2)]),
        ("Whimper (dog) (sad dog)", [("Whimper (dog)", "sad dog", 0.2)]),
        ("Whimper (cat)", [("Whimper", "cat", 0.2)]),
        ("Speech(voice)", [("Speech", "voice", 0.2)]),
        ("Speech (0.4)", [("Speech", "Speech", 0.4)]),
        ("Speech (voice, 0.4), Dog", [("Speech", "voice", 0.4), ("Dog", "Dog", 0.2)]),
        ("Speech (a, b (c), d)", [("Speech", "a, b (c), d", 0.2)]),
        ("Speech (a, b, .5)", [("Speech", "a, b", 0.5)]),
        ("Speech (Voice ONE)", [("Speech", "Voice ONE", 0.2)]),
        ("Speech (0), Dog (1)", [("Speech", "Speech", 0.0), ("Dog", "Dog", 1.0)]),
        ("Speech (nan)", [("Speech", "nan", 0.2)]),
        ("Dog (100% wool)", [("Dog", "100% wool", 0.2)]),
        ("Dog (100%, wool)", [("Dog", "100%, wool", 0.2)]),
        ("Dog (%), Music (...)", [("Dog", "%", 0.2), ("Music", "...", 0.2)]),
        ("Dog (1, 0.4), Music (24-7)", [("Dog", "1", 0.4), ("Music", "24-7", 0.2)]),
        ("Dog (room 1,1)", [("Dog", "room 1", 1.0)]),
        ("Speech (sound), Music (sound)", [("Speech", "sound", 0.2), ("Music", "sound", 0.2)]),
        ("Dog*", [("Dog*", "Dog", 0.2)]),
        ("dog*(beast, 0.3), Dog", [("Dog*", "beast", 0.3), ("Dog", "Dog", 0.2)]),
        ("Animal * (0.3), SPEECH*", [("Animal*", "Animal", 0.3), ("Speech*", "SPEECH", 0.2)]),
        ("human  sounds*", [("Human sounds*", "human  sounds", 0.2)]),
        ("domestic Animals, pets*\nDog*",
         [("Domestic animals, pets*", "domestic Animals, pets", 0.2), ("Dog*", "Dog", 0.2)]),
    ],
)  # fmt: skip
def test_the_list_is_read_as_the_grammar_says(text: str, expected: list[tuple[str, str, float]]) -> None:
    assert read(text) == expected


@pytest.mark.parametrize(
    ("inner", "typed", "meant"),
    [
        ("40%", "40%", "0.4"),
        ("40 %", "40 %", "0.4"),
        ("40％", "40％", "0.4"),
        ("40 percent", "40 percent", "0.4"),
        ("%40", "%40", "0.4"),
        (">= 40%", ">= 40%", "0.4"),
        ("my dog, 40%", "40%", "0.4"),
        ("my dog, old, 40 %", "40 %", "0.4"),
        ("40.5%", "40.5%", "0.405"),
        ("0.4%", "0.4%", "0.4 or 0.004"),
        ("4e-1%", "4e-1%", "0.4 or 0.004"),
        ("40", "40", "0.4"),
        ("my dog, 40", "40", "0.4"),
        ("0,4", "0,4", "0.4"),
        ("0,1", "0,1", "0.1"),
        (",4", ",4", "0.4"),
        ("40,5%", "40,5%", "0.405"),
        ("my dog, 0,4", "0,4", "0.4"),
        (".4.", ".4.", "0.4"),
        ("> 0.4", "> 0.4", "0.4"),
    ],
)
def test_a_threshold_in_another_notation_is_refused_with_the_right_one(inner: str, typed: str, meant: str) -> None:
    with pytest.raises(LabelError) as caught:
        read(f"Speech, Dog ({inner})")
    expected = f"the threshold of 'Dog' is {typed}; expected a number from 0 to 1; did you mean {meant}?"
    assert str(caught.value) == f"line 1, column 9: {expected}"
    read(f"Speech, Dog ({meant.partition(' or ')[0]})")


@pytest.mark.parametrize("name", ["40%", "0,4", ".4."])
def test_a_new_name_that_looks_like_a_threshold_is_refused(name: str) -> None:
    with pytest.raises(LabelError, match=r"looks like a threshold; expected a name, .* did you mean 0\.4\?$"):
        read(f"Dog ({name}, 0.4)")


@pytest.mark.parametrize("inner", ["-40%", "1.2.3", "400%", "1e400%"])
def test_no_threshold_is_suggested_where_none_is_meant(inner: str) -> None:
    with pytest.raises(LabelError, match="expected a number from 0 to 1$"):
        read(f"Dog ({inner})")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the list of labels is empty"),
        (" ,\n, \\n", "the list of labels is empty"),
        ("speach", r"line 1, column 1: 'speach' is not a class of this checkpoint; did you mean 'Speech'"),
        ("Music\nMale speach, man speaking", r"line 2, column 1: 'Male speach'.*'Male speech, man speaking'"),
        (
            "Music, xyzzy",
            r"line 1, column 8: 'xyzzy' is not a class of this checkpoint; to search .* labels WORD$",
        ),
        ("Speech (1.5)", "threshold of 'Speech' is 1.5; expected a number from 0 to 1$"),
        ("Speech (voice, -0.1)", "threshold of 'Speech' is -0.1; expected a number from 0 to 1$"),
        ("Speech ()", "new name .* is empty"),
        ("Speech ( , 0.3)", "new name .* is empty"),
        ("Speech (voice", "is not closed"),
        ("Speech (a) (b)", r"got '\(b\)' after 'Speech \(a\)'; expected a comma or a new line"),
        ("Speech (a) b", r"got 'b' after 'Speech \(a\)'; expected"),
        (
            "speech, Music\nSPEECH (x)",
            "line 2, column 1: the class 'Speech' is listed twice, first at line 1, column 1",
        ),
        ("Dog*, Music, DOG * (x)", r"column 14: the class 'Dog\*' is listed twice, first at line 1, column 1"),
        ("Music*", r"this checkpoint has no classes below 'Music' in AudioSet's hierarchy; leave out the \*"),
        ("whimper (dog)*", r"below 'Whimper \(dog\)' .*; leave out the \*"),
        ("Vehicle*", r"this checkpoint has no classes below 'Vehicle' .*, and 'Vehicle' isn't a class either$"),
        ("Anmial*", r"'Anmial\*' is not a class of this checkpoint; did you mean 'Animal\*'"),
        ("Domestic animal, pets*", r"did you mean 'Domestic animals, pets\*'\?$"),
        ("animal", r"'animal' isn't a class itself; for the 2 below it, use 'Animal\*'"),
        ("Domestic animals, pets", r"for the 2 below it, use 'Domestic animals, pets\*'"),
        ("Human sound", r"'Human sound' is not a class of this checkpoint; did you mean 'Human sounds\*'"),
        ("xyzzy, Dog*", r"column 1: 'xyzzy' is not a class of this checkpoint"),
        ("Dog**", r"'Dog\*\*' is not a class"),
        ("*", r"'\*' is not a class of this checkpoint; to search"),
        ("Dog (x)*", r"got '\*' after 'Dog \(x\)'; expected a comma or a new line"),
        ("\u017fpeech", "is not a class"),
        (")", "is not a class"),
    ],
)
def test_invalid_lists_are_refused_with_the_position(text: str, said: str) -> None:
    with pytest.raises(LabelError, match=said):
        read(text)


def test_exact_spelling_decides_between_names_that_differ_only_in_case() -> None:
    names = ("bat", "Bat", "Ball")
    assert [label.index for label in parse_labels("Bat, bat", names, 0.2)] == [1, 0]
    with pytest.raises(LabelError, match="2 classes named 'BAT'"):
        parse_labels("BAT", names, 0.2)


labels_text = st.text(alphabet="Speech, Music(Dog)0.5\\n\n*", max_size=60)


@given(labels_text)
@example("Speech (a, 0.5), Whimper (dog) (x)")
def test_any_text_is_parsed_or_refused_and_entries_parse_again_to_the_same_labels(text: str) -> None:
    try:
        labels = parse_labels(text, NAMES, 0.2)
    except LabelError:
        return
    assert parse_labels(format_labels(labels), NAMES, 0.2) == labels
    assert len({label.class_name for label in labels}) == len(labels)
    assert all(label.index == label.indices[0] for label in labels)
    assert all(0 <= label.threshold <= 1 and label.name == label.name.strip() != "" for label in labels)


def test_a_class_with_all_below_it_has_the_indices_of_these_its_own_first() -> None:
    assert [(label.index, label.indices) for label in parse_labels("Dog*, Dog, Animal*, Speech*", NAMES, 0.2)] == [
        (5, (5, 4)),
        (5, (5,)),
        (5, (5, 4)),  # not a class itself: the first one below it
        (0, (0, 1)),
    ]


def test_a_class_whose_own_name_ends_in_a_star_is_that_class() -> None:
    names = ("Dog", "Dog*", "Bark")
    assert [label.indices for label in parse_labels("Dog*, Dog", names, 0.2)] == [(1,), (0,)]


def test_classes_that_differ_only_in_case_are_below_what_either_is_below() -> None:
    names = ("dog", "Dog", "Bark")
    assert parse_labels("Animal*", names, 0.2)[0].indices == (0, 1, 2)
    assert parse_labels("Dog*", names, 0.2)[0].indices == (1, 2)
    with pytest.raises(LabelError, match="2 classes named 'DOG'"):
        parse_labels("DOG*", names, 0.2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Dog, Animal*", []),
        ("Animal*, Dog", ["'Dog' will never be used: 'Animal*' comes first"]),
        ("Animal* (0.3), Dog", []),  # with a low score, a dog can still win
        ("Animal* (0.1), Dog (0.1)", ["list 'Dog' first"]),
        ("Dog*, Dog (dog)", ["'dog' will never be used"]),
        ("Animal*, Dog*, Dog (puppy)", ["'Dog' will never", "'puppy' will never be used: 'Animal*' comes first"]),
        ("Animal* (x), Dog (x)", []),  # it gets the same name
        ("Human sounds*, Speech, Speech*, Dog", ["'Speech' will never be used", "list 'Speech*' first"]),
    ],
)
def test_a_label_that_can_never_win_is_reported(text: str, said: list[str]) -> None:
    told = describe_unreachable_labels(parse_labels(text, NAMES, 0.2))
    assert len(told) == len(said)
    assert all(part in line for part, line in zip(said, told, strict=True))


def test_at_most_three_names_with_a_star_are_suggested() -> None:
    names = [node.name for node in load_audioset().nodes.values()]
    with pytest.raises(LabelError) as caught:
        parse_labels("Musical instrumnt*", names, 0.2)
    assert str(caught.value).count("*'") == 1 + 3, "the one that was typed, and the suggestions"


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs AudioSet's list of classes")
@pytest.mark.parametrize("separator", ["\n", "\\n", ", ", ","])
def test_all_527_names_of_audioset_can_be_listed_at_once(separator: str) -> None:
    with (SHARED / "audioset" / "class_labels_indices.csv").open(newline="") as file:
        names = tuple(row["display_name"] for row in csv.DictReader(file))
    labels = parse_labels(separator.join(names), names, 0.2)
    assert [label.index for label in labels] == list(range(527))
    renamed = separator.join(f"{name} (n{i}, 0.5)" for i, name in enumerate(names))
    assert [(label.index, label.name, label.threshold) for label in parse_labels(renamed, names, 0.2)] == [
        (i, f"n{i}", 0.5) for i in range(527)
    ]


def test_a_label_keeps_the_text_it_was_read_from() -> None:
    assert parse_labels("music (tune , 0.30) ,dog", NAMES, 0.2) == (
        LabelOfInterest(2, "Music", "tune", 0.3, "music (tune , 0.30)"),
        LabelOfInterest(5, "Dog", "dog", 0.2, "dog"),
    )
