"""WAV and its relatives: RIFF, RIFX (big-endian), RF64 and BW64 (64-bit sizes), and Sony's Wave64.

Sources: Microsoft and IBM, "Multimedia Programming Interface and Data Specifications 1.0" (RIFF); EBU Tech 3306 (RF64);
ITU-R BS.2088 (BW64); Sony, "Wave64 file format". A chunk has an identifier, a size, and that many bytes, padded.
"""

from __future__ import annotations

import struct

from block.containers.riff_chunks import ChunkLayout, measure_rest, walk
from block.containers.structure import (
    SAMPLE_BYTES,
    Pcm,
    SeekableFile,
    Structure,
    check_format,
    find_size,
    measure_gap,
    note_rest,
    read_at,
)
from block.recording import RecordingError, Span

W64_RIFF = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"
W64_WAVE = b"wave\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"
PCM_TAG, FLOAT_TAG, EXTENSIBLE_TAG = 1, 3, 0xFFFE
RIFF, RIFX, W64 = ChunkLayout("little"), ChunkLayout("big"), ChunkLayout("little", 16, 8, padding=8, counts_head=True)


def find_layout(head: bytes) -> ChunkLayout | None:
    """Return the layout of a WAV that begins with `head`, 40 bytes; None if it isn't a WAV."""
    if head[:16] == W64_RIFF and head[24:40] == W64_WAVE:
        return W64
    if head[8:12] != b"WAVE":
        return None
    return {b"RIFF": RIFF, b"RF64": RIFF, b"BW64": RIFF, b"RIFX": RIFX}.get(head[:4])


def inspect_wav(file: SeekableFile, layout: ChunkLayout) -> Structure:
    """Find the format and all audio of a WAV. Raise RecordingError if it has none, or an impossible one."""
    chunks = list(walk(file, layout, layout.head_bytes + (16 if layout is W64 else 4), b"data"))
    data = [chunk for chunk in chunks if chunk.name == b"data"]
    form = b"".join(read_at(file, chunk.start, min(chunk.size, 1 << 12)) for chunk in chunks if chunk.name == b"fmt ")
    if len(form) < 16 or not data:
        absent = "audio (a data chunk)" if len(form) >= 16 else "format (an fmt chunk)"
        raise RecordingError(f"the WAV has no {absent} in its {find_size(file)} bytes; it may be cut off")
    pcm, bytes_per_s = _parse_format(form, layout)
    spans = tuple(Span(chunk.start, chunk.end) for chunk in data)
    missing, notes = measure_gap(data[-1].size, data[-1].available, bytes_per_s)
    notes += note_rest(measure_rest(file, chunks[-1].end))
    if pcm is not None:
        return Structure("WAV", spans, pcm=pcm, missing=missing, notes=notes)
    return Structure(
        "WAV", spans, "wav", header=_build_header(form, sum(span.length for span in spans), layout),
        missing=missing, notes=notes,
    )  # fmt: skip


def _parse_format(form: bytes, layout: ChunkLayout) -> tuple[Pcm | None, float]:
    """Return the PCM format, or None for another codec, and the bytes per second. Raise RecordingError."""
    order = "<" if layout.order == "little" else ">"
    tag, channels, rate_hz, bytes_per_s, block_bytes, bits = struct.unpack(f"{order}HHIIHH", form[:16])
    if tag == EXTENSIBLE_TAG and len(form) >= 26:
        tag = int.from_bytes(form[24:26], layout.order)
    check_format("WAV", channels, rate_hz)
    width = block_bytes // channels if block_bytes and block_bytes % channels == 0 else -(-bits // 8)
    subtype = {
        (PCM_TAG, 1): "PCM_U8", (PCM_TAG, 2): "PCM_16", (PCM_TAG, 3): "PCM_24", (PCM_TAG, 4): "PCM_32",
        (FLOAT_TAG, 4): "FLOAT", (FLOAT_TAG, 8): "DOUBLE",
    }.get((tag, width))  # fmt: skip
    if subtype is None:
        return None, bytes_per_s
    return Pcm(rate_hz, channels, subtype, layout.order.upper()), rate_hz * channels * SAMPLE_BYTES[subtype]


def _build_header(form: bytes, size: int, layout: ChunkLayout) -> bytes:
    """Return a header with nothing before the audio but its format, for audio of `size` bytes."""
    magic, order = (b"RIFX", ">") if layout.order == "big" else (b"RIFF", "<")
    chunk = b"fmt " + struct.pack(f"{order}I", len(form)) + form + bytes(len(form) % 2)
    shown = min(size, 0xFFFFFFFF - 36 - len(chunk))
    return (
        magic + struct.pack(f"{order}I", 12 + len(chunk) + shown) + b"WAVE" + chunk
        + b"data" + struct.pack(f"{order}I", shown)
    )  # fmt: skip
