"""The HTTP header ``Range`` for one range of bytes (RFC 9110, section 14)."""

from __future__ import annotations

import re
from dataclasses import dataclass

PATTERN = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


class Unsatisfiable(Exception):
    """A range with no byte of the content in it (status 416)."""


@dataclass(frozen=True)
class Span:
    """The bytes `start` … `stop` - 1."""

    start: int
    stop: int


def requested(header: str | None, size: int) -> Span | None:
    """The part of `size` bytes that the header asks for, None for all of them.

    As the RFC allows, a malformed header and one with several ranges are ignored. Raises Unsatisfiable.
    """
    match = PATTERN.fullmatch((header or "").strip())
    if match is None or match.group(1) == match.group(2) == "":
        return None
    first, last = match.groups()
    if first == "":
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), size if last == "" else min(size, int(last) + 1)
        if last != "" and int(last) < start:
            return None
    if start >= stop:
        raise Unsatisfiable(f"the range {header!r} holds none of the {size} bytes")
    return Span(start, stop)
