"""How pages say numbers and names: the filters of the templates."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Callable

from markupsafe import Markup, escape

COLOURS = 12  # of labels, in studio.css
# Controls, and what makes text run the other way: a name could look like another one, and a line like two.
DISGUISING = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def length(seconds: float) -> str:
    """`seconds` as a clock shows it: `0:07.5`, `1:02:33`."""
    tenths = round(seconds * 10)
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02d}:{tenths // 10:02d}"
    return f"{minutes}:{tenths // 10:02d}.{tenths % 10}"


def rate(hz: float) -> str:
    """A rate in kHz, as short as it can be said."""
    return f"{hz / 1000:g} kHz" if hz else "–"


def colour(label: str) -> int:
    """The number of a label's colour, 0 to 11: the same on every page, and after every start."""
    return hashlib.sha256(label.encode("utf-8", "surrogatepass")).digest()[0] % COLOURS


def number(value: float, digits: int = 2) -> str:
    """A number with so many digits behind the point."""
    return f"{value:.{digits}f}"


def moment(time: str) -> str:
    """An ISO 8601 time in UTC to the minute: `2026-01-31 17:05`."""
    return time[:16].replace("T", " ")


def plain(name: object) -> str:
    """A name on one line and in the order in which it is written; what would change either is shown as U+FFFD."""
    return DISGUISING.sub("\ufffd", str(name))


def coded(text: str) -> Markup:
    """Text of a docstring, what stands between backticks in it set as code."""
    parts = re.split(r"`+([^`]+)`+", text)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if i % 2 else escape(part) for i, part in enumerate(parts)
    )


FILTERS: dict[str, Callable[..., object]] = {
    "length": length,
    "rate": rate,
    "colour": colour,
    "number": number,
    "moment": moment,
    "plain": plain,
    "coded": coded,
    "in_shell": shlex.quote,
}
