"""AudioSet's hierarchy of sounds: which names stand below which.

The facts are in `audioset_ontology.csv`, which says where they come from: 632 nodes, 527 of them AudioSet's classes;
most of the others, such as `Human sounds`, are there for what is below them. A node may stand below several: `Growling`
is a dog's, a cat's and a wild animal's.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

AUDIOSET = Path(__file__).with_name("audioset_ontology.csv")


def normalize_name(name: str) -> str:
    """What names are compared by: without regard to case or to the length of spaces."""
    return " ".join(name.split()).lower()


@dataclass(frozen=True)
class Node:
    """A sound in the hierarchy, and the ids of those right below it."""

    id: str
    name: str
    children: tuple[str, ...] = ()


@dataclass(frozen=True)
class TreeLine:
    """A node as it is printed: `depth` levels below the top."""

    depth: int
    node: Node


class Ontology:
    """A hierarchy of nodes with distinct names; a node may have several parents, and none is below itself.

    Raises ValueError where an id stands for no node, or two names are one.
    """

    def __init__(self, nodes: Iterable[Node]) -> None:
        self.nodes: Mapping[str, Node] = {node.id: node for node in nodes}
        self._by_key = {normalize_name(node.name): node for node in self.nodes.values()}
        children = {child for node in self.nodes.values() for child in node.children}
        if unknown := children - self.nodes.keys():
            raise ValueError(f"children that are no nodes: {sorted(unknown)[:3]}")
        if len(self._by_key) != len(self.nodes):
            raise ValueError(f"{len(self.nodes)} nodes have {len(self._by_key)} names")
        self.roots = tuple(node for node in self.nodes.values() if node.id not in children)

    def find(self, name: str) -> Node | None:
        """The node of that name, without regard to case."""
        return self._by_key.get(normalize_name(name))

    def below(self, node: Node) -> tuple[Node, ...]:
        """The descendants of `node`, itself left out, each once; a node comes before what is below it first."""
        found: dict[str, Node] = {}
        for line in self.lines([node]):
            found.setdefault(line.node.id, line.node)
        del found[node.id]
        return tuple(found.values())

    def lines(self, nodes: Iterable[Node] | None = None) -> Iterator[TreeLine]:
        """`nodes` (all roots) and what is below them, from the top, a node under each of its parents."""
        stack = [TreeLine(0, node) for node in (self.roots if nodes is None else nodes)][::-1]
        while stack:
            line = stack.pop()
            yield line
            stack += [TreeLine(line.depth + 1, self.nodes[child]) for child in reversed(line.node.children)]


def format_tree(class_names: Sequence[str], ontology: Ontology) -> Iterator[str]:
    """The hierarchy of a checkpoint's classes, a line a class under each of its parents, two spaces a level.

    What is no class, but has classes below it, ends in `*`: it can be asked for like that alone. Classes that the
    hierarchy does not know come last.
    """
    by_key: dict[str, list[str]] = {}
    for name in class_names:
        by_key.setdefault(normalize_name(name), []).append(name)
    for line in ontology.lines():
        own: Sequence[str] = by_key.get(normalize_name(line.node.name), ())
        if not own and any(normalize_name(node.name) in by_key for node in ontology.below(line.node)):
            own = (f"{line.node.name}*",)
        yield from (f"{'  ' * line.depth}{name}" for name in own)
    yield from (name for name in class_names if ontology.find(name) is None)


def read_ontology(path: Path) -> Ontology:
    """The hierarchy in a CSV file: id, name, and the ids of the children with spaces between; `#` opens a remark."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(line for line in file if not line.startswith("#"))
        return Ontology(Node(row["id"], row["name"], tuple(row["children"].split())) for row in rows)


@cache
def load_audioset() -> Ontology:
    """AudioSet's hierarchy, read on first use."""
    return read_ontology(AUDIOSET)
