"""Put AAC into a CAF file, as phones record it; FFmpeg reads such files and does not write them."""

from __future__ import annotations

import struct

RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)


def split_adts(content: bytes) -> list[bytes]:
    """Return the frames of an ADTS file with their headers."""
    frames, at = [], 0
    while at < len(content):
        assert content[at : at + 2] in (b"\xff\xf1", b"\xff\xf9"), f"no frame at byte {at}"
        size = int.from_bytes(content[at + 3 : at + 6]) >> 5 & 0x1FFF
        frames.append(content[at : at + size])
        at += size
    return frames


def make_caf_aac(adts: bytes, rate_hz: int, channels: int, values: int) -> bytes:
    """Return a CAF file of the frames of an ADTS file, of which `values` values per channel are to be heard."""
    packets = [frame[7:] for frame in split_adts(adts)]
    priming = 1024
    remainder = 1024 * len(packets) - priming - values

    def chunk(name: bytes, content: bytes) -> bytes:
        return name + struct.pack(">q", len(content)) + content

    def descriptor(tag: int, content: bytes) -> bytes:
        return bytes((tag, len(content))) + content

    config = (2 << 11 | RATES.index(rate_hz) << 7 | channels << 3).to_bytes(2)
    decoder = descriptor(4, b"\x40\x15" + bytes(11) + descriptor(5, config))
    cookie = bytes(4) + descriptor(3, bytes(3) + decoder + descriptor(6, b"\2"))
    sizes = b"".join(bytes((len(packet) >> 7 | 0x80, len(packet) & 0x7F)) for packet in packets)
    return b"caff\0\1\0\0" + b"".join(
        [
            chunk(b"desc", struct.pack(">d4sIIIII", rate_hz, b"aac ", 0, 0, 1024, channels, 0)),
            chunk(b"kuki", cookie),
            chunk(b"pakt", struct.pack(">qqii", len(packets), values, priming, remainder) + sizes),
            chunk(b"data", bytes(4) + b"".join(packets)),
        ]
    )
