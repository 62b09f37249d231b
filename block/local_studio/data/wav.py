"""Audio → facts of its header, WAV bytes to serve, and values for a payload.

A WAV of whole or floating-point PCM is served as it is, whatever its width and number of channels;
anything else is decoded to 16-bit PCM at its own rate and with its own channels. Slices count frames,
from `start` up to but not including `stop`.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import soundfile

PLAIN_SUBTYPES = ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")
BLOCK_FRAMES = 65_536
BLOCK_BYTES = 262_144
MOST_FRAMES = 2**32  # a day of 48 kHz; a header that claims more is damaged


class UnreadableAudio(Exception):
    """Audio that cannot be opened or decoded; the text says why."""


@dataclass(frozen=True)
class AudioFacts:
    """What a header says: rate in Hz, frames, channels, and whether the bytes can be served as they are."""

    frequency_hz: int
    frames: int
    channels: int
    is_plain_wav: bool


@dataclass(frozen=True)
class Slice:
    """Frames `start` … `stop` - 1; None means from the first, up to the last."""

    start: int | None
    stop: int | None


@dataclass(frozen=True)
class Bytes:
    """Bytes in memory (`data`) or in a file (`path`); `size` is their number."""

    size: int
    data: bytes = b""
    path: Path | None = None

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """The bytes `start` … `stop` - 1, in blocks."""
        if self.path is None:
            yield self.data[start:stop]
            return
        with self.path.open("rb") as file:
            file.seek(start)
            while start < stop and (block := file.read(min(BLOCK_BYTES, stop - start))):
                start += len(block)
                yield block


def facts(file: BinaryIO) -> AudioFacts:
    """The header of `file`, which must be at its beginning. Raises UnreadableAudio."""
    with opened(file) as sound:
        return AudioFacts(
            frequency_hz=sound.samplerate,
            frames=sound.frames,
            channels=sound.channels,
            is_plain_wav=sound.format in ("WAV", "WAVEX") and sound.subtype in PLAIN_SUBTYPES,
        )


def of_file(path: Path, part: Slice | None = None) -> Bytes:
    """The WAV bytes of an audio file, or of a part of it. Raises UnreadableAudio."""
    try:
        with path.open("rb") as file:
            if part is None and facts(file).is_plain_wav:
                return Bytes(path.stat().st_size, path=path)
            file.seek(0)
            return _encoded(file, part)
    except OSError as error:
        raise UnreadableAudio(f"cannot be opened ({error.strerror})") from None


def of_bytes(data: bytes, part: Slice | None = None) -> Bytes:
    """The given bytes as they are, even damaged ones, or a part of the audio in them.

    Raises UnreadableAudio for a part of bytes that cannot be decoded.
    """
    return Bytes(len(data), data) if part is None else _encoded(io.BytesIO(data), part)


def first_values(file: BinaryIO, limit: int) -> list[list[int]]:
    """The first `limit` values as 16-bit integers, one list per interval with one entry for the one axis.

    Several channels are averaged. Raises UnreadableAudio.
    """
    with opened(file) as sound:
        frames = sound.read(min(limit, sound.frames), dtype="float32", always_2d=True)
    return [[int(value)] for value in _pcm16(frames.mean(axis=1))] if len(frames) else []


def opened(file: BinaryIO) -> soundfile.SoundFile:
    """The audio in `file`, which must be at its beginning, ready to be read. Raises UnreadableAudio."""
    try:
        sound = soundfile.SoundFile(file)
    except soundfile.LibsndfileError as error:
        raise UnreadableAudio(f"cannot be read as audio ({error.error_string})") from None
    if not (0 <= sound.frames <= MOST_FRAMES and sound.samplerate > 0):
        raise UnreadableAudio(f"claims {sound.frames} frames at {sound.samplerate} Hz")
    return sound


def _encoded(file: BinaryIO, part: Slice | None) -> Bytes:
    """A new WAV of `part`, block by block: in the file's own width where it is plain, else 16-bit PCM."""
    with opened(file) as sound:
        start, stop = _bounds(part or Slice(None, None), sound.frames)
        keeps_width = sound.format in ("WAV", "WAVEX") and sound.subtype in PLAIN_SUBTYPES
        subtype = sound.subtype if keeps_width else "PCM_16"
        # libsndfile neither scales nor clips float → integer reads; so integers are read only from integers.
        dtype = "float64" if subtype in ("FLOAT", "DOUBLE") else "int32" if keeps_width else "float32"
        target = io.BytesIO()
        try:
            with soundfile.SoundFile(target, "w", sound.samplerate, sound.channels, subtype, format="WAV") as wav:
                sound.seek(start)
                while start < stop:
                    frames = sound.read(min(BLOCK_FRAMES, stop - start), dtype=dtype, always_2d=True)
                    if not len(frames):
                        break
                    wav.write(frames if keeps_width else _pcm16(frames))
                    start += len(frames)
        except soundfile.LibsndfileError as error:
            raise UnreadableAudio(f"cannot be decoded ({error.error_string})") from None
        return Bytes(target.tell(), target.getvalue())


def _bounds(part: Slice, frames: int) -> tuple[int, int]:
    start = 0 if part.start is None else part.start
    stop = frames if part.stop is None else part.stop
    if part != Slice(None, None) and not 0 <= start < stop <= frames:
        raise UnreadableAudio(f"has no slice {start}…{stop}: expected 0 ≤ start < end ≤ {frames}")
    return start, stop


def _pcm16(values: npt.NDArray[np.float32]) -> npt.NDArray[np.int16]:
    """Floats of -1 … 1 as 16-bit integers, clipped."""
    clipped: npt.NDArray[np.float32] = np.clip(np.rint(values * 32768), -32768, 32767)
    return clipped.astype(np.int16)
