"""Write WAV files of a known length, a block at a time, without keeping them open."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

PCM, FLOAT = 1, 3  # the format tags of WAV
MAX_BYTES = 2**32 - 1 - 64  # of audio: sizes in the header have 32 bits, and that of the file includes the header


@dataclass(frozen=True)
class SampleFormat:
    """How a value is written: as an integer of 2 or 3 bytes, or as a float of 4."""

    tag: int
    value_bytes: int

    @classmethod
    def of(cls, subtype: str) -> SampleFormat:
        """Return the format that keeps the values of uncompressed audio of this subtype; 16 bits for any other."""
        if subtype in ("PCM_32", "FLOAT", "DOUBLE"):
            return cls(FLOAT, 4)
        return cls(PCM, 3 if subtype == "PCM_24" else 2)

    def encode(self, values: npt.NDArray[np.float32]) -> bytes:
        """Return the bytes of values, shape `(values, channels)`, in ±1; integers are limited to full scale."""
        if self.tag == FLOAT:
            return values.astype("<f4").tobytes()
        full = 2 ** (8 * self.value_bytes - 1)
        integers = np.clip(np.rint(values.astype(np.float64) * full), -full, full - 1).astype("<i4")
        return bytes(integers[..., None].view(np.uint8)[..., : self.value_bytes].tobytes())


@dataclass(frozen=True)
class WavFormat:
    """The format of a WAV file."""

    rate_hz: int
    channels: int
    sample: SampleFormat

    def count_bytes(self, values: int) -> int:
        """Return the size of the audio of so many values of each channel."""
        return values * self.channels * self.sample.value_bytes

    def make_header(self, values: int) -> bytes:
        """Return the header of a file with so many values of each channel. Raise ValueError if it would be too long."""
        size, frame = self.count_bytes(values), self.count_bytes(1)
        if size > MAX_BYTES:
            raise ValueError(f"{size} bytes of audio; a WAV file has at most {MAX_BYTES}")
        rates = (self.rate_hz, self.rate_hz * frame, frame)
        head = struct.pack("<HHIIHHH", self.sample.tag, self.channels, *rates, 8 * self.sample.value_bytes, 0)
        chunks = [(b"fmt ", head), (b"fact", struct.pack("<I", values))]
        body = b"WAVE" + b"".join(name + struct.pack("<I", len(content)) + content for name, content in chunks)
        padded = size + size % 2
        return b"RIFF" + struct.pack("<I", len(body) + 8 + padded) + body + b"data" + struct.pack("<I", size)


def append(path: Path, content: bytes, is_new: bool = False) -> None:
    """Append to a file, or create it. Raise OSError if it `is_new` but exists, or if it is a link."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_CREAT | os.O_EXCL if is_new else 0)
    with open(os.open(path, flags, 0o666), "ab") as file:
        file.write(content)
