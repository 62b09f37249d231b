"""What the names in annotations mean, and which labels can be judged."""

from __future__ import annotations

import pytest

from block.class_names import LabelError
from block.evaluation.annotations import Annotation, Annotations
from block.evaluation.ground_truth import LabelResolver, list_annotated_classes, list_targets
from block.evaluation.segment_based import Event
from block.labels import parse_labels
from tests.conftest import NAMES
from tests.evaluation.synthetic import make_settings, make_truth


def names(text: str, of: tuple[str, ...] = NAMES, other: str = "other") -> LabelResolver:
    return LabelResolver(parse_labels(text, of, 0.2), of, other)


def found(resolver: LabelResolver, label: str) -> set[str]:
    return {resolver.targets[at].name for at in resolver.resolve(Annotation("notes.csv, line 7", "a.wav", label))}


def test_a_label_may_be_annotated_by_its_class_or_by_its_new_name_in_any_case() -> None:
    resolver = names("Dog (my pet, 0.4), Male speech, man speaking, Whimper (dog)")
    for label in ("dog", "Dog", "MY  PET"):
        assert found(resolver, label) == {"my pet"}
    assert found(resolver, "male speech, man speaking") == {"Male speech, man speaking"}
    assert found(resolver, "whimper (DOG)") == {"Whimper (dog)"}


def test_of_new_names_that_differ_only_in_case_or_blanks_the_one_as_written_is_meant() -> None:
    resolver = names("Dog (x y), Music (X y), Speech (x\u2028y)")
    for label in ("x y", "X y", "x\u2028y"):
        assert found(resolver, label) == {label}
    assert found(resolver, "X Y") == {"x y", "X y", "x\u2028y"}
    assert found(resolver, "dog") == {"x y"}


def test_classes_with_the_same_new_name_share_a_target() -> None:
    resolver = names("Whimper (hound), Speech, Dog (hound)")
    assert [(target.name, target.members) for target in resolver.targets] == [("hound", (0, 2)), ("Speech", (1,))]
    assert found(resolver, "Dog") == found(resolver, "Whimper") == found(resolver, "hound") == {"hound"}


def test_other_classes_the_other_label_and_an_empty_label_have_no_target() -> None:
    resolver = names("Dog")
    for label in ("Music", "other", "OTHER", ""):
        assert found(resolver, label) == set()
    # Unless a label of interest has that name.
    assert found(names("Dog (Other)"), "other") == {"Other"}


def test_an_unknown_name_is_refused_with_its_line_and_similar_names() -> None:
    with pytest.raises(LabelError, match=r"notes.csv, line 7: 'Dogg' is neither .* did you mean 'Dog'"):
        found(names("Dog"), "Dogg")


def test_a_renamed_class_whose_name_went_to_another_class_is_refused_as_ambiguous() -> None:
    with pytest.raises(
        LabelError, match=r"line 7: 'Dog' is ambiguous: that class is renamed to 'hound', and .* renamed to 'Dog'"
    ):
        found(names("Dog (hound), Music (Dog)"), "Dog")


def test_a_descendant_of_a_starred_class_counts_for_that_class_and_for_itself() -> None:
    of = ("Animal", "Dog", "Bark", "Cat", "Speech")
    resolver = names("Animal*, Dog, Speech", of)
    assert found(resolver, "Bark") == found(resolver, "Animal") == found(resolver, "animal*") == {"Animal"}
    assert found(resolver, "Dog") == {"Animal", "Dog"}
    renamed = names("Animal* (beast), Speech", of)
    assert found(renamed, "Animal") == found(renamed, "Animal*") == found(renamed, "beast") == {"beast"}


def test_without_labels_of_interest_all_annotated_classes_count() -> None:
    rows = tuple(
        Annotation(f"notes.csv, line {at}", "a.wav", name)
        for at, name in enumerate(["dog", "Male speech, man speaking", "", "Dog", "other", "Whimper (dog)"], start=2)
    )
    labels = list_annotated_classes(Annotations("notes.csv", False, rows), NAMES, 0.3, "other")
    assert [(label.name, label.threshold) for label in labels] == [
        ("Dog", 0.3), ("Male speech, man speaking", 0.3), ("Whimper (dog)", 0.3),
    ]  # fmt: skip
    with pytest.raises(LabelError, match="line 2: 'Hund' is neither"):
        list_annotated_classes(
            Annotations("x", False, (Annotation("notes.csv, line 2", "a", "Hund"),)), NAMES, 0.3, "other"
        )
    with pytest.raises(LabelError, match="contains no class; name the labels of interest with --audioset-labels"):
        list_annotated_classes(Annotations("notes.csv", False, rows[2:3]), NAMES, 0.3, "other")


def test_labels_that_never_occur_are_judged_only_if_the_annotations_are_exhaustive() -> None:
    rows = [("a.wav", "Speech"), ("a.wav", "Dog"), ("b.wav", "Dog"), ("c.wav", "Silence"), ("d.wav", "")]
    truth = make_truth(rows, make_settings("Speech, Music, Dog"))
    assert truth.files == ("a.wav", "b.wav", "c.wav", "d.wav")
    assert truth.present.tolist() == [[True, False, True], [False, False, True], [False] * 3, [False] * 3]
    assert truth.is_judged.tolist() == [True, False, True]
    assert truth.unused_names == ("Silence",)
    assert make_truth(rows, make_settings("Speech, Music, Dog"), exhaustive=True).is_judged.tolist() == [True] * 3


def test_strong_rows_become_events_of_their_targets() -> None:
    truth = make_truth([("a.wav", 1.0, 2.0, "Dog"), ("b.wav", None, None, "")], make_settings("Speech, Dog"))
    assert truth.events == ((Event(1, 1.0, 2.0),), ())
    kept = truth.select([1])
    assert (kept.files, kept.events, kept.is_judged.tolist()) == (("b.wav",), ((),), [False, True])


def test_targets_are_in_the_users_order() -> None:
    labels = parse_labels("Dog (a), Speech (b), Music (a)", NAMES, 0.2)
    assert [target.name for target in list_targets(labels)] == ["a", "b"]
