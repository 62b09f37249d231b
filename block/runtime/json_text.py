"""Read JSON that someone else made: of a bounded size, number of values and depth, and with each key once."""

from __future__ import annotations

import json
import reprlib
from typing import Any

MAX_VALUES = 1 << 18  # a value takes up to 100 bytes of memory, even if it takes two bytes of text
MAX_DEPTH = 64  # programs that compare, copy or print deeper values exceed Python's recursion limit
STRUCTURE = (b"[", b"{", b",", b":")


def parse_object(text: bytes) -> dict[str, Any]:
    """Return the JSON object in `text`, which is UTF-8. The caller limits its length.

    Raise ValueError if it isn't one, has over 262,144 values or over 64 levels, or a key twice.
    """
    values = sum(text.count(one) for one in STRUCTURE)
    if values > MAX_VALUES:
        raise ValueError(f"it has about {values} JSON values; expected at most {MAX_VALUES}")
    try:
        content = json.loads(text.decode("utf-8"), object_pairs_hook=_make_object)
    except RecursionError:
        raise ValueError(f"it is nested too deeply; expected at most {MAX_DEPTH} levels") from None
    if not isinstance(content, dict):
        raise ValueError(f"it is a JSON {type(content).__name__}; expected an object")
    depth = 0
    level: list[Any] = [content]
    while level:
        depth += 1
        level = [one for value in level for one in _inner(value) if isinstance(one, (dict, list))]
    if depth > MAX_DEPTH:
        raise ValueError(f"it has {depth} nested levels; expected at most {MAX_DEPTH}")
    return content


def describe_value(value: object) -> str:
    """Return a value as short text for a message, whatever its length, depth and characters."""
    brief = reprlib.Repr()
    brief.maxstring, brief.maxother = 80, 200
    brief.maxlevel = 2
    return brief.repr(value)


def _make_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"it has the key {describe_value(twice)} twice")
    return made


def _inner(value: Any) -> Any:
    return value.values() if isinstance(value, dict) else value
