"""Matroska and WebM: nested elements. Sources: RFC 8794 (EBML), RFC 9559 (Matroska)."""

from __future__ import annotations

from block.containers.structure import SeekableFile, Structure, find_size, note_rest, read_at
from block.recording import Span

SEGMENT, CLUSTER = 0x18538067, 0x1F43B675


def inspect_matroska(file: SeekableFile) -> Structure:
    """Walk the elements. Live recordings don't know the size of their outer ones: then the inner ones are walked."""
    total = find_size(file)
    at, missing, rest = 0, "", 0
    while at < total:
        element = _parse_element(read_at(file, at, 16))
        if element is None:
            # An element's head that is cut off looks like no element at all.
            is_cut = total - at < 12
            missing, rest = ("its last element is incomplete", 0) if is_cut else ("", total - at)
            break
        identifier, head_bytes, size = element
        if size is not None and at + head_bytes + size > total:
            there = total - at - head_bytes
            missing = f"{there} of {size} bytes are there"
        at += head_bytes
        # Step into elements of unknown size.
        at += 0 if size is None or (identifier == SEGMENT and not missing) else size
    return Structure("WebM or Matroska", (Span(0, total),), "matroska", missing=missing, notes=note_rest(rest))


def _parse_element(head: bytes) -> tuple[int, int, int | None] | None:
    """Return the identifier of an element, the bytes of its head, and its size, None if unknown."""
    id_bytes = _count_bytes(head[:1], most=4)
    size_bytes = _count_bytes(head[id_bytes : id_bytes + 1], most=8) if id_bytes else 0
    if not size_bytes or len(head) < id_bytes + size_bytes:
        return None
    raw = int.from_bytes(head[id_bytes : id_bytes + size_bytes], "big")
    largest = (1 << 7 * size_bytes) - 1
    size = raw & largest
    identifier = int.from_bytes(head[:id_bytes], "big")
    return identifier, id_bytes + size_bytes, None if size == largest else size


def _count_bytes(first: bytes, most: int) -> int:
    """Return how many bytes a number has, as its first byte says; 0 if more than `most`, or if `first` is empty."""
    length = 9 - first[0].bit_length() if first and first[0] else 9
    return length if length <= most else 0
