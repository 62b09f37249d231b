"""Matroska and WebM: nested elements. Sources: RFC 8794 (EBML), RFC 9559 (Matroska)."""

from __future__ import annotations

from block.containers.structure import SeekableFile, Structure, find_next, find_size, note_rest, read_at
from block.formatting import count
from block.recording import Span

SEGMENT, CLUSTER = 0x18538067, 0x1F43B675
# What a cluster may hold: its timestamp, position and previous size, blocks and groups of blocks, padding, checksums,
# and two elements of old files.
IN_CLUSTERS = {0xE7, 0xA7, 0xAB, 0xA3, 0xA0, 0xEC, 0xBF, 0x5854, 0xAF}


def inspect_matroska(file: SeekableFile) -> Structure:
    """Walk the elements, those of clusters, too: FFmpeg silently skips anything else.

    Live recordings don't know the size of their segment and clusters, so these end where another begins.
    """
    total = find_size(file)
    at, missing, rest, damaged, segment_end = 0, "", 0, 0, 0
    while at < total:
        element = _parse_element(read_at(file, at, 16))
        if element is None:
            following = find_next(file, CLUSTER.to_bytes(4, "big"), at + 1, total) or max(at, min(segment_end, total))
            damaged += following - at
            if following == at:
                # An element's head that is cut off looks like no element at all.
                is_cut = total - at < 12
                missing, rest = ("its last element is incomplete", 0) if is_cut else (missing, total - at)
                break
            at = following
            continue
        identifier, head_bytes, size = element
        if size is not None and at + head_bytes + size > total:
            there = total - at - head_bytes
            missing = missing or f"{there} of {size} bytes are there"
        at += head_bytes
        if identifier == SEGMENT and size is not None:
            segment_end = at + size
        # Step into these, and into elements of unknown size.
        at += 0 if size is None or identifier in (SEGMENT, CLUSTER) else size
    if damaged:
        missing = f"{count(damaged, 'byte')} between its blocks are damaged"
    return Structure("WebM or Matroska", (Span(0, total),), "matroska", missing=missing, notes=note_rest(rest))


def _parse_element(head: bytes) -> tuple[int, int, int | None] | None:
    """Return the identifier of an element, the bytes of its head, and its size, None if unknown.

    Return None for anything else. Only elements within clusters have identifiers of fewer than four bytes.
    """
    id_bytes = _count_bytes(head[:1], most=4)
    size_bytes = _count_bytes(head[id_bytes : id_bytes + 1], most=8) if id_bytes else 0
    if not size_bytes or len(head) < id_bytes + size_bytes:
        return None
    raw = int.from_bytes(head[id_bytes : id_bytes + size_bytes], "big")
    largest = (1 << 7 * size_bytes) - 1
    size = raw & largest
    identifier = int.from_bytes(head[:id_bytes], "big")
    if id_bytes < 4 and identifier not in IN_CLUSTERS:
        return None
    return identifier, id_bytes + size_bytes, None if size == largest else size


def _count_bytes(first: bytes, most: int) -> int:
    """Return how many bytes a number has, as its first byte says; 0 if more than `most`, or if `first` is empty."""
    length = 9 - first[0].bit_length() if first and first[0] else 9
    return length if length <= most else 0
