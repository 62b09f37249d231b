"""Names, counts and durations as people read them."""

from __future__ import annotations

from typing import Any


def make_printable(text: Any, limit: int = 80) -> str:
    """Return `text` as one line for a log: control characters become `?`, and over `limit` characters it is cut.

    Names come from other people's projects and may contain newlines or terminal commands.
    """
    line = "".join(character if character.isprintable() else "?" for character in str(text))
    return line if len(line) <= limit else line[: limit - 1] + "…"


def count(number: int, noun: str) -> str:
    """Return a number with its noun, in agreement: "1 recording", "2,000 recordings"."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def format_duration(seconds: float) -> str:
    """Return `seconds` rounded for a reader: `40 s`, `12 min`, `3 h 20 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
