"""The user's list of labels of interest: which classes, renamed to what, above which threshold.

The grammar. Lines, and commas within a line, separate entries; a line ends at a real newline or at the two
characters `\\n`. An entry is a class name, then at most one parenthesis:

    Speech                    the class
    Speech (voice)            renamed
    Speech (0.4)              with its own threshold
    Speech (voice, 0.4)       both; what follows the last comma is the threshold if it is a number

The class name is the longest one that ends the entry, its line, or stands before a comma or a parenthesis, so
`Whimper (dog)` is the class of that name and `Male speech, man speaking` is one entry. Names match without
regard to case, and what the user typed is what is written.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass

NEWLINE = re.compile(r"\\n|\r\n|\n|\r")
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")


class LabelError(ValueError):
    """The list of labels cannot be read; the message names the place."""


@dataclass(frozen=True)
class LabelOfInterest:
    """A class the user asked for: its `index` in the checkpoint, the `name` to write, its `threshold` in 0…1.

    `entry` is the text it was read from; reading the entries again gives the same labels.
    """

    index: int
    class_name: str
    name: str
    threshold: float
    entry: str


class ClassNames:
    """The names of a checkpoint's classes, findable without regard to case or to the length of spaces."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._by_key: dict[str, list[int]] = {}
        for index, name in enumerate(self.names):
            self._by_key.setdefault(_key(name), []).append(index)
        # Longest first: the alternatives of a pattern are tried in order.
        keys = sorted(self._by_key, key=len, reverse=True)
        spelled = ("\\s+".join(re.escape(word) for word in key.split(" ")) for key in keys)
        self._pattern = re.compile(f"({'|'.join(spelled)})\\s*(?=$|,|\\()", re.IGNORECASE)

    def match(self, line: str, start: int) -> re.Match[str] | None:
        """The longest class name at `start` that an entry may begin with."""
        found = self._pattern.match(line, start)
        # Case-insensitive patterns know pairs that lower() does not, such as the long s; these match nothing.
        return found if found and _key(found.group(1)) in self._by_key else None

    def index(self, typed: str) -> int:
        """The class that `typed` names; exact spelling decides between names that differ only in case."""
        candidates = self._by_key[_key(typed)]
        exact = [index for index in candidates if self.names[index] == typed]
        if len(exact or candidates) > 1:
            raise LabelError(f"the checkpoint has {len(candidates)} classes named {typed!r}; it cannot be told which")
        return (exact or candidates)[0]

    def nearest(self, text: str, count: int = 3) -> list[str]:
        """Up to `count` class names spelled like `text`."""
        keys = difflib.get_close_matches(_key(text), list(self._by_key), n=count, cutoff=0.6)
        return [self.names[self._by_key[key][0]] for key in keys]


def parse_labels(text: str, names: Sequence[str], threshold: float) -> tuple[LabelOfInterest, ...]:
    """Read a list of labels of interest against the class `names` of a checkpoint.

    `threshold`, in 0…1, is for the entries that name none. Raises LabelError, naming the place, for unknown names,
    thresholds outside 0…1, empty renames, classes named twice, and a list that names nothing.
    """
    classes = ClassNames(names)
    labels: list[LabelOfInterest] = []
    places: dict[int, str] = {}
    for number, line in enumerate(NEWLINE.split(text), start=1):
        position = 0
        while position < len(line):
            if line[position].isspace() or line[position] == ",":
                position += 1
                continue
            place = f"line {number}, column {position + 1}"
            try:
                label, position = _entry(line, position, classes, threshold)
            except LabelError as error:
                raise LabelError(f"{place}: {error}") from None
            if label.index in places:
                first = places[label.index]
                raise LabelError(f"{place}: the class {label.class_name!r} is named twice, first at {first}")
            places[label.index] = place
            labels.append(label)
    if not labels:
        raise LabelError("no class is named; name at least one, for example: speech, music")
    return tuple(labels)


def _key(name: str) -> str:
    return " ".join(name.split()).lower()


def _entry(line: str, start: int, classes: ClassNames, threshold: float) -> tuple[LabelOfInterest, int]:
    match = classes.match(line, start)
    if match is None:
        raise LabelError(_unknown(line[start:], classes))
    typed, end = match.group(1), match.end()
    index = classes.index(typed)
    name = typed
    if line.startswith("(", end):
        inner, end = _parenthesis(line, end)
        name, threshold = _rename_and_threshold(inner, typed, threshold)
    rest = line[end:].lstrip()
    if rest and not rest.startswith(","):
        raise LabelError(f"after {line[start:end]!r} a comma or a new line was expected, got {rest[:30]!r}")
    return LabelOfInterest(index, classes.names[index], name, threshold, line[start:end].strip()), end


def _parenthesis(line: str, start: int) -> tuple[str, int]:
    """What stands in the balanced parenthesis that opens at `start`, and where it ends."""
    depth = 0
    for position in range(start, len(line)):
        depth += {"(": 1, ")": -1}.get(line[position], 0)
        if depth == 0:
            return line[start + 1 : position], position + 1
    raise LabelError(f"the parenthesis in {line[start:]!r} is not closed")


def _rename_and_threshold(inner: str, typed: str, threshold: float) -> tuple[str, float]:
    head, comma, last = inner.rpartition(",")
    if NUMBER.fullmatch(last.strip()):
        threshold = float(last)
        if not 0 <= threshold <= 1:
            raise LabelError(f"the threshold {last.strip()} of {typed!r} is outside 0…1")
        if not comma:
            return typed, threshold
        inner = head
    name = inner.strip()
    if not name:
        raise LabelError(f"the new name in the parenthesis after {typed!r} is empty")
    return name, threshold


def _unknown(rest: str, classes: ClassNames) -> str:
    typed = rest.split(",")[0].split("(")[0].strip()
    if typed.endswith("*") or rest.split(",")[0].strip().endswith("*"):
        return f"{typed!r}: the trailing * (a class and its descendants) is reserved; name the classes one by one"
    # A name that holds a comma or a parenthesis is best compared whole, any other up to the next of these.
    near = dict.fromkeys([*classes.nearest(typed), *classes.nearest(rest)])
    hint = f"; did you mean {' or '.join(repr(name) for name in near)}?" if near else ""
    return f"{typed or rest.strip()!r} is not a class of this checkpoint{hint}"
