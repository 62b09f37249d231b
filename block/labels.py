"""Read the user's list of labels of interest: classes, their new names, and their thresholds.

The grammar: newlines and commas separate entries; the two characters `\\n` count as a newline. An entry is a class
name, then an optional `*`, then at most one pair of parentheses:

    Speech                    the class
    Speech (voice)            renamed
    Speech (0.4)              with its own threshold
    Speech (voice, 0.4)       both; what follows the last comma is the threshold if it is a number
    Speech (100% wool)        renamed; text that only looks like a number, such as 40% or 0,4, is refused
    Animal*                   the class or any class below it in AudioSet's hierarchy; the highest score counts
    Human sounds* (person)    the classes below a name in the hierarchy that isn't a class itself

The class name is the longest one that is followed by the end of the line, a comma or a parenthesis, so `Whimper (dog)`
is the class of that name and `Male speech, man speaking` is one entry. Case doesn't matter; the label that is written
is what the user typed, without the `*`.

Duplicate entries are refused. Entries that overlap, such as `Dog` and `Animal*`, compete like any others: `Animal*`
always scores at least as high, and the first entry wins a tie, so the narrower one should come first.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from block.class_names import ClassNames, LabelError, describe_unknown
from block.ontology import load_audioset, normalize_name

NEWLINE = re.compile(r"\\n|\r\n|\n|\r")
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
# The end of the text in parentheses, if it is a number or looks like one: 0.4, 40 %, 0,4, 4e-1%, .4., >0.4. Quantifiers
# are possessive, so that a long text takes linear time.
THRESHOLD = re.compile(
    r"(?:^|,)\s*+(?P<text>(?:[<>=≥≤~%]\s*+)*+(?P<number>[+-]?(?:\d*+,\d++|\.*+\d[\d.]*+)(?:e[+-]?\d++)?)"
    r"\s*+(?P<percent>(?:[%％٪]|percent|pct)\s*+)*+)$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class LabelOfInterest:
    """A class the user asked for: its `index` in the checkpoint, the `name` to write, and its `threshold` in 0…1.

    `class_name` is the checkpoint's spelling, followed by a `*` if descendants are included. The score of the label is
    the highest score of the classes in `indices`: the class itself, or it and its descendants; `index` is the first.
    `entry` is the text it was parsed from; parsing the entries again gives the same labels.
    """

    index: int
    class_name: str
    name: str
    threshold: float
    entry: str
    indices: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.indices:
            object.__setattr__(self, "indices", (self.index,))


@dataclass(frozen=True)
class LabelEntry:
    """An entry of a list of labels: its `text`, and its `place`, such as "line 2, column 1".

    `problem` says what is wrong with it; empty if nothing is. `label` is None if the entry can't be read.
    """

    text: str
    place: str
    label: LabelOfInterest | None
    problem: str


def parse_labels(text: str, names: Sequence[str], threshold: float) -> tuple[LabelOfInterest, ...]:
    """Parse a list of labels of interest. `names` are the classes of the checkpoint.

    `threshold`, in 0…1, applies to entries without one. Raise LabelError for unknown names, thresholds outside 0…1,
    empty new names, duplicate entries, and an empty list.
    """
    labels = []
    for entry in read_entries(text, names, threshold):
        if entry.label is None or entry.problem:
            raise LabelError(f"{entry.place}: {entry.problem}")
        labels.append(entry.label)
    if not labels:
        raise LabelError("the list of labels is empty; name at least one class, for example: speech, music")
    return tuple(labels)


def read_entries(text: str, names: Sequence[str], threshold: float) -> Iterator[LabelEntry]:
    """Yield the entries of a list of labels as `parse_labels` reads them, and those that it refuses, too."""
    classes = ClassNames(names)
    places: dict[tuple[str, tuple[int, ...]], str] = {}
    for number, line in enumerate(NEWLINE.split(text), start=1):
        position = 0
        while position < len(line):
            if line[position].isspace() or line[position] == ",":
                position += 1
                continue
            place = f"line {number}, column {position + 1}"
            try:
                label, end = _read_entry(line, position, classes, threshold)
            except LabelError as error:
                end = _find_next(line, position, classes)
                yield LabelEntry(line[position:end].strip(), place, None, str(error))
            else:
                first = places.setdefault((label.class_name, label.indices), place)
                problem = f"the class {label.class_name!r} is listed twice, first at {first}" if first != place else ""
                yield LabelEntry(label.entry, place, label, problem)
            position = end


def write_entry(class_name: str, name: str, threshold: str) -> str:
    """Return the entry for a class with a new name and a threshold; empty ones are left out."""
    inner = ", ".join(part for part in (name.strip(), threshold.strip()) if part)
    return f"{class_name} ({inner})" if inner else class_name


def format_label_entry(label: LabelOfInterest, threshold: float) -> str:
    """Return an entry for --audioset-labels with the classes and name of `label` but another threshold."""
    star = "*" if len(label.indices) > 1 else ""
    number = f"{threshold:.6g}" if float(f"{threshold:.6g}") == threshold else repr(threshold)
    if normalize_name(label.name) == normalize_name(label.class_name.removesuffix(star)):
        return write_entry(label.name + star, "", number)
    return write_entry(label.class_name, label.name, number)


def describe_unreachable_labels(labels: Sequence[LabelOfInterest]) -> list[str]:
    """Return a line for each label that can never win."""
    lines = (describe_unreachable(label, labels[:place]) for place, label in enumerate(labels))
    return [line for line in lines if line]


def describe_unreachable(label: LabelOfInterest, before: Sequence[LabelOfInterest]) -> str:
    """Return why `label` can never win behind the labels `before`; empty if it can.

    It can't if all its classes belong to an earlier label with the same or a lower threshold.
    """
    for first in before:
        if set(label.indices) <= set(first.indices) and first.threshold <= label.threshold:
            if label.name == first.name:
                return ""
            return (
                f"{label.name!r} will never be used: {first.class_name!r} comes first, always scores at least "
                f"as high, and has no higher threshold; list {label.class_name!r} first"
            )
    return ""


def _read_entry(line: str, start: int, classes: ClassNames, threshold: float) -> tuple[LabelOfInterest, int]:
    """Return the label of the entry at `start`, and where the entry ends."""
    match, starred = classes.match(line, start), classes.match_starred(line, start)
    # The longer name wins: `Whimper (dog)*` isn't `Whimper`. If a class's own name ends in *, it means that class.
    if starred and (match is None or starred.end(1) > match.end(1)):
        match, (class_name, indices) = starred, _resolve_starred(starred.group(1), classes)
    elif match:
        index = classes.index(match.group(1))
        class_name, indices = classes.names[index], (index,)
    else:
        raise LabelError(describe_unknown(line[start:], classes))
    name = typed = match.group(1)
    end = match.end()
    if line.startswith("(", end):
        inner, end = _read_parenthesis(line, end)
        name, threshold = _read_rename(inner, typed, threshold)
    rest = line[end:].lstrip()
    if rest and not rest.startswith(","):
        raise LabelError(f"got {rest[:30]!r} after {line[start:end]!r}; expected a comma or a new line")
    entry = line[start:end].strip()
    return LabelOfInterest(indices[0], class_name, name, threshold, entry, indices), end


def _find_next(line: str, start: int, classes: ClassNames) -> int:
    """Return where the next entry after the one at `start`, which can't be read, may begin: behind a comma."""
    for comma in re.finditer(r",\s*+", line[start:]):
        position = start + comma.end()
        if classes.match(line, position) or classes.match_starred(line, position):
            return start + comma.start()
    return len(line)


