"""WAV files with the structure that readers expect and odd contents."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

PCM, ADPCM, FLOAT, A_LAW, MU_LAW, IMA_ADPCM, GSM, G721, MPEG3, EXTENSIBLE = (
    1,
    2,
    3,
    6,
    7,
    0x11,
    0x31,
    0x40,
    0x55,
    0xFFFE,
)
KSDATAFORMAT = bytes.fromhex("000000001000800000aa00389b71")
FULL = 0xFFFFFFFF
KNOWN = [(PCM, 8), (PCM, 16), (PCM, 24), (PCM, 32), (FLOAT, 32), (FLOAT, 64), (EXTENSIBLE, 16), (EXTENSIBLE, 32),
         (A_LAW, 8), (MU_LAW, 8), (ADPCM, 4), (IMA_ADPCM, 4)]  # fmt: skip

tags = st.sampled_from([PCM, FLOAT, EXTENSIBLE, A_LAW, MU_LAW, ADPCM, IMA_ADPCM, GSM, G721, MPEG3, 0]) | st.integers(
    0, 0xFFFF
)
channel_counts = st.sampled_from([1, 1, 2, 3, 0, 255, 1024, 1025, 0xFFFF]) | st.integers(0, 0xFFFF)
# Mostly the model's own rate: for every other rate, a resampling filter must be built.
rates = st.sampled_from([16000] * 12 + [0, 1, 3, 8, 8000, 44100, 192000, 2**31 - 1, 2**31, FULL]) | st.integers(0, FULL)
widths = st.sampled_from([8, 16, 24, 32, 64, 0, 1, 4, 12, 0xFFFF]) | st.integers(0, 0xFFFF)
sizes = st.sampled_from([0, 1, 3, FULL, FULL - 1, 2**31, 2**31 - 1]) | st.integers(0, FULL)
chunk_names = st.sampled_from(
    [
        b"JUNK",
        b"LIST",
        b"LIST",
        b"fact",
        b"cue ",
        b"smpl",
        b"bext",
        b"ds64",
        b"JUNK",
        b"data",
        b"fmt ",
        b"PEAK",
        b"inst",
        b"id3 ",
        b"iXML",
    ]
) | st.binary(min_size=4, max_size=4)


def chunk(name: bytes, content: bytes, size: int | None = None) -> bytes:
    """Return a chunk whose header claims `size` bytes, by default its real size."""
    return name + struct.pack("<I", len(content) if size is None else size) + content + b"\0" * (len(content) % 2)


def fmt(tag: int, channels: int, rate: int, align: int, bits: int, more: bytes = b"") -> bytes:
    """Return the content of a `fmt ` chunk."""
    return struct.pack("<HHIIHH", tag, channels, rate, rate * align & FULL, align & 0xFFFF, bits) + more


def riff(*chunks: bytes, name: bytes = b"RIFF", size: int | None = None) -> bytes:
    """Return a file of these chunks."""
    content = b"WAVE" + b"".join(chunks)
    return name + struct.pack("<I", len(content) if size is None else size) + content


def rf64(claimed_bytes: int, body: bytes) -> bytes:
    """Return an RF64 file, 16 bits at 16 kHz, whose header claims `claimed_bytes` of data."""
    ds64 = struct.pack("<QQQI", claimed_bytes + 72, claimed_bytes, claimed_bytes // 2, 0)
    return riff(
        chunk(b"ds64", ds64), chunk(b"fmt ", fmt(PCM, 1, 16000, 2, 16)), chunk(b"data", body, FULL),
        name=b"RF64", size=FULL,
    )  # fmt: skip


FIELDS = (
    "tag",
    "channels",
    "rate",
    "align",
    "bits",
    "more",
    "fmt size",
    "data size",
    "riff size",
    "name",
    "end",
    "chunk",
)


@st.composite
def wavs(draw: Callable[[Any], Any]) -> bytes:
    """Draw valid WAV files with up to three wrong fields and some extra chunks."""
    wrong = draw(st.sets(st.sampled_from(FIELDS), max_size=3))

    def number(field: str, right: Any, other: Any) -> Any:
        return draw(other) if field in wrong else right

    tag, bits = draw(st.sampled_from(KNOWN))
    tag, bits = number("tag", tag, tags), number("bits", bits, widths)
    channels = number("channels", draw(st.integers(1, 3)), channel_counts)
    align = number("align", channels * ((bits + 7) // 8), st.integers(0, 0xFFFF))
    more = b""
    if tag == EXTENSIBLE:
        sub = draw(st.sampled_from([PCM, FLOAT, A_LAW]) | tags).to_bytes(2, "little")
        more = struct.pack("<HHI", 22, bits, 0) + sub + KSDATAFORMAT
    more = number("more", more, st.binary(max_size=40))
    head = fmt(tag, channels, number("rate", 16000, rates), align, bits, more)
    chunks = [chunk(b"fmt ", head, number("fmt size", None, sizes))]
    for name in draw(
        st.lists(number("chunk", st.sampled_from([b"JUNK", b"LIST", b"fact"]), st.just(chunk_names)), max_size=2)
    ):
        content = draw(st.binary(max_size=60))
        if name == b"LIST":
            content = b"INFO" + chunk(b"LIST", b"INFO" + chunk(b"INAM", content, number("chunk", None, sizes)))
        at = number("chunk", len(chunks), st.integers(0, len(chunks)))
        chunks.insert(at, chunk(name, content, number("chunk", None, sizes)))
    body = draw(st.binary(min_size=8, max_size=64)) * draw(st.integers(1, 60))
    chunks.append(chunk(b"data", body, number("data size", None, sizes)))
    kind = number("name", b"RIFF", st.sampled_from([b"RIFX", b"RF64", b"FFIR"]))
    whole = riff(*chunks, name=kind, size=number("riff size", None, sizes))
    return whole[: number("end", len(whole), st.integers(0, len(whole)))]
