"""Match annotations with the labels of interest: which clip has which label, and which labels can be judged."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from block.class_names import ClassNames, LabelError
from block.evaluation.annotations import Annotation, Annotations
from block.evaluation.bootstrap import Bools
from block.evaluation.segment_based import Event
from block.labels import LabelOfInterest, parse_labels
from block.ontology import normalize_name


@dataclass(frozen=True)
class TargetLabel:
    """One name in the output; `members` are the positions of the labels of interest that get this name."""

    name: str
    members: tuple[int, ...]


def list_targets(labels: Sequence[LabelOfInterest]) -> tuple[TargetLabel, ...]:
    """Return the names in the output, in the user's order. Classes with the same new name share a target."""
    members: dict[str, list[int]] = {}
    for place, label in enumerate(labels):
        members.setdefault(label.name, []).append(place)
    return tuple(TargetLabel(name, tuple(places)) for name, places in members.items())


def list_annotated_classes(
    annotations: Annotations, class_names: Sequence[str], threshold: float, other: str
) -> tuple[LabelOfInterest, ...]:
    """Return the labels of interest for a user who named none: each annotated class, under its own name.

    Raise LabelError with file and line for a name that is not a class of the checkpoint.
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
        raise LabelError(f"{annotations.source} contains no class; name the labels of interest with --audioset-labels")
    return parse_labels("\n".join(typed.values()), class_names, threshold)


def _find_class(classes: ClassNames, row: Annotation) -> int | None:
    """Return the class that a row names; None if it names none. Raise LabelError if the name is ambiguous."""
    try:
        return classes.index(row.label) if row.label in classes else None
    except LabelError as error:
        raise LabelError(f"{row.place}: {error}") from None


def _unknown_name(classes: ClassNames, row: Annotation) -> LabelError:
    near = classes.suggest(row.label)
    hint = f"; did you mean {' or '.join(repr(name) for name in near)}?" if near else ""
    return LabelError(f"{row.place}: {row.label!r} is neither a class of this checkpoint nor a new name{hint}")


class LabelResolver:
    """Find the targets of a name in the annotations, which may be the name of a class or a name in the output."""

    def __init__(self, labels: Sequence[LabelOfInterest], class_names: Sequence[str], other: str) -> None:
        self.targets = list_targets(labels)
        self._classes = ClassNames(class_names)
        self._none = {"", normalize_name(other)}
        self._by_name: defaultdict[str, set[int]] = defaultdict(set)
        self._by_class: defaultdict[int, set[int]] = defaultdict(set)
        for at, target in enumerate(self.targets):
            self._by_name[normalize_name(target.name)].add(at)
            for label in (labels[member] for member in target.members):
                if len(label.indices) > 1:  # `Animal*` is not a class, but may be annotated
                    self._by_name[normalize_name(label.class_name)].add(at)
                    self._by_name[normalize_name(label.class_name.removesuffix("*"))].add(at)
                for index in label.indices:
                    self._by_class[index].add(at)

    def knows_any(self, names: Iterable[str]) -> bool:
        """Return True if any of these names belongs to a target."""
        for name in names:
            with contextlib.suppress(LabelError):
                if self.resolve(Annotation("", "", name)):
                    return True
        return False

    def resolve(self, row: Annotation) -> frozenset[int]:
        """Return the targets that this row annotates; none for the other label or a class that isn't of interest.

        Raise LabelError with file and line if the name is neither a class nor a name in the output, or if it is a
        class and also the name in the output of another class.
        """
        typed = normalize_name(row.label)
        by_name = self._by_name.get(typed, set())
        by_name = {at for at in by_name if self.targets[at].name == row.label} or by_name
        if typed in self._none and not by_name:
            return frozenset()
        index = _find_class(self._classes, row)
        by_class = self._by_class.get(index, set()) if index is not None else set()
        if index is None and not by_name:
            raise _unknown_name(self._classes, row)
        # With `Animal*` and `Dog` as labels of interest, a dog counts for both. But if Dog was renamed and another
        # class got the name Dog, nothing tells which of the two the annotation means.
        if by_name and by_class and not by_name & by_class:
            there, here = (self.targets[min(found)].name for found in (by_class, by_name))
            raise LabelError(
                f"{row.place}: {row.label!r} is ambiguous: that class is renamed to {there!r}, and another class is "
                f"renamed to {here!r}; choose a different new name in --audioset-labels"
            )
        return frozenset(by_name | by_class)


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """Which labels are annotated in which of `files`.

    `present` has the shape `(files, targets)`. `is_judged`, shape `(targets,)`, is True for labels whose absence is
    known too. `events` has each file's events if the labels are strong, with `label` the index of a target.
    `unused_names` are annotated names that belong to no label of interest.
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
        """Return the ground truth of some of the files. `is_judged` stays: it depends only on the annotations."""
        return replace(
            self,
            files=tuple(self.files[row] for row in rows),
            present=self.present[list(rows)],
            events=tuple(self.events[row] for row in rows),
        )


def read_ground_truth(annotations: Annotations, resolver: LabelResolver, exhaustive: bool) -> GroundTruth:
    """Resolve all annotations. Raise LabelError with file and line for an unknown name.

    Annotations are rarely complete. If a label occurs in them, the annotator listened for it, so it counts as absent
    from every file that doesn't have it. If it never occurs, the annotator may not have listened for it, so it isn't
    judged, unless `exhaustive` says that the annotations are complete.
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
