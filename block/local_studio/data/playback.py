"""The audio of a sample as a page needs it: opened to be drawn, and as a WAV that a browser plays and seeks in.

A browser asks for a recording in ranges of bytes, many times while somebody seeks. Compressed files are therefore
decoded only where they are listened to, and never as a whole.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from block.local_studio.data import folder, wav
from block.local_studio.data.project import LocalProject
from block.local_studio.data.sample import LocalSample
from block.local_studio.data.validation import RequestError

Source = Path | bytes
HEADER_BYTES = 44
BLOCK_FRAMES = 65_536
LARGEST_WAV = 2**32 - 1  # bytes that its header can name


@contextmanager
def opened(source: Source) -> Iterator[soundfile.SoundFile]:
    """The audio of `source`, to be read. Raises wav.UnreadableAudio, also for what fails while it is read."""
    try:
        with source.open("rb") if isinstance(source, Path) else io.BytesIO(source) as file, wav.opened(file) as sound:
            yield sound
    except OSError as error:
        raise wav.UnreadableAudio(f"cannot be opened ({error.strerror})") from None
    except soundfile.LibsndfileError as error:
        raise wav.UnreadableAudio(f"cannot be decoded ({error.error_string})") from None


def source_of(project: LocalProject, sample: LocalSample) -> Source:
    """Where the audio of a sample is. Raises Refused where it has none that can be read."""
    if sample.processing_error is not None:
        raise RequestError(f"this recording cannot be shown or heard: {sample.processing_error}")
    if sample.path is None:
        data = project.store.wav(sample.id)
        if not data:
            raise RequestError("this sample has no audio")
        return data
    real = folder.locate(project.root, sample.path)
    if real is None:
        raise RequestError("the file of this recording has gone", 404)
    return real


@dataclass(frozen=True)
class DecodedWav:
    """An audio file as the bytes of a WAV of 16-bit PCM, at its own rate and with its own channels."""

    source: Source
    rate_hz: int
    channels: int
    frames: int

    @property
    def size(self) -> int:
        return HEADER_BYTES + self.frames * 2 * self.channels

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """The bytes `start` … `stop` - 1, in blocks; silence where decoding fails or ends too early."""
        yield self._header()[start:stop]
        width = 2 * self.channels
        at, end = max(0, start - HEADER_BYTES), max(0, stop - HEADER_BYTES)
        try:
            with opened(self.source) as sound:
                sound.seek(at // width)
                while at < end:
                    skipped = at % width
                    block = _pcm16(sound, min(BLOCK_FRAMES, -(-(end - at + skipped) // width)))[skipped:]
                    if not block:
                        break
                    yield block[: end - at]
                    at += len(block)
        except wav.UnreadableAudio:
            pass  # the length is promised already: what cannot be decoded is silent
        while at < end:
            yield bytes(min(BLOCK_FRAMES, end - at))
            at += BLOCK_FRAMES

    def _header(self) -> bytes:
        width = 2 * self.channels
        length = self.frames * width
        form = struct.pack("<HHIIHH", 1, self.channels, self.rate_hz, self.rate_hz * width, width, 16)
        return struct.pack("<4sI8sI16s4sI", b"RIFF", length + 36, b"WAVEfmt ", 16, form, b"data", length)


def playable(source: Source) -> wav.Bytes | DecodedWav:
    """A WAV that browsers play: the file itself where it is a plain one. Raises wav.UnreadableAudio."""
    with opened(source) as sound:
        is_plain = sound.format in ("WAV", "WAVEX") and sound.subtype in ("PCM_U8", "PCM_16", "PCM_24", "FLOAT")
        decoded = DecodedWav(source, sound.samplerate, sound.channels, sound.frames)
    if not is_plain:
        if decoded.size > LARGEST_WAV:
            raise wav.UnreadableAudio("is too long to be played")
        return decoded
    return (
        wav.Bytes(len(source), source) if isinstance(source, bytes) else wav.Bytes(source.stat().st_size, path=source)
    )


def _pcm16(sound: soundfile.SoundFile, frames: int) -> bytes:
    values = np.nan_to_num(sound.read(frames, dtype="float32", always_2d=True))
    return bytes(np.clip(np.rint(values * 32768), -32768, 32767).astype("<i2").tobytes())
