"""Write AIFF, AIFC, CAF, AU and NIST Sphere files, with any sizes in their headers."""

from __future__ import annotations

import struct

from tests.decoding.riff_files import make_chunk
from tests.decoding.sound import BITS, Coding


def make_aiff(
    data: bytes, rate_hz: int, channels: int = 1, bits: int = 16, *, compression: bytes = b"",
    values: int | None = None, data_size: int | None = None, form_size: int | None = None, after: bytes = b"",
) -> bytes:  # fmt: skip
    """Return an AIFF file, or an AIFC file if `compression` is given; `values` is the count that its header states."""
    exponent = rate_hz.bit_length() - 1
    rate = struct.pack(">HQ", 16383 + exponent, rate_hz << (63 - exponent))
    count = len(data) // (channels * bits // 8) if values is None else values
    common = struct.pack(">HIH", channels, count, bits) + rate
    version = b""
    if compression:
        common += compression + b"\0\0"
        version = make_chunk(b"FVER", struct.pack(">I", 0xA2805140), order=">")
    sound = make_chunk(b"SSND", bytes(8) + data, data_size, ">")
    content = (b"AIFC" if compression else b"AIFF") + version + make_chunk(b"COMM", common, order=">") + sound + after
    return b"FORM" + struct.pack(">I", len(content) if form_size is None else form_size) + content


def make_caf(
    data: bytes, rate_hz: int, channels: int = 1, coding: Coding = "s16", *, little: bool = False,
    data_size: int | None = None, after: bytes = b"",
) -> bytes:  # fmt: skip
    """Return a CAF file of linear PCM; a size of -1 means that the data extends to the end of the file."""
    flags = (1 if coding in ("f32", "f64") else 0) | (2 if little else 0)
    frame = channels * BITS[coding] // 8
    described = struct.pack(">d4sIIIII", rate_hz, b"lpcm", flags, frame, 1, channels, BITS[coding])
    size = 4 + len(data) if data_size is None else data_size
    head = b"caff\0\1\0\0" + b"desc" + struct.pack(">q", len(described)) + described
    return head + b"data" + struct.pack(">qI", size, 0) + data + after


def make_au(data: bytes, rate_hz: int, channels: int = 1, encoding: int = 3, data_size: int | None = None) -> bytes:
    """Return an AU file; encodings: 1 mu-law, 2 to 5 whole numbers of 8 to 32 bits, 6 and 7 float, 27 A-law."""
    size = len(data) if data_size is None else data_size
    return b".snd" + struct.pack(">IIIII", 28, size, encoding, rate_hz, channels) + bytes(4) + data


def make_sphere(data: bytes, rate_hz: int, channels: int = 1) -> bytes:
    """Return a NIST Sphere file of 16-bit values, as speech corpora have."""
    fields = {
        "channel_count": f"-i {channels}", "sample_rate": f"-i {rate_hz}", "sample_n_bytes": "-i 2",
        "sample_byte_format": "-s2 01", "sample_coding": "-s3 pcm",
        "sample_count": f"-i {len(data) // channels // 2}",
    }  # fmt: skip
    lines = "".join(f"{name} {value}\n" for name, value in fields.items())
    return f"NIST_1A\n   1024\n{lines}end_head\n".encode().ljust(1024) + data
