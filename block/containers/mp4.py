"""MP4 and its relatives M4A, 3GP and QuickTime: nested boxes. Source: ISO/IEC 14496-12."""

from __future__ import annotations

from block.containers.structure import SeekableFile, Structure, find_size, note_rest, read_at
from block.recording import RecordingError, Span

FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp")
NEEDED_BOXES = (b"moov", b"mdat", b"moof")


def inspect_mp4(file: SeekableFile) -> Structure:
    """Walk the outer boxes. The index (moov) must be whole; if the audio (mdat) isn't, the file is cut off."""
    total = find_size(file)
    at, missing, has_index, rest = 0, "", False, 0
    while at < total:
        head = read_at(file, at, 16)
        size, name = int.from_bytes(head[:4], "big"), head[4:8]
        if size == 1:
            size = int.from_bytes(head[8:16], "big")
        elif size == 0:
            size = total - at
        if len(head) < 8 or size < 8 or not all(32 <= byte < 127 for byte in name):
            rest = total - at
            break
        has_index |= name == b"moov" and at + size <= total
        if at + size > total and name in NEEDED_BOXES:
            missing = f"{total - at} of {size} bytes of its {name.decode()} box are there"
        at += size
    if not has_index:
        raise RecordingError(
            f"the audio is cut off: an MP4 needs its index (moov), which isn't within the {total} bytes that are there"
        )
    return Structure("MP4", (Span(0, total),), "mp4", missing=missing, notes=note_rest(rest))
