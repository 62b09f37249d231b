"""Write RIFF, RIFX, RF64, BW64 and Sony Wave64 files, with any sizes in their headers."""

from __future__ import annotations

import struct

from tests.decoding.sound import BITS, Coding, Order

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
FULL = 0xFFFFFFFF
SUBFORMAT_TAIL = bytes.fromhex("000000001000800000aa00389b71")
W64_RIFF = bytes.fromhex("726966662e91cf11a5d628db04c10000")
W64_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")  # follows `wave`, `fmt ` and `data`


def make_chunk(name: bytes, content: bytes, size: int | None = None, order: Order = "<") -> bytes:
    """Return a chunk whose header states `size` bytes, by default the right number."""
    stated = struct.pack(order + "I", len(content) if size is None else size)
    return name + stated + content + bytes(len(content) % 2)


def make_fmt(
    rate_hz: int, channels: int = 1, coding: Coding = "s16", order: Order = "<", *, extensible: bool = False,
    more: bytes = b"",
) -> bytes:  # fmt: skip
    """Return the content of a `fmt ` chunk; `more` are further bytes at its end."""
    tag = FLOAT if coding in ("f32", "f64") else PCM
    frame = channels * BITS[coding] // 8
    head = struct.pack(
        order + "HHIIHH", EXTENSIBLE if extensible else tag, channels, rate_hz, rate_hz * frame, frame, BITS[coding]
    )
    if extensible:
        mask = {1: 4, 2: 3, 6: 0x3F}[channels]
        more = struct.pack(order + "HHIH", 22, BITS[coding], mask, tag) + SUBFORMAT_TAIL
    return head + more


def make_wav(
    data: bytes, fmt: bytes, *, data_size: int | None = None, riff_size: int | None = None, before: bytes = b"",
    between: bytes = b"", after: bytes = b"", form: bytes = b"RIFF", order: Order = "<",
) -> bytes:  # fmt: skip
    """Return a WAV file with further chunks before `fmt `, before `data`, and after it."""
    chunks = before + make_chunk(b"fmt ", fmt, order=order) + between
    content = b"WAVE" + chunks + make_chunk(b"data", data, data_size, order) + after
    return form + struct.pack(order + "I", len(content) if riff_size is None else riff_size) + content


def make_rf64(data: bytes, fmt: bytes, values: int, *, form: bytes = b"RF64", stated: int | None = None) -> bytes:
    """Return an RF64 or BW64 file; `stated` is the number of bytes that its ds64 chunk gives, by default the right one.

    `stated` 0 is what ffmpeg writes into a pipe: every size in the ds64 chunk is 0.
    """
    size = len(data) if stated is None else stated
    total = 4 + 36 + 8 + len(fmt) + 8 + size if size else 0
    ds64 = struct.pack("<QQQI", total, size, values if size else 0, 0)
    return make_wav(data, fmt, data_size=FULL, riff_size=FULL, before=make_chunk(b"ds64", ds64), form=form)


def make_w64(data: bytes, fmt: bytes, *, data_size: int | None = None, riff_size: int | None = None) -> bytes:
    """Return a Sony Wave64 file; the sizes in its headers include the headers."""

    def chunk(name: bytes, content: bytes, size: int | None = None) -> bytes:
        stated = 24 + len(content) if size is None else size
        return name + W64_TAIL + struct.pack("<Q", stated) + content + bytes(-len(content) % 8)

    content = b"wave" + W64_TAIL + chunk(b"fmt ", fmt) + chunk(b"data", data, data_size)
    return W64_RIFF + struct.pack("<Q", 24 + len(content) if riff_size is None else riff_size) + content
