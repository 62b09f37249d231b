"""Read audio files as WAV bytes to serve, and as values for a payload.

A PCM WAV, integer or floating-point, is served unchanged, whatever its width and number of channels. Anything else is
decoded to 16-bit PCM with its own rate and channels. Slices count frames; `stop` is exclusive.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import soundfile

PLAIN_SUBTYPES = ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")
BLOCK_FRAMES = 65_536
MOST_FRAMES = 2**32  # a day at 48 kHz; a header with more is damaged


class UnreadableAudio(Exception):
    """Audio can't be opened or decoded. The message lacks the subject, which the caller puts before it."""


@contextmanager
def open_audio(path: Path) -> Iterator[soundfile.SoundFile]:
    """Open an audio file. Raise UnreadableAudio if that fails, or if reading it in the context fails."""
    try:
        with path.open("rb") as file, _open_sound(file) as sound:
            yield sound
    except OSError as error:
        raise UnreadableAudio(f"cannot be opened ({error.strerror})") from None
    except soundfile.LibsndfileError as error:
        raise UnreadableAudio(f"cannot be decoded ({error.error_string})") from None


def read_wav(path: Path, part: slice = slice(None)) -> Path | bytes:
    """Return an audio file, or a part of it, as a WAV: the file itself if it can be served unchanged, else bytes.

    A part of a plain WAV keeps the file's width. Raise UnreadableAudio.
    """
    with open_audio(path) as sound:
        is_plain = is_wav_of(sound, PLAIN_SUBTYPES)
        return path if is_plain and part == slice(None) else _encode(sound, part, sound.subtype if is_plain else "")


def is_wav_of(sound: soundfile.SoundFile, subtypes: tuple[str, ...]) -> bool:
    """Return True if the file is a WAV with one of `subtypes`, which are libsndfile's names."""
    return sound.format in ("WAV", "WAVEX") and sound.subtype in subtypes


def read_first_values(path: Path, limit: int) -> list[list[int]]:
    """Return the first `limit` values as 16-bit integers: one list per interval, with one entry for the only axis.

    Channels are averaged. Raise UnreadableAudio.
    """
    with open_audio(path) as sound:
        frames = sound.read(min(limit, sound.frames), dtype="float32", always_2d=True)
    return [[int(value)] for value in to_pcm16(frames.mean(axis=1))] if len(frames) else []


def to_pcm16(values: npt.NDArray[np.float32]) -> npt.NDArray[np.int16]:
    """Convert floats in -1…1 to 16-bit integers. Larger values are clipped, and NaN becomes 0."""
    clipped: npt.NDArray[np.float32] = np.clip(np.rint(np.nan_to_num(values) * 32768), -32768, 32767)
    return clipped.astype("<i2")


def _open_sound(file: BinaryIO) -> soundfile.SoundFile:
    try:
        sound = soundfile.SoundFile(file)
    except soundfile.LibsndfileError as error:
        raise UnreadableAudio(f"cannot be read as audio ({error.error_string})") from None
    if not (0 <= sound.frames <= MOST_FRAMES and sound.samplerate > 0):
        raise UnreadableAudio(f"has an impossible header: {sound.frames} frames at {sound.samplerate} Hz")
    return sound


def _encode(sound: soundfile.SoundFile, part: slice, plain_subtype: str) -> bytes:
    """Encode `part` as a WAV, block by block, in `plain_subtype`, or in 16-bit PCM if that is empty."""
    start, stop = part.start or 0, sound.frames if part.stop is None else part.stop
    if part != slice(None) and not 0 <= start < stop <= sound.frames:
        raise UnreadableAudio(f"has no slice {start}…{stop}: expected 0 ≤ start < end ≤ {sound.frames}")
    # libsndfile neither scales nor clips when it reads floats as integers, so read integers only from integers.
    dtype = "float64" if plain_subtype in ("FLOAT", "DOUBLE") else "int32" if plain_subtype else "float32"
    target = io.BytesIO()
    with soundfile.SoundFile(
        target, "w", sound.samplerate, sound.channels, plain_subtype or "PCM_16", format="WAV"
    ) as wav:
        sound.seek(start)
        while start < stop:
            frames = sound.read(min(BLOCK_FRAMES, stop - start), dtype=dtype, always_2d=True)
            if not len(frames):
                break
            wav.write(frames if plain_subtype else to_pcm16(frames))
            start += len(frames)
    return target.getvalue()
