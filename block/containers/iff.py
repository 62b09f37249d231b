"""Other containers of mostly uncompressed audio: AIFF and AIFF-C, Core Audio (CAF), and Sun's AU.

Sources: Apple, "Audio Interchange File Format AIFF-C" (1991) and "Core Audio Format Specification 1.0"; Oracle, the
manual page of AU files.
"""

from __future__ import annotations

import struct

from block.containers.riff_chunks import ChunkLayout, FileChunk, measure_rest, walk
from block.containers.structure import (
    SAMPLE_BYTES,
    Pcm,
    SeekableFile,
    Structure,
    check_format,
    find_size,
    is_placeholder,
    measure_gap,
    note_rest,
    read_at,
)
from block.recording import RecordingError, Span

INTEGERS = {1: "PCM_S8", 2: "PCM_16", 3: "PCM_24", 4: "PCM_32"}  # by bytes
FLOATS = {4: "FLOAT", 8: "DOUBLE"}
AU_SUBTYPES = {2: "PCM_S8", 3: "PCM_16", 4: "PCM_24", 5: "PCM_32", 6: "FLOAT", 7: "DOUBLE"}
AIFF, CAF = ChunkLayout("big"), ChunkLayout("big", size_bytes=8, padding=1)


def inspect_aiff(file: SeekableFile) -> Structure:
    """Find the format and the audio of an AIFF or AIFF-C. Raise RecordingError if it lacks either."""
    chunks = {chunk.name: chunk for chunk in walk(file, AIFF, 12, b"SSND")}
    if (audio := chunks.get(b"SSND")) is None or (common := chunks.get(b"COMM")) is None:
        raise _lacks("AIFF", "a COMM and an SSND chunk", file)
    is_compressed = read_at(file, 8, 4) == b"AIFC"
    head = read_at(file, common.start, 22)
    if len(head) < (22 if is_compressed else 18):
        raise _lacks("AIFF", "a whole COMM chunk", file)
    channels, _, bits = struct.unpack(">HIH", head[:8])
    coding = head[18:22] if is_compressed else b"NONE"
    width = -(-bits // 8)
    subtype = {
        **dict.fromkeys((b"NONE", b"twos", b"in24", b"in32", b"sowt"), INTEGERS.get(width)),
        **dict.fromkeys((b"fl32", b"FL32"), "FLOAT"),
        **dict.fromkeys((b"fl64", b"FL64"), "DOUBLE"),
        b"raw ": "PCM_U8",
    }.get(coding)
    offset = 8 + int.from_bytes(read_at(file, audio.start, 4), "big")
    rate_hz = _decode_extended(head[8:18])
    return _describe(
        file, "AIFF", audio, offset, channels, rate_hz, subtype, "LITTLE" if coding == b"sowt" else "BIG",
        measure_rest(file, max(chunk.end for chunk in chunks.values())),
    )  # fmt: skip


def inspect_caf(file: SeekableFile) -> Structure:
    """Find the format and the audio of a CAF. Raise RecordingError if it lacks either."""
    chunks = {chunk.name: chunk for chunk in walk(file, CAF, 8, b"data")}
    if (audio := chunks.get(b"data")) is None or (description := chunks.get(b"desc")) is None:
        raise _lacks("CAF", "a desc and a data chunk", file)
    rate, coding, flags, packet_bytes, _, channels, bits = struct.unpack(
        ">d4sIIIII", read_at(file, description.start, 32).ljust(32, b"\0")
    )
    width = packet_bytes // channels if channels and packet_bytes else -(-bits // 8)
    subtype = (FLOATS if flags & 1 else INTEGERS).get(width) if coding == b"lpcm" else None
    rate_hz = int(rate) if 0 < rate < 1 << 32 else 0
    rest = measure_rest(file, max(chunk.end for chunk in chunks.values()))
    return _describe(file, "CAF", audio, 4, channels, rate_hz, subtype, "LITTLE" if flags & 2 else "BIG", rest)


def inspect_au(file: SeekableFile) -> Structure:
    """Find the format and the audio of an AU. Raise RecordingError if its header is cut off."""
    head = read_at(file, 0, 24)
    if len(head) < 24:
        raise _lacks("AU", "a header of 24 bytes", file)
    offset, size, coding, rate_hz, channels = struct.unpack(">5I", head[4:])
    available = max(0, find_size(file) - offset)
    audio = FileChunk(b"", offset, available if is_placeholder(size) else size, available)
    return _describe(file, "AU", audio, 0, channels, rate_hz, AU_SUBTYPES.get(coding), "BIG", available - audio.size)


def _describe(
    file: SeekableFile,
    name: str,
    audio: FileChunk,
    offset: int,
    channels: int,
    rate_hz: int,
    subtype: str | None,
    endian: str,
    rest: int,
) -> Structure:
    """Describe audio that begins `offset` bytes into its chunk, with `rest` bytes after the last one."""
    check_format(name, channels, rate_hz)
    bytes_per_s = rate_hz * channels * (SAMPLE_BYTES[subtype] if subtype else 0)
    missing, notes = measure_gap(audio.size, audio.available, bytes_per_s)
    notes += note_rest(rest)
    if subtype is None:
        return Structure(name, (Span(0, find_size(file)),), name.lower(), missing=missing, notes=notes)
    span = Span(min(audio.start + offset, audio.end), audio.end)
    return Structure(name, (span,), pcm=Pcm(rate_hz, channels, subtype, endian), missing=missing, notes=notes)


def _lacks(name: str, expected: str, file: SeekableFile) -> RecordingError:
    return RecordingError(f"the {name} lacks {expected}; it may be cut off: it has {find_size(file)} bytes")


def _decode_extended(ten: bytes) -> int:
    """Decode an 80-bit floating-point number, rounded to a whole one; 0 if it isn't between 1 and 2^32."""
    exponent = (int.from_bytes(ten[:2], "big") & 0x7FFF) - 16383
    mantissa = int.from_bytes(ten[2:], "big")
    return round(mantissa / 2 ** (63 - exponent)) if 0 <= exponent < 32 else 0
