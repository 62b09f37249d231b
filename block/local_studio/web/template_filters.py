"""The filters of the templates: how pages write numbers, times and names."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable

from markupsafe import Markup, escape

# Control characters, and those that reverse text: they make a name look like another one, or like two lines.
DISGUISING = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def format_clock(seconds: float) -> str:
    """Write `seconds` as a clock does: `0:07.5`, `1:02:33`."""
    tenths = round(seconds * 10)
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02d}:{tenths // 10:02d}"
    return f"{minutes}:{tenths // 10:02d}.{tenths % 10}"


def format_rate(hz: float) -> str:
    """Write a rate in kHz; a dash if it is unknown."""
    return f"{hz / 1000:g} kHz" if hz else "–"


def format_number(value: float, digits: int = 2) -> str:
    """Write a number with that many decimals."""
    return f"{value:.{digits}f}"


def format_time(time: str) -> str:
    """Write an ISO 8601 time in UTC to the minute: `2026-01-31 17:05`."""
    return time[:16].replace("T", " ")


def make_plain(name: object) -> str:
    """Return a name with U+FFFD for each character that would break or reorder its line."""
    return DISGUISING.sub("\ufffd", str(name))


def mark_code(text: str) -> Markup:
    """Return a docstring's text as HTML, with what stands between backticks set as code."""
    parts = re.split(r"`+([^`]+)`+", text)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if i % 2 else escape(part) for i, part in enumerate(parts)
    )


FILTERS: dict[str, Callable[..., object]] = {
    "duration": format_clock,
    "rate": format_rate,
    "number": format_number,
    "minute": format_time,
    "plain": make_plain,
    "code": mark_code,
    "shell": shlex.quote,
}
