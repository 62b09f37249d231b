"""The 527 AudioSet classes: their order, their ancestors, and those that the teacher knows."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .arrays import Floats, Ints

# YAMNet's 521 outputs are AudioSet's 527 classes in the same order, without these six.
NOT_IN_YAMNET = (
    "Male speech, man speaking",
    "Female speech, woman speaking",
    "Battle cry",
    "Male singing",
    "Female singing",
    "Funny music",
)


@dataclass(frozen=True)
class Labels:
    """Class names in AudioSet's order, and the ancestors of each class in the ontology."""

    names: tuple[str, ...]
    ancestors: dict[str, frozenset[str]]

    def index(self, name: str) -> int:
        """Return the index of a class. Raise ValueError for an unknown name."""
        return self.names.index(name)

    def vector(self, names: tuple[str, ...], parent: float = 1.0) -> Floats:
        """Return 1 for the named classes, `parent` for their ancestors, 0 elsewhere. Shape: (527,), float32."""
        wanted = np.zeros(len(self.names), dtype=np.float32)
        for name in names:
            for ancestor in self.ancestors[name]:
                wanted[self.index(ancestor)] = max(wanted[self.index(ancestor)], parent)
        for name in names:
            wanted[self.index(name)] = 1.0
        return wanted

    def teacher_columns(self) -> Ints:
        """Return the index among the 527 classes of each of the teacher's 521 outputs. Shape: (521,)."""
        return np.array([k for k, name in enumerate(self.names) if name not in NOT_IN_YAMNET])


def read_labels(folder: Path) -> Labels:
    """Read AudioSet's `class_labels_indices.csv` and `ontology.json` from `folder`."""
    with open(folder / "class_labels_indices.csv", newline="", encoding="utf-8") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: int(row["index"]))
    names = tuple(row["display_name"] for row in rows)
    if len(names) != 527:
        raise ValueError(f"{folder}: {len(names)} classes; expected AudioSet's 527")
    nodes = json.loads((folder / "ontology.json").read_text(encoding="utf-8"))
    name_of = {node["id"]: node["name"] for node in nodes}
    parents: dict[str, set[str]] = {}
    for node in nodes:
        for child in node["child_ids"]:
            parents.setdefault(name_of[child], set()).add(node["name"])
    known = set(names)

    def above(name: str) -> set[str]:
        direct = parents.get(name, set())
        return direct.union(*(above(parent) for parent in direct)) if direct else set()

    return Labels(names, {name: frozenset(above(name) & known) for name in names})
