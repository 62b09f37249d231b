"""The audio of a sample for a page: its file, to draw, and a WAV that browsers can play and seek in.

A browser requests a recording in byte ranges, and many of them while the user seeks. So only the requested range of a
compressed file is decoded.
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
LARGEST_WAV = 2**32 - 1  # bytes; its header has 32 bits for the size


def locate_audio(project: LocalProject, sample: LocalSample) -> Path:
    """Return the file of a sample. Raise RequestError if it can't be read, or no longer exists."""
    if sample.processing_error is not None:
        raise RequestError(f"this recording can't be shown or played: {sample.processing_error}")
    real = folder.locate(project.root, sample.path)
    if real is None:
        raise RequestError("the file of this recording no longer exists", 404)
    return real


@dataclass(frozen=True)
class DecodedWav:
    """An audio file as the bytes of a 16-bit PCM WAV, with the file's rate and channels."""

    path: Path
    rate_hz: int
    channels: int
    frames: int

    @property
    def size(self) -> int:
        return HEADER_BYTES + self.frames * 2 * self.channels

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes `start` … `stop` - 1 in blocks, with silence where decoding fails or ends early."""
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
            pass  # the length was already sent, so the rest must be silence
        while at < end:
            yield bytes(min(BLOCK_FRAMES, end - at))
            at += BLOCK_FRAMES

    def _header(self) -> bytes:
        width = 2 * self.channels
        length = self.frames * width
        form = struct.pack("<HHIIHH", 1, self.channels, self.rate_hz, self.rate_hz * width, width, 16)
        return struct.pack("<4sI8sI16s4sI", b"RIFF", length + 36, b"WAVEfmt ", 16, form, b"data", length)


def find_playable(path: Path) -> Path | DecodedWav:
    """Return a WAV that browsers can play: the file itself if it's a plain WAV. Raise UnreadableAudio."""
    with open_audio(path) as sound:
        if is_wav_of(sound, BROWSER_SUBTYPES):
            return path
        decoded = DecodedWav(path, sound.samplerate, sound.channels, sound.frames)
    if decoded.size > LARGEST_WAV:
        raise UnreadableAudio("is too long to play")
    return decoded
