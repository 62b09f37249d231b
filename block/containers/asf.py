"""ASF, the container of WMA. Source: Microsoft, "Advanced Systems Format (ASF) Specification 01.20.05"."""

from __future__ import annotations

from block.containers.structure import SeekableFile, Structure, find_size, read_at
from block.recording import RecordingError, Span

HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
OBJECT_BYTES = 24  # of its GUID and size


def inspect_asf(file: SeekableFile) -> Structure:
    """Find the data object, which states its size, or 0 in a live recording. Raise RecordingError if there is none."""
    total = find_size(file)
    at = 0
    while len(head := read_at(file, at, OBJECT_BYTES)) == OBJECT_BYTES:
        size = int.from_bytes(head[16:], "little")
        if head[:16] == DATA:
            there = total - at
            missing = f"{there} of {size} bytes are there" if size > there else ""
            return Structure("WMA", (Span(0, total),), "asf", missing=missing)
        if size < OBJECT_BYTES:
            break
        at += size
    raise RecordingError(f"the WMA has no audio in its {total} bytes; it may be cut off")
