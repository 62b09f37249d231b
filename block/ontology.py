"""AudioSet's hierarchy of sounds.

`audioset_ontology.csv`, which names its source, has 632 nodes, of which 527 are AudioSet's classes. Most others, such
as `Human sounds`, only group the nodes below them. A node can have several parents: `Growling` is below `Dog`, `Cat`
and wild animals.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

AUDIOSET = Path(__file__).with_name("audioset_ontology.csv")


def normalize_name(name: str) -> str:
    """Return `name` in lower case with single spaces, the form in which names are compared."""
    return " ".join(name.split()).lower()


@dataclass(frozen=True)
class Node:
    """A sound in the hierarchy, and the ids of its children."""

    id: str
    name: str
    children: tuple[str, ...] = ()


@dataclass(frozen=True)
class TreeLine:
    """A node, `depth` levels below the top."""

    depth: int
    node: Node


class Ontology:
    """A hierarchy of nodes with distinct names. A node may have several parents; there are no cycles.

    Raise ValueError if a child's id is unknown, or two nodes have the same name.
    """

    def __init__(self, nodes: Iterable[Node]) -> None:
        self.nodes: Mapping[str, Node] = {node.id: node for node in nodes}
        self._by_key = {normalize_name(node.name): node for node in self.nodes.values()}
        children = {child for node in self.nodes.values() for child in node.children}
        if unknown := children - self.nodes.keys():
            raise ValueError(f"these children are missing from the nodes: {sorted(unknown)[:3]}")
        if len(self._by_key) != len(self.nodes):
            raise ValueError(f"{len(self.nodes)} nodes have only {len(self._by_key)} different names")
        self.roots = tuple(node for node in self.nodes.values() if node.id not in children)

    def find(self, name: str) -> Node | None:
        """Return the node with that name, ignoring case."""
        return self._by_key.get(normalize_name(name))

    def find_descendants(self, node: Node) -> tuple[Node, ...]:
        """Return the descendants of `node`, each once, in the order of `walk`."""
        found = {line.node.id: line.node for line in self.walk([node])}
        del found[node.id]
        return tuple(found.values())

    def walk(self, nodes: Iterable[Node] | None = None) -> Iterator[TreeLine]:
        """Yield `nodes` (default: all roots) and their descendants depth first, each node under each of its parents."""
        stack = [TreeLine(0, node) for node in (self.roots if nodes is None else nodes)][::-1]
        while stack:
            line = stack.pop()
            yield line
            stack += [TreeLine(line.depth + 1, self.nodes[child]) for child in reversed(line.node.children)]


def read_ontology(path: Path) -> Ontology:
    """Read a hierarchy from a CSV file with id, name, and space-separated ids of children; `#` starts a comment."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(line for line in file if not line.startswith("#"))
        return Ontology(Node(row["id"], row["name"], tuple(row["children"].split())) for row in rows)


@cache
def load_audioset() -> Ontology:
    """Return AudioSet's hierarchy. Read it on first use."""
    return read_ontology(AUDIOSET)
