"""Annotations against the labels of interest: which clip has which label, and of which labels an absence is known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from block.evaluation.annotations import Annotation, Annotations
from block.evaluation.bootstrap import Bools
from block.evaluation.segment_based import Event
from block.labels import ClassNames, LabelError, LabelOfInterest, parse_labels
from block.ontology import normalize_name


@dataclass(frozen=True)
class TargetLabel:
    """One name in the output, and the labels of interest that are written as it: their places in the user's list."""

    name: str
    members: tuple[int, ...]


def targets_of(labels: Sequence[LabelOfInterest]) -> tuple[TargetLabel, ...]:
    """The names in the output, in the user's order. Classes renamed to one name are one."""
    members: dict[str, list[int]] = {}
    for place, label in enumerate(labels):
        members.setdefault(label.name, []).append(place)
    return tuple(TargetLabel(name, tuple(places)) for name, places in members.items())


def labels_named(
    annotations: Annotations, class_names: Sequence[str], threshold: float, other: str
) -> tuple[LabelOfInterest, ...]:
    """The labels of interest where the user names none: each class that is annotated, under its own name.

    Raises LabelError, naming file and line, for a name that is no class of the checkpoint.
    """
    classes = _Classes(class_names)
    typed: dict[int, str] = {}
    for row in annotations.rows:
        if row.label and normalize_name(row.label) != normalize_name(other):
            index = classes.index(row)
            typed.setdefault(index, classes.names[index])
    if not typed:
        raise LabelError(f"{annotations.source} names no class; name the labels of interest: --audioset-labels")
    return parse_labels("\n".join(typed.values()), class_names, threshold)


class Names:
    """What a name in the annotations stands for: the name of a class, or the one that it is renamed to."""

    def __init__(self, labels: Sequence[LabelOfInterest], class_names: Sequence[str], other: str) -> None:
        self.targets = targets_of(labels)
        self._classes = _Classes(class_names)
        self._none = {"", normalize_name(other)}
        self._by_name: dict[str, set[int]] = {}
        self._by_class: dict[int, set[int]] = {}
        for at, target in enumerate(self.targets):
            self._by_name.setdefault(normalize_name(target.name), set()).add(at)
            for member in target.members:
                label = labels[member]
                if len(label.indices) > 1:  # `Animal*`, which is no class, may be annotated as such
                    for name in (label.class_name, label.class_name.removesuffix("*")):
                        self._by_name.setdefault(normalize_name(name), set()).add(at)
                for index in label.indices:
                    self._by_class.setdefault(index, set()).add(at)

    def any_of(self, typed: Iterable[str]) -> bool:
        """Return True if any of these names stands for a target."""
        for name in typed:
            try:
                if self.of(Annotation("", "", name)):
                    return True
            except LabelError:
                continue
        return False

    def of(self, row: Annotation) -> frozenset[int]:
        """The targets that this row says are heard; none for the other label, and for a class nobody asked for.

        Raises LabelError, naming file and line, for a name that is neither a class nor an output name, or that is
        both, of different labels.
        """
        typed = normalize_name(row.label)
        if typed in self._none and typed not in self._by_name:
            return frozenset()
        by_name = self._by_name.get(typed, set())
        index = self._classes.find(row)
        by_class = self._by_class.get(index, set()) if index is not None else set()
        if index is None and not by_name:
            raise self._classes.unknown(row)
        # `Animal*` and `Dog` may both be asked for, and a dog is both; but a class that was renamed is one thing, and
        # another that was given its name is another.
        if by_name and by_class and not by_name & by_class:
            there, here = (self.targets[min(found)].name for found in (by_class, by_name))
            raise LabelError(
                f"{row.place}: {row.label!r} is a class that is written as {there!r}, and the name that other classes "
                f"are written as, {here!r}; rename one of them in --audioset-labels"
            )
        return frozenset(by_name | by_class)


class _Classes:
    """`ClassNames`, asked for whole names that stand at a place."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = ClassNames(names)
        self.names = self._names.names

    def find(self, row: Annotation) -> int | None:
        """The class that a row names, None if it names none. Raises LabelError if it is not clear which."""
        if row.label not in self._names:
            return None
        try:
            return self._names.index(row.label)
        except LabelError as error:
            raise LabelError(f"{row.place}: {error}") from None

    def index(self, row: Annotation) -> int:
        """The class that a row names. Raises LabelError if it names none."""
        index = self.find(row)
        if index is None:
            raise self.unknown(row)
        return index

    def unknown(self, row: Annotation) -> LabelError:
        near = self._names.suggest(row.label)
        hint = f"; did you mean {' or '.join(repr(name) for name in near)}?" if near else ""
        return LabelError(f"{row.place}: {row.label!r} is neither a class of this checkpoint nor a new name{hint}")


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """What is heard in which of `files`.

    `present`, shape `(files, targets)`. `judged`, shape `(targets,)`: the labels of which it is known where they are
    absent. `events` are each file's, with `label` a target, for strong labels; `not_asked` are annotated names that no
    label of interest stands for.
    """

    files: tuple[str, ...]
    targets: tuple[TargetLabel, ...]
    present: Bools
    judged: Bools
    events: tuple[tuple[Event, ...], ...]
    not_asked: tuple[str, ...] = ()

    def only(self, keep: Sequence[int]) -> GroundTruth:
        """The same for some of the files, by their places. What is judged stays: it is a matter of the annotations."""
        return GroundTruth(
            tuple(self.files[at] for at in keep), self.targets, self.present[list(keep)], self.judged,
            tuple(self.events[at] for at in keep), self.not_asked,
        )  # fmt: skip


@dataclass
class _File:
    targets: set[int] = field(default_factory=set)
    events: list[Event] = field(default_factory=list)


def truth(annotations: Annotations, names: Names, exhaustive: bool) -> GroundTruth:
    """Raises LabelError, naming file and line, for names that stand for nothing.

    Annotations are rarely complete. A label that occurs in them was listened for: where it is not noted it counts as
    absent. A label of interest that never occurs may just not have been listened for: it is left out of the figures,
    unless `exhaustive` says that what is not noted is not there.
    """
    files: dict[str, _File] = {}
    not_asked: dict[str, None] = {}
    for row in annotations.rows:
        found = names.of(row)
        file = files.setdefault(row.file, _File())
        file.targets |= found
        if row.start_s is not None and row.end_s is not None:
            file.events += [Event(target, row.start_s, row.end_s) for target in sorted(found)]
        if not found and row.label:
            not_asked.setdefault(row.label)
    present = np.zeros((len(files), len(names.targets)), dtype=bool)
    for at, file in enumerate(files.values()):
        present[at, sorted(file.targets)] = True
    judged = np.asarray(present.any(axis=0) | exhaustive)
    events = tuple(tuple(file.events) for file in files.values())
    return GroundTruth(tuple(files), names.targets, present, judged, events, tuple(not_asked))
