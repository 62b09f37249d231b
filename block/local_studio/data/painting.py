"""Cut and paint labels along a recording: pure functions on lists of labels that are in order and don't overlap."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from block.local_studio.data.sample import StructuredLabel


def merge(labels: Iterable[StructuredLabel]) -> tuple[StructuredLabel, ...]:
    """Return the labels with equal neighbors as one."""
    merged: list[StructuredLabel] = []
    for label in labels:
        if merged and merged[-1].label == label.label:
            merged[-1] = StructuredLabel(merged[-1].start_index, label.end_index, label.label)
        else:
            merged.append(label)
    return tuple(merged)


def cut(labels: Iterable[StructuredLabel], first: int, last: int) -> list[StructuredLabel]:
    """Return what lies within the values `first` … `last`, both inclusive."""
    return [
        StructuredLabel(max(one.start_index, first), min(one.end_index, last), one.label)
        for one in labels
        if one.start_index <= last and first <= one.end_index
    ]


def paint(labels: Sequence[StructuredLabel], new: Iterable[StructuredLabel]) -> tuple[StructuredLabel, ...]:
    """Return `labels` with `new` painted over them. Equal neighbors become one."""
    painted = list(labels)
    for one in new:
        end = painted[-1].end_index
        painted = [*cut(painted, 0, one.start_index - 1), one, *cut(painted, one.end_index + 1, end)]
    return merge(painted)


def keeps(new: Sequence[StructuredLabel], labels: Iterable[StructuredLabel], gaps: Collection[str]) -> bool:
    """Return True if `new` leaves each of `labels` as it is, except those named in `gaps`."""
    return all(
        {found.label for found in cut(new, one.start_index, one.end_index)} == {one.label}
        for one in labels
        if one.label not in gaps
    )


def subtract(labels: Iterable[StructuredLabel], covered: Iterable[tuple[int, int]]) -> list[StructuredLabel]:
    """Return what the spans `covered` leave of the labels. Spans are half-open, in any order, and may overlap."""
    spans = sorted(covered)
    left: list[StructuredLabel] = []
    first = 0
    for label in labels:
        while first < len(spans) and spans[first][1] <= label.start_index:
            first += 1
        at = label.start_index
        for start, end in spans[first:]:
            if start > label.end_index:
                break
            if start > at:
                left.append(StructuredLabel(at, start - 1, label.label))
            at = max(at, end)
        if at <= label.end_index:
            left.append(StructuredLabel(at, label.end_index, label.label))
    return left
