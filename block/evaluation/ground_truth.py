"""Annotations against the labels of interest: which clip has which label, and of which labels an absence is known."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from block.evaluation.annotations import Annotation, Annotations
from block.evaluation.bootstrap import Bools
from block.evaluation.segment_based import Event
from block.labels import ClassNames, LabelError, LabelOfInterest, parse_labels
from block.ontology import normalize_name


@dataclass(frozen=True)
class TargetLabel:
    """One name in the output; `members` are the places of the labels of interest that are written as it."""

    name: str
    members: tuple[int, ...]


def list_targets(labels: Sequence[LabelOfInterest]) -> tuple[TargetLabel, ...]:
    """Return the names in the output, in the user's order. Classes renamed to one name are one."""
    members: dict[str, list[int]] = {}
    for place, label in enumerate(labels):
        members.setdefault(label.name, []).append(place)
    return tuple(TargetLabel(name, tuple(places)) for name, places in members.items())


def list_annotated_classes(
    annotations: Annotations, class_names: Sequence[str], threshold: float, other: str
) -> tuple[LabelOfInterest, ...]:
    """Return the labels of interest where the user names none: each annotated class, under its own name.

    Raises LabelError, naming file and line, for a name that is no class of the checkpoint.
    """
    classes = ClassNames(class_names)
    typed: dict[int, str] = {}
    for row in annotations.rows:
        if row.label and normalize_name(row.label) != normalize_name(other):
            index = _find_class(classes, row)
            if index is None:
                raise _unknown_name(classes, row)
            typed.setdefault(index, classes.names[index])
    if not typed:
        raise LabelError(f"{annotations.source} names no class; name the labels of interest: --audioset-labels")
    return parse_labels("\n".join(typed.values()), class_names, threshold)


def _find_class(classes: ClassNames, row: Annotation) -> int | None:
    """Return the class that a row names, None if it names none. Raises LabelError if it is not clear which."""
    try:
        return classes.index(row.label) if row.label in classes else None
    except LabelError as error:
        raise LabelError(f"{row.place}: {error}") from None


def _unknown_name(classes: ClassNames, row: Annotation) -> LabelError:
    near = classes.suggest(row.label)
    hint = f"; did you mean {' or '.join(repr(name) for name in near)}?" if near else ""
    return LabelError(f"{row.place}: {row.label!r} is neither a class of this checkpoint nor a new name{hint}")


class LabelResolver:
    """Finds the targets that a name in the annotations means: by the name of a class, or by the name in the output."""

    def __init__(self, labels: Sequence[LabelOfInterest], class_names: Sequence[str], other: str) -> None:
        self.targets = list_targets(labels)
        self._classes = ClassNames(class_names)
        self._none = {"", normalize_name(other)}
        self._by_name: defaultdict[str, set[int]] = defaultdict(set)
        self._by_class: defaultdict[int, set[int]] = defaultdict(set)
        for at, target in enumerate(self.targets):
            self._by_name[normalize_name(target.name)].add(at)
            for label in (labels[member] for member in target.members):
                if len(label.indices) > 1:  # `Animal*`, which is no class, may be annotated as such
                    self._by_name[normalize_name(label.class_name)].add(at)
                    self._by_name[normalize_name(label.class_name.removesuffix("*"))].add(at)
                for index in label.indices:
                    self._by_class[index].add(at)

    def knows_any(self, names: Iterable[str]) -> bool:
        """Return True if any of these names means a target."""
        for name in names:
            with contextlib.suppress(LabelError):
                if self.resolve(Annotation("", "", name)):
                    return True
        return False

    def resolve(self, row: Annotation) -> frozenset[int]:
        """Return the targets that this row annotates; none for the other label, and for a class nobody asked for.

        Raises LabelError, naming file and line, for a name that is neither a class nor an output name, or that is
        both, of different labels.
        """
        typed = normalize_name(row.label)
        by_name = self._by_name.get(typed, set())
        if typed in self._none and not by_name:
            return frozenset()
        index = _find_class(self._classes, row)
        by_class = self._by_class.get(index, set()) if index is not None else set()
        if index is None and not by_name:
            raise _unknown_name(self._classes, row)
        # `Animal*` and `Dog` may both be asked for, and a dog is both; but a class that was renamed is one thing, and
        # another that was given its name is another.
        if by_name and by_class and not by_name & by_class:
            there, here = (self.targets[min(found)].name for found in (by_class, by_name))
            raise LabelError(
                f"{row.place}: {row.label!r} is a class that is written as {there!r}, and the name that other classes "
                f"are written as, {here!r}; rename one of them in --audioset-labels"
            )
        return frozenset(by_name | by_class)


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """Which labels are annotated in which of `files`.

    `present`, shape `(files, targets)`. `is_judged`, shape `(targets,)`: the labels whose absence is known too.
    `events` are each file's, with `label` a target, for strong labels. `unused_names` are annotated names that mean no
    label of interest.
    """

    files: tuple[str, ...]
    targets: tuple[TargetLabel, ...]
    present: Bools
    is_judged: Bools
    events: tuple[tuple[Event, ...], ...]
    unused_names: tuple[str, ...] = ()

    @property
    def unjudged_names(self) -> list[str]:
        return [target.name for target, judged in zip(self.targets, self.is_judged, strict=True) if not judged]

    def select(self, rows: Sequence[int]) -> GroundTruth:
        """Return the same for some of the files. What is judged stays: it depends on the annotations alone."""
        return replace(
            self,
            files=tuple(self.files[row] for row in rows),
            present=self.present[list(rows)],
            events=tuple(self.events[row] for row in rows),
        )


def read_ground_truth(annotations: Annotations, resolver: LabelResolver, exhaustive: bool) -> GroundTruth:
    """Resolve all annotations. Raises LabelError, naming file and line, for names that mean nothing.

    Annotations are rarely complete. A label that occurs in them was listened for: where it is not noted it counts as
    absent. A label of interest that never occurs may just not have been listened for: it is not judged, unless
    `exhaustive` says that what is not noted is not there.
    """
    rows = {file: row for row, file in enumerate(annotations.files)}
    present = np.zeros((len(rows), len(resolver.targets)), dtype=bool)
    events: list[list[Event]] = [[] for _ in rows]
    unused_names: dict[str, None] = {}
    for one in annotations.rows:
        targets = sorted(resolver.resolve(one))
        row = rows[one.file]
        present[row, targets] = True
        if one.start_s is not None and one.end_s is not None:
            events[row] += [Event(target, one.start_s, one.end_s) for target in targets]
        if not targets and one.label:
            unused_names[one.label] = None
    is_judged = np.asarray(present.any(axis=0) | exhaustive)
    all_events = tuple(tuple(one) for one in events)
    return GroundTruth(tuple(rows), resolver.targets, present, is_judged, all_events, tuple(unused_names))
