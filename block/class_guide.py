"""What each class of a checkpoint holds, by AudioSet's hierarchy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from block.formatting import count
from block.ontology import Node, Ontology, load_audioset, normalize_name

FEW_KINDS = 6  # named in an explanation
FEW_NEIGHBORS = 3
MOST_NEIGHBORS = 12  # beside it; among more, the first ones say nothing


@dataclass(frozen=True)
class GuideEntry:
    """A class, or a name that groups classes, as users write it: a group's name ends in `*`.

    `groups` are the names above it, from the top, once for each place in the hierarchy. `kinds` and `neighbors` are the
    entries right below and beside it, by name. `total` counts the classes anywhere below it. `unknown` are the names
    right below it in AudioSet that stand for no class of this checkpoint.
    """

    name: str
    groups: tuple[tuple[str, ...], ...] = ((),)
    kinds: tuple[str, ...] = ()
    neighbors: tuple[str, ...] = ()
    total: int = 0
    unknown: tuple[str, ...] = ()

    @property
    def is_class(self) -> bool:
        return not (self.kinds and self.name.endswith("*"))

    @property
    def lines(self) -> tuple[str, ...]:
        """The name behind the names above it, once for each place: `Animal > Domestic animals, pets > Dog`."""
        return tuple(" > ".join([*above, self.name]) for above in self.groups)


@lru_cache(maxsize=8)
def build_guide(class_names: tuple[str, ...]) -> tuple[GuideEntry, ...]:
    """Return an entry for each class, and for each name in AudioSet's hierarchy with classes below it.

    Entries are in the order of the hierarchy; classes that aren't in it come last.
    """
    ontology = load_audioset()
    by_key = {normalize_name(name): name for name in class_names}
    names = {node.id: name for node in ontology.nodes.values() if (name := _write_name(node, by_key, ontology))}
    groups: dict[str, list[tuple[str, ...]]] = {}
    neighbors: dict[str, dict[str, None]] = {}
    path: list[str] = []
    for line in ontology.walk():
        node = line.node
        path[line.depth :] = [node.name]
        groups.setdefault(node.id, []).append(tuple(path[:-1]))
        kinds = [names[child] for child in node.children if child in names]
        for child in node.children:
            neighbors.setdefault(child, {}).update(dict.fromkeys(one for one in kinds if one != names.get(child)))
    entries = []
    for key, paths in groups.items():
        if key in names:
            node = ontology.nodes[key]
            below = tuple(names[child] for child in node.children if child in names)
            total = sum(normalize_name(one.name) in by_key for one in ontology.find_descendants(node))
            unknown = tuple(ontology.nodes[child].name for child in node.children if child not in names)
            entries.append(GuideEntry(names[key], tuple(paths), below, tuple(neighbors.get(key, ())), total, unknown))
    known = {entry.name for entry in entries}
    return (*entries, *(GuideEntry(name) for name in dict.fromkeys(class_names) if name not in known))


def explain(entry: GuideEntry) -> str:
    """Return what `entry` holds and what it doesn't, in at most three sentences; empty if nothing is known."""
    parts = []
    kinds = _list_few(entry.kinds, FEW_KINDS)
    if entry.kinds and entry.is_class:
        parts.append(f"{entry.name}* adds {count(entry.total, 'narrower sound')}: {kinds}.")
    elif entry.kinds:
        parts.append(f"Not a class itself, but {count(entry.total, 'sound')}: {kinds}.")
    if 0 < len(entry.neighbors) <= MOST_NEIGHBORS:
        parts.append(f"Not part of it: {_list_few(entry.neighbors, FEW_NEIGHBORS)}.")
    if entry.unknown:
        parts.append(f"This model doesn't know {_list_few(entry.unknown, FEW_NEIGHBORS)}.")
    return " ".join(parts)


def format_tree(guide: Sequence[GuideEntry]) -> Iterator[str]:
    """Yield a line for each entry under each entry above it, two spaces per level."""
    by_name = {entry.name: entry for entry in guide}
    stack = [(0, entry) for entry in guide if () in entry.groups][::-1]
    while stack:
        depth, entry = stack.pop()
        yield f"{'  ' * depth}{entry.name}"
        stack += [(depth + 1, by_name[kind]) for kind in reversed(entry.kinds)]


def _write_name(node: Node, by_key: dict[str, str], ontology: Ontology) -> str:
    """Return the name of `node` as users write it; empty if neither it nor anything below it is a class."""
    if own := by_key.get(normalize_name(node.name)):
        return own
    has_classes = any(normalize_name(one.name) in by_key for one in ontology.find_descendants(node))
    return f"{node.name}*" if has_classes else ""


def _list_few(names: Sequence[str], most: int) -> str:
    more = len(names) - most
    return "; ".join(names[:most]) + (f"; and {more} more" if more > 0 else "")
