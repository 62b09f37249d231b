"""The tags before and after audio: ID3v1, ID3v2, APEv2 and Lyrics3, which no decoder should take for audio.

Sources: id3.org (ID3v2.4 structure; Lyrics3 v2.00), wiki.hydrogenaud.io (APEv2 specification).
"""

from __future__ import annotations

from block.containers.structure import SeekableFile, read_at
from block.recording import Span

ID3V1_BYTES, ID3V1_EXTENDED_BYTES, APE_BYTES, LYRICS_BYTES = 128, 227, 32, 5100


def trim_tags(file: SeekableFile, span: Span) -> Span:
    """Return `span` without the tags at its start and its end, several in a row included."""
    start, end = span.start, span.end
    while 0 < (size := measure_leading_tag(read_at(file, start, APE_BYTES))) <= end - start:
        start += size
    while 0 < (size := _measure_trailing_tag(file, start, end)) <= end - start:
        end -= size
    return Span(start, end)


def measure_leading_tag(head: bytes) -> int:
    """Return the bytes of the tag whose first 32 bytes are `head`; 0 if it isn't a tag."""
    if head[:3] == b"ID3" and len(head) >= 10 and max(head[6:10]) < 128 and max(head[3:5]) < 255:
        return 10 + _decode_synchsafe(head[6:10]) + (10 if head[5] & 0x10 else 0)
    if head[:8] == b"APETAGEX" and len(head) >= APE_BYTES:
        return APE_BYTES + int.from_bytes(head[12:16], "little")
    return 0


def _measure_trailing_tag(file: SeekableFile, start: int, end: int) -> int:
    tail = read_at(file, max(start, end - ID3V1_EXTENDED_BYTES), min(ID3V1_EXTENDED_BYTES, end - start))
    if tail[-ID3V1_BYTES:][:3] == b"TAG":
        return ID3V1_BYTES
    if tail[:4] == b"TAG+" and len(tail) == ID3V1_EXTENDED_BYTES:
        return ID3V1_EXTENDED_BYTES
    if tail[-APE_BYTES:][:8] == b"APETAGEX":
        footer = tail[-APE_BYTES:]
        has_header = int.from_bytes(footer[20:24], "little") >> 31
        return int.from_bytes(footer[12:16], "little") + (APE_BYTES if has_header else 0)
    if tail[-10:][:3] == b"3DI" and max(tail[-4:]) < 128:
        return 20 + _decode_synchsafe(tail[-4:])
    if tail.endswith(b"LYRICS200") and tail[-15:-9].isdigit():
        return int(tail[-15:-9]) + 15
    if tail.endswith(b"LYRICSEND"):
        text = read_at(file, max(start, end - LYRICS_BYTES - 20), min(LYRICS_BYTES + 20, end - start))
        begin = text.rfind(b"LYRICSBEGIN")
        return len(text) - begin if begin >= 0 else 0
    return 0


def _decode_synchsafe(four: bytes) -> int:
    """Decode a number of four bytes with seven bits each."""
    return four[0] << 21 | four[1] << 14 | four[2] << 7 | four[3]
