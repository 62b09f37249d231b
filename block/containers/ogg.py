"""Ogg: pages of one or more streams, one after the other in a chained file. Source: RFC 3533."""

from __future__ import annotations

import os
from itertools import pairwise

from block.containers.structure import SeekableFile, Structure, find_size, note_rest, read_at
from block.containers.tags import trim_tags
from block.recording import RecordingError, Span

PAGE_BYTES, FIRST, LAST = 27, 2, 4  # a page's head without its lacing table; flags of the first and last page
CODECS = {b"\x01vorbis": "Vorbis", b"OpusHead": "Opus", b"\x7fFLAC": "FLAC", b"Speex   ": "Speex"}


def inspect_ogg(file: SeekableFile) -> Structure:
    """Walk the pages. An Ogg is whole if every stream in it ends with a page that is marked as its last."""
    total = trim_tags(file, Span(0, find_size(file))).end
    at = end = 0
    links: list[int] = []  # where they begin
    has_data = True
    open_streams: set[bytes] = set()
    codec = ""
    while at < total:
        head = read_at(file, at, PAGE_BYTES + 255)
        if head[:4] != b"OggS":
            following = _find_page(file, at + 1, total)
            if following is None:
                break
            at = following
            continue
        lacing = head[PAGE_BYTES : PAGE_BYTES + head[26]] if len(head) > PAGE_BYTES else b""
        size = PAGE_BYTES + len(lacing) + sum(lacing)
        if len(lacing) < head[26:27].ljust(1, b"\1")[0] or at + size > total:
            open_streams.add(b"")  # the last page is incomplete
            end = total
            break
        serial = head[14:18]
        if head[5] & FIRST:
            if has_data:
                links.append(at)
            open_streams.add(serial)
            start = read_at(file, at + PAGE_BYTES + len(lacing), 8)
            codec = codec or next((name for magic, name in CODECS.items() if start.startswith(magic)), "")
        has_data = not head[5] & FIRST
        if head[5] & LAST:
            open_streams.discard(serial)
        at = end = at + size
    if not links:
        raise RecordingError(f"the Ogg has no beginning of a stream in its {total} bytes")
    missing = f"its stream has no end within the {find_size(file)} bytes that are there" if open_streams else ""
    spans = tuple(Span(start, stop) for start, stop in pairwise((*links, end)))
    notes = note_rest(total - end)
    return Structure(f"Ogg {codec}".rstrip(), spans, "ogg", is_chained=True, missing=missing, notes=notes)


def _find_page(file: SeekableFile, at: int, end: int) -> int | None:
    """Return where the next page begins, from `at` on; None if there is none."""
    file.seek(at, os.SEEK_SET)
    before = b""
    while at < end and (block := file.read(min(1 << 16, end - at))):
        if (found := (before + block).find(b"OggS")) >= 0:
            return at - len(before) + found
        before, at = block[-3:], at + len(block)
    return None
