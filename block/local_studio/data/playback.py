"""The audio of a sample as a page needs it: located to be drawn, and as a WAV that a browser plays and seeks in.

A browser asks for a recording in ranges of bytes, many times while somebody seeks. Compressed files are therefore
decoded only where they are listened to, and never as a whole.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from block.local_studio.data import folder
from block.local_studio.data.project import LocalProject
from block.local_studio.data.sample import LocalSample
from block.local_studio.data.validation import RequestError
from block.local_studio.data.wav import BLOCK_FRAMES, UnreadableAudio, is_wav_of, open_audio, to_pcm16

BROWSER_SUBTYPES = ("PCM_U8", "PCM_16", "PCM_24", "FLOAT")
HEADER_BYTES = 44
LARGEST_WAV = 2**32 - 1  # bytes that its header can name


def locate_audio(project: LocalProject, sample: LocalSample) -> Path:
    """Return the file of a sample. Raises RequestError if there is none that can be read."""
    if sample.processing_error is not None:
        raise RequestError(f"this recording cannot be shown or heard: {sample.processing_error}")
    real = folder.locate(project.root, sample.path)
    if real is None:
        raise RequestError("the file of this recording has gone", 404)
    return real


@dataclass(frozen=True)
class DecodedWav:
    """An audio file as the bytes of a WAV of 16-bit PCM, at its own rate and with its own channels."""

    path: Path
    rate_hz: int
    channels: int
    frames: int

    @property
    def size(self) -> int:
        return HEADER_BYTES + self.frames * 2 * self.channels

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes `start` … `stop` - 1, in blocks; silence where decoding fails or ends too early."""
        yield self._header()[start:stop]
        width = 2 * self.channels
        at, end = max(0, start - HEADER_BYTES), max(0, stop - HEADER_BYTES)
        try:
            with open_audio(self.path) as sound:
                sound.seek(at // width)
                while at < end:
                    skipped = at % width
                    wanted = min(BLOCK_FRAMES, -(-(end - at + skipped) // width))
                    block = to_pcm16(sound.read(wanted, dtype="float32", always_2d=True)).tobytes()[skipped:]
                    if not block:
                        break
                    yield block[: end - at]
                    at += len(block)
        except UnreadableAudio:
            pass  # the length is promised already: what cannot be decoded is silent
        while at < end:
            yield bytes(min(BLOCK_FRAMES, end - at))
            at += BLOCK_FRAMES

    def _header(self) -> bytes:
        width = 2 * self.channels
        length = self.frames * width
        form = struct.pack("<HHIIHH", 1, self.channels, self.rate_hz, self.rate_hz * width, width, 16)
        return struct.pack("<4sI8sI16s4sI", b"RIFF", length + 36, b"WAVEfmt ", 16, form, b"data", length)


def find_playable(path: Path) -> Path | DecodedWav:
    """Return a WAV that browsers play: the file itself where it is a plain one. Raises UnreadableAudio."""
    with open_audio(path) as sound:
        if is_wav_of(sound, BROWSER_SUBTYPES):
            return path
        decoded = DecodedWav(path, sound.samplerate, sound.channels, sound.frames)
    if decoded.size > LARGEST_WAV:
        raise UnreadableAudio("is too long to be played")
    return decoded
