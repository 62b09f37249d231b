"""The user's list of labels of interest: which classes, renamed to what, above which threshold.

The grammar. Lines, and commas within a line, separate entries; a line ends at a real newline or at the two
characters `\\n`. An entry is a class name, perhaps a `*`, then at most one parenthesis:

    Speech                    the class
    Speech (voice)            renamed
    Speech (0.4)              with its own threshold
    Speech (voice, 0.4)       both; what follows the last comma is the threshold if it is a number
    Animal*                   the class or any below it in AudioSet's hierarchy, scored by the highest
    Human sounds* (person)    what is no class itself stands for those below it

The class name is the longest one that ends the entry, its line, or stands before a comma or a parenthesis, so
`Whimper (dog)` is the class of that name and `Male speech, man speaking` is one entry. Names match without
regard to case, and what the user typed is what is written, without the `*`.

An entry is refused if it is there already. Those that cover one another, such as `Dog` and `Animal*`, compete like any:
`Animal*` scores at least as high, and of equals the first wins, so the narrower one should stand first.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from block.ontology import load_audioset, normalize_name

NEWLINE = re.compile(r"\\n|\r\n|\n|\r")
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")


class LabelError(ValueError):
    """The list of labels cannot be read; the message names the place."""


@dataclass(frozen=True)
class LabelOfInterest:
    """A class the user asked for: its `index` in the checkpoint, the `name` to write, its `threshold` in 0…1.

    `class_name` is as the checkpoint has it; with a `*` behind it, the class and its descendants are meant.
    `indices` are the classes whose highest score is its own: the class alone, or with its descendants; `index` is the
    first. `entry` is the text it was read from; reading the entries again gives the same labels.
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


class ClassNames:
    """The names of a checkpoint's classes, findable without regard to case or to the length of spaces."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._by_key: dict[str, list[int]] = {}
        for index, name in enumerate(self.names):
            self._by_key.setdefault(normalize_name(name), []).append(index)
        self._plain = _pattern(self._by_key, "")

    def __contains__(self, typed: str) -> bool:
        return normalize_name(typed) in self._by_key

    def match(self, line: str, start: int) -> re.Match[str] | None:
        """The longest class name at `start` that an entry may begin with."""
        found = self._plain.match(line, start)
        # Case-insensitive patterns know pairs that lower() does not, such as the long s; these match nothing.
        return found if found and normalize_name(found.group(1)) in self._by_key else None

    def match_rolled_up(self, line: str, start: int) -> re.Match[str] | None:
        """The longest name at `start`, of a class or in AudioSet's hierarchy, with a `*` behind it."""
        found = self._rolled_up.match(line, start) if "*" in line else None
        known = found and (normalize_name(found.group(1)) in self._by_key or load_audioset().find(found.group(1)))
        return found if known else None

    @cached_property
    def _rolled_up(self) -> re.Pattern[str]:
        names = {normalize_name(node.name) for node in load_audioset().nodes.values()}
        return _pattern(names | self._by_key.keys(), r"\s*\*")

    def index(self, typed: str) -> int:
        """The class that `typed` names; exact spelling decides between names that differ only in case."""
        candidates = self._by_key[normalize_name(typed)]
        exact = [index for index in candidates if self.names[index] == typed]
        if len(exact or candidates) > 1:
            raise LabelError(f"the checkpoint has {len(candidates)} classes named {typed!r}; it cannot be told which")
        return (exact or candidates)[0]

    def below(self, typed: str) -> tuple[int, ...]:
        """The classes below `typed` in AudioSet's hierarchy, itself left out."""
        node = load_audioset().find(typed)
        names = (normalize_name(one.name) for one in (load_audioset().below(node) if node else ()))
        return tuple(index for name in names for index in self._by_key.get(name, ()))

    def nearest(self, text: str, count: int = 3) -> list[str]:
        """Up to `count` class names spelled like `text`."""
        keys = difflib.get_close_matches(normalize_name(text), list(self._by_key), n=count, cutoff=0.6)
        return [self.names[self._by_key[one][0]] for one in keys]

    def nearest_rolled_up(self, text: str, count: int = 3) -> list[str]:
        """Up to `count` names spelled like `text` that a `*` may follow, with the `*`."""
        # What holds a comma itself is no slip of the pen for a name that holds none: another entry follows there.
        names = [node.name for node in load_audioset().nodes.values() if "," in node.name or "," not in text]
        by_key = {normalize_name(name): name for name in names}
        near = difflib.get_close_matches(normalize_name(text), by_key, n=len(names), cutoff=0.6)
        return [f"{by_key[one]}*" for one in near if self.below(one)][:count]


