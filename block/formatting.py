"""Format names, counts, durations and totals for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

LABELS_LISTED = 20
LabelTotals = dict[str, tuple[int, float]]  # the number of segments and the seconds of each label


def make_printable(text: Any, limit: int = 80) -> str:
    """Return `text` as one line for a log, cut to `limit` characters, with control characters replaced by `?`.

    Names come from other people's projects and may contain newlines or terminal escape codes.
    """
    line = "".join(character if character.isprintable() else "?" for character in str(text))
    return line if len(line) <= limit else line[: limit - 1] + "…"


def print_warning(text: str) -> None:
    """Print a warning, as one line without control characters."""
    print(f"warning: {make_printable(text, 1000)}", flush=True)


def count(number: int, noun: str) -> str:
    """Return a number with its noun in the right form: "1 recording", "2,000 recordings"."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def format_duration(seconds: float) -> str:
    """Return `seconds` rounded for people: `40 s`, `12 min`, `3 h 20 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def describe_totals(segments: Iterable[tuple[str, float]]) -> list[str]:
    """Return the total of each label, most segments first: "speech 12 segments, 34.0 s".

    `segments` are labels with seconds, one per segment. After 20 labels, the last entry is "and 3 more".
    """
    totals: LabelTotals = {}
    for label, seconds in segments:
        add_segment(totals, label, seconds)
    return format_totals(totals)


def add_segment(totals: LabelTotals, label: str, seconds: float) -> None:
    """Add a segment to the totals of its label."""
    number, total_s = totals.get(label, (0, 0.0))
    totals[label] = number + 1, total_s + seconds


def format_totals(totals: LabelTotals) -> list[str]:
    """Return the entries of `describe_totals` for the number of segments and the seconds of each label."""
    ordered = sorted(totals.items(), key=lambda item: (-item[1][0], item[0]))
    lines = [f"{make_printable(label)} {count(n, 'segment')}, {s:,.1f} s" for label, (n, s) in ordered[:LABELS_LISTED]]
    more = len(ordered) - LABELS_LISTED
    return [*lines, f"and {more} more"] if more > 0 else lines


def list_first(names: Sequence[str], limit: int = 5) -> str:
    """Return the first names of a list: "a, b, c and 7 more"."""
    more = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {more:,} more" if more > 0 else "")
