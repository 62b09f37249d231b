"""Formats with little around their audio: FLAC, AAC (ADTS), AMR, AC-3, WavPack, True Audio and NIST SPHERE.

Sources: RFC 9639 (FLAC); ISO/IEC 14496-3 (ADTS); RFC 4867 (AMR); ETSI TS 102 366 (AC-3); wavpack.com, "WavPack 4 & 5
Binary File / Block Format"; the True Audio project, "TTA1 format description".
"""

from __future__ import annotations

from block.containers.structure import SeekableFile, Structure, find_size, read_at
from block.containers.tags import trim_tags
from block.recording import Span


def inspect_flac(file: SeekableFile) -> Structure:
    """Read how many values a FLAC has; its header has 0 if the writer didn't know."""
    span = trim_tags(file, Span(0, find_size(file)))
    info = read_at(file, span.start + 8, 34).ljust(34, b"\0")
    values = (info[13] & 15) << 32 | int.from_bytes(info[14:18], "big")
    return Structure("FLAC", (span,), "flac", values=values or None)


def inspect_wavpack(file: SeekableFile) -> Structure:
    """Read how many values a WavPack has, in 40 bits of the first block, unless the lower 32 are all set."""
    span = trim_tags(file, Span(0, find_size(file)))
    head = read_at(file, span.start, 32).ljust(32, b"\0")
    low, high = int.from_bytes(head[12:16], "little"), head[11]
    return Structure("WavPack", (span,), "wv", values=None if low == 0xFFFFFFFF else (high << 32) - high + low)


def inspect_tta(file: SeekableFile) -> Structure:
    """Read how many values a True Audio file has."""
    span = trim_tags(file, Span(0, find_size(file)))
    return Structure("TTA", (span,), "tta", values=int.from_bytes(read_at(file, span.start + 14, 4), "little") or None)


def inspect_sphere(file: SeekableFile) -> Structure:
    """Read how many values a NIST SPHERE file has, from the lines of its header."""
    lines = read_at(file, 0, 1024).split(b"\n")
    fields = dict(line.split(b" -i ", 1) for line in lines if b" -i " in line)
    count = fields.get(b"sample_count", b"").strip()
    values = int(count) if count.isdigit() else None
    return Structure("SPHERE", (Span(0, find_size(file)),), "nistsphere", values=values)


def inspect_frames(name: str, demuxer: str, file: SeekableFile) -> Structure:
    """Describe a row of frames without a header: it ends where it ends."""
    return Structure(name, (trim_tags(file, Span(0, find_size(file))),), demuxer)


def is_adts(head: bytes) -> bool:
    """Return True if `head` begins with AAC frames: two in a row, or one as far as it's there."""
    at = 0
    for _ in range(2):
        if len(head) - at < 7:
            return at > 0
        if head[at] != 0xFF or head[at + 1] & 0xF6 != 0xF0:
            return False
        size = (head[at + 3] & 3) << 11 | head[at + 4] << 3 | head[at + 5] >> 5
        if size < 7:
            return False
        at += size
    return True