def parse_labels(text: str, names: Sequence[str], threshold: float) -> tuple[LabelOfInterest, ...]:
    """Read a list of labels of interest against the class `names` of a checkpoint.

    `threshold`, in 0…1, is for the entries that name none. Raises LabelError, naming the place, for unknown names,
    thresholds outside 0…1, empty renames, classes named twice, and a list that names nothing.
    """
    classes = ClassNames(names)
    labels: list[LabelOfInterest] = []
    places: dict[tuple[str, tuple[int, ...]], str] = {}
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
            first = places.setdefault((label.class_name, label.indices), place)
            if first != place:
                raise LabelError(f"{place}: the class {label.class_name!r} is named twice, first at {first}")
            labels.append(label)
    if not labels:
        raise LabelError("no class is named; name at least one, for example: speech, music")
    return tuple(labels)


def describe_unreachable_labels(labels: Sequence[LabelOfInterest]) -> list[str]:
    """What to tell the user of labels that no part of a recording can get, in words; one line a label.

    A label whose classes are all among those of an earlier one, which asks for no higher score, never wins.
    """
    said = []
    for place, label in enumerate(labels):
        for first in labels[:place]:
            if set(label.indices) <= set(first.indices) and first.threshold <= label.threshold:
                if label.name != first.name:
                    said.append(
                        f"{label.name!r} is never written: {first.class_name!r} stands before it, scores at least as "
                        f"high and asks for no more; name {label.class_name!r} first"
                    )
                break
    return said


def _pattern(keys: Iterable[str], behind: str) -> re.Pattern[str]:
    """Finds the longest of the names as group 1, then `behind` and the end, a comma or a parenthesis."""
    # Longest first: the alternatives of a pattern are tried in order.
    ordered = sorted(keys, key=len, reverse=True)
    spelled = ("\\s+".join(re.escape(word) for word in one.split(" ")) for one in ordered)
    return re.compile(f"({'|'.join(spelled)}){behind}\\s*(?=$|,|\\()", re.IGNORECASE)


def _entry(line: str, start: int, classes: ClassNames, threshold: float) -> tuple[LabelOfInterest, int]:
    match, rolled_up = classes.match(line, start), classes.match_rolled_up(line, start)
    # The longer name is meant: `Whimper (dog)*` is no `Whimper`. A class whose own name ends in * is the class.
    if rolled_up and (match is None or rolled_up.end(1) > match.end(1)):
        match, (class_name, indices) = rolled_up, _rolled_up(rolled_up.group(1), classes)
    elif match:
        index = classes.index(match.group(1))
        class_name, indices = classes.names[index], (index,)
    else:
        raise LabelError(_unknown(line[start:], classes))
    name = typed = match.group(1)
    end = match.end()
    if line.startswith("(", end):
        inner, end = _parenthesis(line, end)
        name, threshold = _rename_and_threshold(inner, typed, threshold)
    rest = line[end:].lstrip()
    if rest and not rest.startswith(","):
        raise LabelError(f"after {line[start:end]!r} a comma or a new line was expected, got {rest[:30]!r}")
    entry = line[start:end].strip()
    return LabelOfInterest(indices[0], class_name, name, threshold, entry, indices), end


def _rolled_up(typed: str, classes: ClassNames) -> tuple[str, tuple[int, ...]]:
    """The name that `typed` with a `*` stands for, and the classes, its own first if it is one."""
    own = (classes.index(typed),) if typed in classes else ()
    below = classes.below(typed)
    node = load_audioset().find(typed)
    name = classes.names[own[0]] if own else node.name if node else typed
    if not below:
        hint = "; leave out the * to mean the class alone" if own else f", and {name!r} is none itself"
        raise LabelError(f"no class of this checkpoint is below {name!r} in AudioSet's hierarchy{hint}")
    return f"{name}*", own + below


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
    for name in (typed, rest.strip()):
        node, below = load_audioset().find(name), classes.below(name)
        if node and below:
            return f"{name!r} is no class by itself; '{node.name}*' stands for the {len(below)} below it"
    # A name that holds a comma or a parenthesis is best compared whole, any other up to the next of these.
    near = dict.fromkeys([*classes.nearest(typed), *classes.nearest(rest)])
    if "*" in rest or not near:
        starred = rest.partition("*")[0] if "*" in rest else typed
        near = dict.fromkeys([*classes.nearest_rolled_up(starred), *near])
    hint = f"; did you mean {' or '.join(repr(name) for name in near)}?" if near else ""
    return f"{typed or rest.strip()!r} is not a class of this checkpoint{hint}"
