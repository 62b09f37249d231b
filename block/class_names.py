"""The class names of a checkpoint: match them in what users type, and suggest some where none matches."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache

from block.class_guide import build_guide
from block.label_search import search_classes, suggest_classes
from block.ontology import load_audioset, normalize_name
from block.runtime.places import name_program


class LabelError(ValueError):
    """The list of labels can't be read. The message says where."""


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
        """Return up to `count` class names that `text` finds, or else with a spelling close to it."""
        return list(_suggest(text, self.names)[:count])

    def suggest_starred(self, text: str, count: int = 3) -> list[str]:
        """Return up to `count` names with a spelling close to `text` that can have a `*`, with the `*`."""
        # A comma in the text ends the entry, unless the name contains one too.
        names = [node.name for node in load_audioset().nodes.values() if "," in node.name or "," not in text]
        by_key = {normalize_name(name): name for name in names}
        near = difflib.get_close_matches(normalize_name(text), by_key, n=len(names), cutoff=0.6)
        return [f"{by_key[one]}*" for one in near if self.find_descendants(one)][:count]


@lru_cache(maxsize=128)  # a list with mistakes is read again at every key that is typed
def _suggest(text: str, names: tuple[str, ...]) -> tuple[str, ...]:
    guide = build_guide(names)
    found = search_classes(text, guide) or suggest_classes(text, guide)
    return tuple(entry.name for entry in found if entry.is_class)


def describe_unknown(rest: str, classes: ClassNames) -> str:
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


def _compile_pattern(keys: Iterable[str], suffix: str) -> re.Pattern[str]:
    """Return a pattern for the longest name (group 1) and `suffix`, before the end, a comma or a parenthesis."""
    # Longest first: a pattern tries its alternatives in order.
    ordered = sorted(keys, key=len, reverse=True)
    names = ("\\s+".join(re.escape(word) for word in one.split(" ")) for one in ordered)
    return re.compile(f"({'|'.join(names)}){suffix}\\s*(?=$|,|\\()", re.IGNORECASE)
