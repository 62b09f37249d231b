"""Take MP3 files apart, and put tags around them."""

from __future__ import annotations

import struct
from itertools import accumulate

# Bit rates in kbit/s and rates in Hz by index, for Layer III of MPEG-1 and of MPEG-2 (half the rates).
KBITS = {3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
         2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)}  # fmt: skip
RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


def split_frames(content: bytes) -> list[bytes]:
    """Return the frames of Layer III of a file that holds nothing else."""
    frames, at = [], 0
    while at < len(content):
        head = int.from_bytes(content[at : at + 4])
        version, bit_rate, rate, padding = head >> 19 & 3, head >> 12 & 15, head >> 10 & 3, head >> 9 & 1
        assert head >> 21 == 0x7FF, f"no frame at byte {at}"
        factor = 144000 if version == 3 else 72000
        size = factor * KBITS[3 if version == 3 else 2][bit_rate] // RATES[version][rate] + padding
        frames.append(content[at : at + size])
        at += size
    return frames


def make_id3v2(size: int) -> bytes:
    """Return an ID3v2.3 tag of `size` bytes: a title, and a picture that fills the rest."""

    def frame(name: bytes, content: bytes) -> bytes:
        return name + struct.pack(">IH", len(content), 0) + content

    title = frame(b"TIT2", b"\0A title")
    picture_head = b"\0image/png\0\3\0"
    # The picture holds bytes that look like the beginning of an MP3 frame, as pictures happen to.
    room = size - 10 - len(title) - 10 - len(picture_head)
    picture = frame(b"APIC", picture_head + (b"\x89PNG\r\n\x1a\n\xff\xfb\x90\x64" * room)[:room])
    body = title + picture
    length = bytes(len(body) >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\3\0\0" + length + body


def make_id3v1() -> bytes:
    """Return an ID3v1 tag: the last 128 bytes of a file."""
    return b"TAG" + b"A title".ljust(30, b"\0") + bytes(95)


def make_ape(size: int) -> bytes:
    """Return an APEv2 tag with header and footer and one item, `size` bytes in all."""
    key = b"Comment\0"
    item = struct.pack("<II", size - 64 - 8 - len(key), 0) + key
    item += b"x" * (size - 64 - len(item))

    def edge(flags: int) -> bytes:
        return b"APETAGEX" + struct.pack("<IIII", 2000, len(item) + 32, 1, flags) + bytes(8)

    return edge(0xA0000000) + item + edge(0x80000000)


def make_lyrics3() -> bytes:
    """Return a Lyrics3 v2 tag, which always has an ID3v1 tag behind it."""
    lyrics = b"some words of a song\r\n" * 9
    body = b"LYRICSBEGIN" + b"IND0000300" + b"LYR" + f"{len(lyrics):05d}".encode() + lyrics
    return body + f"{len(body):06d}".encode() + b"LYRICS200"


def find_borders(content: bytes) -> list[int]:
    """Return the positions at which the frames of `content` end."""
    return list(accumulate(len(frame) for frame in split_frames(content)))
