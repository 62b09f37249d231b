"""AudioSet's hierarchy: it equals the published one, and `Name*` works for every name in it."""

from __future__ import annotations

import csv
import json
from functools import cache
from itertools import pairwise

import pytest

from block import cli
from block.class_guide import build_guide, format_tree
from block.class_names import LabelError
from block.labeling.job import format_labels
from block.labels import parse_labels
from block.model.checkpoint import find_checkpoint
from block.ontology import Node, Ontology, load_audioset
from tests.conftest import EMBEDDED, NAMES, SHARED

PUBLISHED = pytest.mark.skipif(not SHARED.is_dir(), reason="needs AudioSet's published files")


@cache
def class_names() -> tuple[str, ...]:
    with (SHARED / "audioset" / "class_labels_indices.csv").open(newline="", encoding="utf-8") as file:
        return tuple(row["display_name"] for row in csv.DictReader(file))


@cache
def published() -> dict[str, dict[str, object]]:
    return {node["id"]: node for node in json.loads((SHARED / "audioset" / "ontology.json").read_text())}


def descendants(of: str) -> set[str]:
    """Return the ids below a node, computed from the published file."""
    children = set(published()[of]["child_ids"])  # type: ignore[call-overload]
    return children.union(*(descendants(child) for child in children))


@PUBLISHED
def test_the_hierarchy_is_the_published_one() -> None:
    expected = {node_id: (one["name"], tuple(one["child_ids"])) for node_id, one in published().items()}  # type: ignore[arg-type]
    assert {node.id: (node.name, node.children) for node in load_audioset().nodes.values()} == expected
    assert list(load_audioset().nodes) == list(expected)


def test_seven_sounds_are_at_the_top_and_every_other_is_below_one_of_them() -> None:
    roots = load_audioset().roots
    assert [root.name for root in roots] == [
        "Human sounds", "Animal", "Music", "Natural sounds", "Sounds of things", "Source-ambiguous sounds",
        "Channel, environment and background",
    ]  # fmt: skip
    assert {
        node.id for root in roots for node in (root, *load_audioset().find_descendants(root))
    } == load_audioset().nodes.keys()
    assert all(node not in load_audioset().find_descendants(node) for node in load_audioset().nodes.values())


@PUBLISHED
def test_every_name_with_a_star_means_the_class_and_its_descendants_or_is_refused_where_there_are_none() -> None:
    names = class_names()
    index = {name: place for place, name in enumerate(names)}
    refused = 0
    for node_id, one in published().items():
        name = str(one["name"])
        below = {index[str(published()[child]["name"])] for child in descendants(node_id)
                 if published()[child]["name"] in index}  # fmt: skip
        if not below:
            refused += 1
            with pytest.raises(LabelError, match="this checkpoint has no classes below"):
                parse_labels(f"{name}*", names, 0.2)
            continue
        (label,) = parse_labels(f"{name.upper()} * (x, 0.5)", names, 0.2)
        own = [index[name]] if name in index else []
        assert list(label.indices[: len(own)]) == own
        assert sorted(label.indices) == sorted(below | set(own))
        assert (label.class_name, label.name, label.threshold, label.index) == (f"{name}*", "x", 0.5, label.indices[0])
    assert len(published()) - refused == 149


@PUBLISHED
@pytest.mark.parametrize("separator", ["\n", "\\n", ", ", ","])
def test_all_names_with_and_without_a_star_can_be_listed_at_once(separator: str) -> None:
    names = class_names()
    with_star = [line.strip() for line in format_tree(build_guide(names)) if line.endswith("*")]
    for node in load_audioset().nodes.values():
        if node.name in names and set(names) & {one.name for one in load_audioset().find_descendants(node)}:
            with_star.append(node.name + "*")
    entries = [*names, *dict.fromkeys(with_star)]
    labels = parse_labels(separator.join(entries), names, 0.2)
    assert [label.class_name for label in labels] == entries
    assert parse_labels(format_labels(labels), names, 0.2) == labels


def test_a_node_with_several_parents_is_below_each_and_counted_once() -> None:
    a, b, c, d = (Node(name, name, tuple(children)) for name, children in
                  (("a", "bc"), ("b", "d"), ("c", "d"), ("d", "")))  # fmt: skip
    ontology = Ontology([d, a, b, c])
    assert ontology.roots == (a,)
    assert ontology.find_descendants(a) == (b, d, c)
    assert [(line.depth, line.node.name) for line in ontology.walk()] == [
        (0, "a"), (1, "b"), (2, "d"), (1, "c"), (2, "d"),
    ]  # fmt: skip


def test_an_inconsistent_hierarchy_is_refused() -> None:
    with pytest.raises(ValueError, match=r"missing from the nodes: \['b'\]"):
        Ontology([Node("a", "A", ("b",))])
    with pytest.raises(ValueError, match="2 nodes have only 1 different names"):
        Ontology([Node("a", "A"), Node("b", "a")])


def test_the_tree_shows_classes_below_their_parents_and_unknown_classes_last() -> None:
    assert list(format_tree(build_guide((*NAMES, "Engine ok")))) == [
        "Human sounds*",
        "  Human voice*",
        "    Speech",
        "      Male speech, man speaking",
        "    Crying, sobbing*",
        "      Whimper",
        "Animal*",
        "  Domestic animals, pets*",
        "    Dog",
        "      Whimper (dog)",
        "Music",
        "Source-ambiguous sounds*",
        "  Silence",
        "Engine ok",
    ]


@PUBLISHED
def test_the_tree_has_all_of_audiosets_classes_and_only_names_that_labels_accept() -> None:
    lines = list(format_tree(build_guide(class_names())))
    assert {line.strip() for line in lines if not line.endswith("*")} == set(class_names())
    parse_labels("\n".join(dict.fromkeys(line.strip() for line in lines)), class_names(), 0.2)
    depths = [(len(line) - len(line.lstrip())) / 2 for line in lines]
    assert depths[0] == 0
    assert all(after <= before + 1 for before, after in pairwise(depths))


def test_the_labels_command_prints_the_tree(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run_command(["labels", "--tree", "--model", str(EMBEDDED)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == list(format_tree(build_guide(find_checkpoint(str(EMBEDDED)).class_names)))
    assert lines[:3] == ["Human sounds*", "  Human voice*", "    Speech"]