def _resolve_starred(typed: str, classes: ClassNames) -> tuple[str, tuple[int, ...]]:
    """Return the full name of `typed` with a `*`, and the indices of its classes, its own first if it is one."""
    own = (classes.index(typed),) if typed in classes else ()
    descendants = classes.find_descendants(typed)
    node = load_audioset().find(typed)
    name = classes.names[own[0]] if own else node.name if node else typed
    if not descendants:
        hint = "; leave out the * to use only the class itself" if own else f", and {name!r} isn't a class either"
        raise LabelError(f"this checkpoint has no classes below {name!r} in AudioSet's hierarchy{hint}")
    return f"{name}*", own + descendants


def _read_parenthesis(line: str, start: int) -> tuple[str, int]:
    """Return the text in the balanced parentheses that open at `start`, and where they end."""
    depth = 0
    for position in range(start, len(line)):
        depth += {"(": 1, ")": -1}.get(line[position], 0)
        if depth == 0:
            return line[start + 1 : position], position + 1
    raise LabelError(f"the parenthesis in {line[start:]!r} is not closed")


def _read_rename(inner: str, typed: str, threshold: float) -> tuple[str, float]:
    """Return the name and the threshold from the text in parentheses; `typed` and `threshold` are the defaults."""
    if found := THRESHOLD.search(inner):
        text = found["text"].strip()
        threshold = float(text) if NUMBER.fullmatch(text) else math.nan
        if not 0 <= threshold <= 1:
            hint = _suggest_threshold(found)
            raise LabelError(f"the threshold of {typed!r} is {text}; expected a number from 0 to 1{hint}")
        if inner[found.start()] != ",":
            return typed, threshold
        inner = inner[: found.start()]
    name = inner.strip()
    if not name:
        raise LabelError(f"the new name in parentheses after {typed!r} is empty")
    if (found := THRESHOLD.match(name)) and not NUMBER.fullmatch(name):
        raise LabelError(
            f"the new name of {typed!r} is {name!r}, which looks like a threshold; expected a name, then a comma and a "
            f"number from 0 to 1{_suggest_threshold(found)}"
        )
    return name, threshold


def _suggest_threshold(found: re.Match[str]) -> str:
    """Return a question with the threshold that `found` may mean, as a part of 1 or as a percentage."""
    text = found["number"].replace(",", ".").rstrip(".")
    value = float(text) if NUMBER.fullmatch(text) else math.nan
    is_percent = found["percent"] or "%" in found["text"]
    meant = [value] if value < 1 or not is_percent else []
    if is_percent or value.is_integer():
        meant.append(value / 100)
    hints = [f"{one:.6g}" for one in meant if 0 <= one <= 1]
    return f"; did you mean {' or '.join(hints)}?" if hints else ""
