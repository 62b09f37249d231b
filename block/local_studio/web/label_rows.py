"""The labels of the form as rows: class, new name, threshold, and what is wrong with each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from block.class_guide import build_guide
from block.class_names import ClassNames
from block.labels import LabelEntry, LabelOfInterest, describe_unreachable, read_entries, write_entry

MOST_ROWS = 600  # more than AudioSet has classes
MOST_SUGGESTED = 4


@dataclass(frozen=True)
class PickedLabel:
    """An entry of the list. `class_name` is empty if a row can't stand for it; such an entry stays as it was typed.

    `name` and `threshold` are empty if the entry has none of its own. `problem` is why the block would refuse the
    entry, and `note` what to know of it. `suggestions` are entries to write instead.
    """

    text: str
    class_name: str = ""
    name: str = ""
    threshold: str = ""
    problem: str = ""
    note: str = ""
    suggestions: tuple[str, ...] = ()


def read_rows(text: str, names: tuple[str, ...], threshold: float, other_label: str) -> list[PickedLabel]:
    """Return a row for each entry of `text`; more than MOST_ROWS if it has more, but not all.

    `threshold`, in 0…1, and `other_label` are the form's.
    """
    classes = ClassNames(names)
    entries = list(islice(read_entries(text, names, math.nan), MOST_ROWS + 1))
    rows = [_read_row(entry, classes) for entry in entries]
    lines = "\n".join(write_entry(row.class_name, row.name, row.threshold) for row in rows)
    read = {entry.place: entry.label for entry in read_entries(lines, names, math.nan)}
    for place, entry in enumerate(entries):
        if _list_facts(read.get(f"line {place + 1}, column 1")) != _list_facts(entry.label):
            rows[place] = replace(rows[place], class_name="", name="", threshold="")
    labels = [entry.label for entry in entries if entry.label is not None and not entry.problem]
    labels = [replace(one, threshold=threshold) if math.isnan(one.threshold) else one for one in labels]
    above = {
        entry.name.removesuffix("*"): {one for path in entry.groups for one in path} for entry in build_guide(names)
    }
    notes = iter([_describe(place, labels, above, other_label) for place in range(len(labels))])
    return [
        replace(row, note=next(notes)) if entry.label is not None and not entry.problem else row
        for row, entry in zip(rows, entries, strict=True)
    ]


def _read_row(entry: LabelEntry, classes: ClassNames) -> PickedLabel:
    problem = f"{entry.problem[:1].upper()}{entry.problem[1:]}"
    problem += "." if problem and not problem.endswith("?") else ""
    label = entry.label
    if label is None:
        return PickedLabel(entry.text, problem=problem, suggestions=_suggest(entry.text, classes))
    own = "" if math.isnan(label.threshold) else repr(label.threshold)
    name = "" if label.name == label.class_name.removesuffix("*") else label.name
    return PickedLabel(entry.text, label.class_name, name, own, problem)


def _list_facts(label: LabelOfInterest | None) -> object:
    """Return what an entry means, to compare two ways to write it."""
    return label and (label.class_name, label.indices, label.name, repr(label.threshold))


def _suggest(text: str, classes: ClassNames) -> tuple[str, ...]:
    """Return entries with classes that may be meant by one that can't be read, and with its parenthesis."""
    typed, opened, rest = text.partition("(")
    typed = typed.strip().removesuffix("*")
    if typed in classes:
        return ()  # the class is right, and what follows is wrong
    end = f" ({rest}" if opened and rest.endswith(")") else ""
    return tuple(f"{name}{end}" for name in classes.suggest(typed, MOST_SUGGESTED))


def _describe(place: int, labels: Sequence[LabelOfInterest], above: Mapping[str, set[str]], other_label: str) -> str:
    """Return what to know of the label at `place`: that it never wins, or how it shares sounds with others.

    `above` are the names above each class.
    """
    label = labels[place]
    others = [one for one in labels if one is not label]
    notes = []
    if len(label.indices) > 1:
        notes.append(f"Stands for {len(label.indices)} classes.")
    if never := describe_unreachable(label, labels[:place]):
        notes.append(f"{never[:1].upper()}{never[1:]}.")
    if label.name == other_label:
        notes.append("The label for everything else has this name, too.")
    if same := [one.class_name for one in others if one.name == label.name]:
        notes.append(f"One label with {'; '.join(same)}: the highest score counts.")
    wider = above.get(label.class_name.removesuffix("*"), set())
    for one in others:
        if one.name == label.name or never:
            continue
        if set(label.indices) < set(one.indices):
            notes.append(f"{one.class_name} counts this sound, too. Where both score the same, the first one wins.")
        elif one.class_name in wider:
            notes.append(
                f"{one.class_name} is a wider class above this one. Where both are heard, the higher score wins."
            )
    return " ".join(notes)
