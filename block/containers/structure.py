"""The structure of an audio file: what `inspect` returns, and `FileParts`, which reads only the audio of a file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from block.formatting import count
from block.recording import RecordingError, Span
from block.runtime.memory_file import PositionedFile

SHORT_MS = 10  # a header may claim this much more audio than there is; it doesn't shift any label
# Writers that can't go back to their header, for example because they write to a pipe, leave a size near these limits.
# 0x7F000008 is SoX's in AIFF.
AHEAD_BYTES = 1 << 18
LIMITS, BELOW = (0x7F000008, 1 << 31, 1 << 32, 1 << 63, 1 << 64), 1 << 16


class SeekableFile(Protocol):
    """A file to read from any position."""

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int: ...
    def tell(self) -> int: ...
    def read(self, size: int = -1, /) -> bytes: ...


class AudioCutOff(RecordingError):
    """A recording ends before its audio does. `missing` says how much is there."""

    def __init__(self, missing: str) -> None:
        super().__init__(f"the audio is cut off: {missing}")

    def describe_with_advice(self) -> str:
        """Return the message, with the option that labels such recordings."""
        return f"{self}; --allow-truncated labels what is there"


@dataclass(frozen=True)
class Pcm:
    """How uncompressed audio is stored. `subtype` and `endian` are libsndfile's names, such as PCM_16 and LITTLE."""

    rate_hz: int
    channels: int
    subtype: str
    endian: str

    @property
    def frame_bytes(self) -> int:
        """The bytes of one value of each channel."""
        return self.channels * SAMPLE_BYTES[self.subtype]


SAMPLE_BYTES = {"PCM_S8": 1, "PCM_U8": 1, "PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8}


@dataclass(frozen=True)
class Structure:
    """Where the audio of a file is, and how to decode it.

    `name` is the format's, as people know it. The audio is in `spans`, in this order: uncompressed if there is `pcm`,
    otherwise for FFmpeg's `demuxer`, which needs `header` before them. If `is_chained`, each span is decoded by itself.
    `missing` says how much of a file is there that was cut off; it's empty if the file is whole. `notes` are warnings.
    `values` is the number of values that the file must give, if its format states one that can be relied on.
    """

    name: str
    spans: tuple[Span, ...]
    demuxer: str = ""
    pcm: Pcm | None = None
    header: bytes = b""
    is_chained: bool = False
    missing: str = ""
    notes: tuple[str, ...] = ()
    values: int | None = None

    @property
    def audio_bytes(self) -> int:
        return sum(span.length for span in self.spans)


def check_format(name: str, channels: int, rate_hz: int) -> None:
    """Raise RecordingError unless the header of a file in the format `name` gives at least 1 channel and 1 Hz."""
    if not channels or not rate_hz:
        raise RecordingError(
            f"the {name}'s header gives {count(channels, 'channel')} at {rate_hz} Hz; expected at least 1 of each"
        )


def is_placeholder(size: int) -> bool:
    """Return True if writers that don't know the size of the audio leave `size` in its header.

    That is about 0, since AIFF and CAF count a few bytes of their own, or just below a limit.
    """
    return size <= 8 or any(0 <= limit - size <= BELOW for limit in LIMITS)


def measure_gap(size: int, available: int, bytes_per_s: float) -> tuple[str, tuple[str, ...]]:
    """Compare the size of audio in its header with those `available`; return `missing` and `notes` of `Structure`."""
    if size <= available:
        return "", ()
    if (size - available) * 1000 <= SHORT_MS * bytes_per_s:
        return "", (f"its header claims {size} bytes of audio; {available} are there",)
    return f"{available} of {size} bytes are there", ()


def note_rest(size: int) -> tuple[str, ...]:
    """Return a warning about `size` bytes that don't belong to the audio; none if there are none."""
    return (f"left out {count(size, 'byte')} that the file's structure doesn't count as audio",) if size else ()


def read_at(file: SeekableFile, start: int, size: int) -> bytes:
    """Return up to `size` bytes from `start` on."""
    file.seek(start)
    return file.read(size)


def find_size(file: SeekableFile) -> int:
    """Return the size of a file in bytes."""
    return file.seek(0, os.SEEK_END)


def find_next(file: SeekableFile, mark: bytes, at: int, end: int) -> int | None:
    """Return where `mark` comes next in a file, from `at` to `end`; None if it doesn't."""
    file.seek(at)
    before = b""
    while at < end and (block := file.read(min(1 << 16, end - at))):
        if (found := (before + block).find(mark)) >= 0:
            return at - len(before) + found
        before, at = (before + block)[1 - len(mark) :], at + len(block)
    return None


class FileParts(PositionedFile):
    """Read `header` and then the `spans` of a file, as one file that can only be read."""

    def __init__(self, file: SeekableFile, spans: tuple[Span, ...], header: bytes = b"") -> None:
        super().__init__(len(header) + sum(span.length for span in spans))
        self._file = file
        self._header = header
        self._spans = spans
        self._block, self._block_start = b"", 0  # read ahead: decoders read little at a time

    def read(self, size: int = -1) -> bytes:
        end = self.size if size < 0 else min(self.size, self._at + size)
        if not self._block_start <= self._at <= end <= self._block_start + len(self._block):
            self._block = b"".join(self._read_parts(self._at, max(end, min(self.size, self._at + AHEAD_BYTES))))
            self._block_start = self._at
        content = self._block[self._at - self._block_start : end - self._block_start]
        self._at += len(content)
        return content

    def _read_parts(self, start: int, end: int) -> Iterator[bytes]:
        if start < len(self._header):
            yield self._header[start:end]
        at = len(self._header)  # where the span begins in the whole
        for span in self._spans:
            first, last = max(start, at), min(end, at + span.length)
            if first < last:
                yield read_at(self._file, span.start + first - at, last - first)
            at += span.length
