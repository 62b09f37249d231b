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

import difflib
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from block.ontology import load_audioset, normalize_name
from block.runtime.places import name_program

NEWLINE = re.compile(r"\\n|\r\n|\n|\r")
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
# The end of the text in parentheses, if it is a number or looks like one: 0.4, 40 %, 0,4, 4e-1%, .4., >0.4. Quantifiers
# are possessive, so that a long text takes linear time.
THRESHOLD = re.compile(
    r"(?:^|,)\s*+(?P<text>(?:[<>=≥≤~%]\s*+)*+(?P<number>[+-]?(?:\d*+,\d++|\.*+\d[\d.]*+)(?:e[+-]?\d++)?)"
    r"\s*+(?P<percent>(?:[%％٪]|percent|pct)\s*+)*+)$",
    re.IGNORECASE,
)


class LabelError(ValueError):
    """The list of labels can't be read. The message says where."""


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


class ClassNames:
    """Find the classes of a checkpoint by name, ignoring case and repeated spaces."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._by_key: dict[str, list[int]] = {}
        for index, name in enumerate(self.names):
            self._by_key.setdefault(normalize_name(name), []).append(index)
        self._plain = _compile_pattern(self._by_key, "")

    def __contains__(self, typed: str) -> bool:
        return normalize_name(typed) in self._by_key

    def match(self, line: str, start: int) -> re.Match[str] | None:
        """Match the longest class name at `start` that can begin an entry."""
        found = self._plain.match(line, start)
        # Case-insensitive patterns match some pairs that lower() doesn't, such as s and the long s.
        return found if found and found.group(1) in self else None

    def match_starred(self, line: str, start: int) -> re.Match[str] | None:
        """Match the longest name at `start`, of a class or in AudioSet's hierarchy, that is followed by a `*`."""
        found = self._starred.match(line, start) if "*" in line else None
        return found if found and (found.group(1) in self or load_audioset().find(found.group(1))) else None

    @cached_property
    def _starred(self) -> re.Pattern[str]:
        names = {normalize_name(node.name) for node in load_audioset().nodes.values()}
        return _compile_pattern(names | self._by_key.keys(), r"\s*\*")

    def index(self, typed: str) -> int:
        """Return the index of the class `typed`. If names differ only in case, the exact spelling decides."""
        candidates = self._by_key[normalize_name(typed)]
        exact = [index for index in candidates if self.names[index] == typed]
        if len(exact or candidates) > 1:
            raise LabelError(f"the checkpoint has {len(candidates)} classes named {typed!r}, so the name is ambiguous")
        return (exact or candidates)[0]

    def find_descendants(self, typed: str) -> tuple[int, ...]:
        """Return the indices of the classes below `typed` in AudioSet's hierarchy, without `typed` itself."""
        node = load_audioset().find(typed)
        names = (normalize_name(one.name) for one in (load_audioset().find_descendants(node) if node else ()))
        return tuple(index for name in names for index in self._by_key.get(name, ()))

    def suggest(self, text: str, count: int = 3) -> list[str]:
        """Return up to `count` class names with a spelling close to `text`."""
        keys = difflib.get_close_matches(normalize_name(text), list(self._by_key), n=count, cutoff=0.6)
        return [self.names[self._by_key[one][0]] for one in keys]

    def suggest_starred(self, text: str, count: int = 3) -> list[str]:
        """Return up to `count` names with a spelling close to `text` that can have a `*`, with the `*`."""
        # A comma in the text ends the entry, unless the name contains one too.
        names = [node.name for node in load_audioset().nodes.values() if "," in node.name or "," not in text]
        by_key = {normalize_name(name): name for name in names}
        near = difflib.get_close_matches(normalize_name(text), by_key, n=len(names), cutoff=0.6)
        return [f"{by_key[one]}*" for one in near if self.find_descendants(one)][:count]


def parse_labels(text: str, names: Sequence[str], threshold: float) -> tuple[LabelOfInterest, ...]:
    """Parse a list of labels of interest. `names` are the classes of the checkpoint.

    `threshold`, in 0…1, applies to entries without one. Raise LabelError for unknown names, thresholds outside 0…1,
    empty new names, duplicate entries, and an empty list.
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
                label, position = _read_entry(line, position, classes, threshold)
            except LabelError as error:
                raise LabelError(f"{place}: {error}") from None
            first = places.setdefault((label.class_name, label.indices), place)
            if first != place:
                raise LabelError(f"{place}: the class {label.class_name!r} is listed twice, first at {first}")
            labels.append(label)
    if not labels:
        raise LabelError("the list of labels is empty; name at least one class, for example: speech, music")
    return tuple(labels)


def format_label_entry(label: LabelOfInterest, threshold: float) -> str:
    """Return an entry for --audioset-labels with the classes and name of `label` but another threshold."""
    star = "*" if len(label.indices) > 1 else ""
    number = f"{threshold:.6g}" if float(f"{threshold:.6g}") == threshold else repr(threshold)
    if normalize_name(label.name) == normalize_name(label.class_name.removesuffix(star)):
        return f"{label.name}{star} ({number})"
    return f"{label.class_name} ({label.name}, {number})"


def describe_unreachable_labels(labels: Sequence[LabelOfInterest]) -> list[str]:
    """Return a line for each label that can never win.

    That is the case if all its classes belong to an earlier label with the same or a lower threshold.
    """
    lines = []
    for place, label in enumerate(labels):
        for first in labels[:place]:
            if set(label.indices) <= set(first.indices) and first.threshold <= label.threshold:
                if label.name != first.name:
                    lines.append(
                        f"{label.name!r} will never be used: {first.class_name!r} comes first, always scores at least "
                        f"as high, and has no higher threshold; list {label.class_name!r} first"
                    )
                break
    return lines


def _compile_pattern(keys: Iterable[str], suffix: str) -> re.Pattern[str]:
    """Return a pattern for the longest name (group 1) and `suffix`, before the end, a comma or a parenthesis."""
    # Longest first: a pattern tries its alternatives in order.
    ordered = sorted(keys, key=len, reverse=True)
    names = ("\\s+".join(re.escape(word) for word in one.split(" ")) for one in ordered)
    return re.compile(f"({'|'.join(names)}){suffix}\\s*(?=$|,|\\()", re.IGNORECASE)


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
        raise LabelError(_describe_unknown(line[start:], classes))
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


def _describe_unknown(rest: str, classes: ClassNames) -> str:
    """Return why `rest` doesn't start with a class name, with suggestions."""
    typed = rest.split(",")[0].split("(")[0].strip()
    for name in (typed, rest.strip()):
        node, descendants = load_audioset().find(name), classes.find_descendants(name)
        if node and descendants:
            return f"{name!r} isn't a class itself; for the {len(descendants)} below it, use '{node.name}*'"
    # A class name may contain commas or parentheses, so also try the whole line.
    near = dict.fromkeys([*classes.suggest(typed), *classes.suggest(rest)])
    if "*" in rest or not near:
        starred = rest.partition("*")[0] if "*" in rest else typed
        near = dict.fromkeys([*classes.suggest_starred(starred), *near])
    hint = (
        f"did you mean {' or '.join(repr(name) for name in near)}?"
        if near
        else f"to search the classes, run: {name_program()} labels WORD"
    )
    return f"{typed or rest.strip()!r} is not a class of this checkpoint; {hint}"
