"""Serve every recording as a WAV that any program can read and seek in.

A plain WAV, integer or floating-point, is served unchanged. Other uncompressed audio gets a new header and keeps its
width. Anything else is decoded, once, to 16-bit PCM, or to floats if it's louder than full scale, as lossy formats can
be. Slices count values; `stop` is exclusive.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import soundfile

from block.audio import AudioReader, open_audio
from block.audio_readers import open_blocks, open_pcm
from block.containers.inspect import inspect
from block.containers.riff import RIFF
from block.containers.riff_chunks import walk
from block.containers.structure import SAMPLE_BYTES, AudioCutOff, Structure, find_size, read_at
from block.local_studio.data.file_cache import FileCache
from block.recording import RecordingError
from block.runtime.hashing import compute_sha256

WIDTHS = ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")  # that a WAV can have: libsndfile's names
BROWSER_WIDTHS = ("PCM_U8", "PCM_16", "PCM_24", "FLOAT")
LOUDEST_PCM16 = 32767.5 / 32768  # larger values aren't within half a step of any 16-bit integer
BLOCK_VALUES = 1 << 18  # copied at once, all channels together
LARGEST_WAV = (1 << 32) - (1 << 12)  # bytes of audio; larger files are written as RF64, which has 64-bit sizes


@dataclass(frozen=True)
class AudioContent:
    """The audio of a sample: its file, and the SHA-256 and the number of values per channel that the file has."""

    path: Path
    sha256: str
    values: int


@dataclass(frozen=True)
class WavMaker:
    """Make WAVs of recordings, in a cache. With `allow_truncated`, also of what is there of those that are cut off.

    All methods raise RecordingError, with what `label` says about the file if it can't be read.
    """

    allow_truncated: bool = False
    cache: FileCache = field(default_factory=FileCache)

    def get_wav(self, audio: AudioContent) -> Path:
        """Return a WAV of a recording: its own file if that is a plain WAV."""
        name = f"{audio.sha256}.wav"
        if (cached := self.cache.find(name)) is not None:
            return cached
        with _name_file_errors(), audio.path.open("rb") as file:
            structure = inspect(file)
            if is_plain_wav(file, structure):
                return audio.path
            return self.cache.get(name, lambda target: self._write(file, structure, audio, target))

    def get_slice(self, audio: AudioContent, part: slice) -> Path:
        """Return a WAV of a part of a recording, as wide as that of the whole."""
        whole = self.get_wav(audio)
        with open_wav(whole) as sound:
            start, stop = part.start or 0, sound.frames if part.stop is None else part.stop
            if not 0 <= start < stop <= sound.frames:
                raise RecordingError(f"there is no slice {start}…{stop}: expected 0 ≤ start < end ≤ {sound.frames}")
            name = f"{audio.sha256}.{start}-{stop}.wav"
            return self.cache.get(name, lambda target: _copy(sound, target, sound.subtype, start, stop))

    def get_playable(self, audio: AudioContent, part: slice = slice(None)) -> Path:
        """Return a WAV of a recording, or of a part of it, that browsers play."""
        wav = self.get_wav(audio) if part == slice(None) else self.get_slice(audio, part)
        with open_wav(wav) as sound:
            if sound.subtype in BROWSER_WIDTHS:
                return wav
            span = "" if part == slice(None) else f".{part.start}-{part.stop}"
            name = f"{audio.sha256}{span}.16-bit.wav"
            return self.cache.get(name, lambda target: _copy(sound, target, "PCM_16", 0, sound.frames))

    def _write(self, file: BinaryIO, structure: Structure, audio: AudioContent, target: Path) -> None:
        if structure.pcm is not None:
            if structure.missing and not self.allow_truncated:
                raise AudioCutOff(structure.missing)
            subtype = {"PCM_S8": "PCM_U8"}.get(structure.pcm.subtype, structure.pcm.subtype)
            with open_pcm(file, structure) as sound:
                _copy(sound, target, subtype, 0, sound.frames)
        elif not self._decode(file, structure, target, audio.values, "PCM_16"):
            self._decode(file, structure, target, audio.values, "FLOAT")
        if compute_sha256(file) != audio.sha256:
            raise RecordingError("the file has changed since it was listed; restart the local Studio to read it again")

    def _decode(self, file: BinaryIO, structure: Structure, target: Path, values: int, subtype: str) -> bool:
        """Write decoded audio. Return False if it's too loud for 16 bits."""
        fits = True
        with open_audio(file, structure, self.allow_truncated) as decoded:
            blocks = _gather_blocks(decoded)
            first = next(blocks, np.empty((0, 1), np.float32))
            with _Writer(target, decoded.rate_hz, first.shape[1], subtype, values) as wav:
                for block in chain((first,), blocks):
                    fits = fits and block.min(initial=0) >= -1 and block.max(initial=0) < LOUDEST_PCM16
                    wav.write(to_pcm16(block) if subtype == "PCM_16" else block)
        return fits


def is_plain_wav(file: BinaryIO, structure: Structure) -> bool:
    """Return True if every program finds the same audio in a WAV: in one chunk, with all sizes right, and no codec."""
    if structure.name != "WAV" or structure.pcm is None or len(structure.spans) != 1:
        return False
    if structure.missing or structure.notes:
        return False
    [span], pcm, size = structure.spans, structure.pcm, find_size(file)
    sizes = [int.from_bytes(read_at(file, at, 4), "little") for at in (4, span.start - 4)]
    if read_at(file, 0, 4) != b"RIFF" or sizes != [size - 8, span.length]:
        return False
    chunks = list(walk(file, RIFF, 12, b"data"))
    if any(one.start + one.size + one.size % 2 + RIFF.head_bytes != other.start for one, other in pairwise(chunks)):
        return False  # some chunk lacks its padding
    forms = [chunk.start for chunk in chunks if chunk.name == b"fmt "]
    if len(forms) != 1 or forms[0] > span.start or span.length % pcm.frame_bytes:
        return False
    channels, rate_hz, _, frame_bytes, bits = struct.unpack("<HIIHH", read_at(file, forms[0] + 2, 14))
    widths = (pcm.frame_bytes, 8 * SAMPLE_BYTES[pcm.subtype])
    return (channels, rate_hz, frame_bytes, bits) == (pcm.channels, pcm.rate_hz, *widths)


@contextmanager
def open_wav(path: Path) -> Iterator[soundfile.SoundFile]:
    """Open a plain WAV. Raise RecordingError if that fails, or if reading it in the context fails."""
    with _name_file_errors(), path.open("rb") as file, open_pcm(file, inspect(file)) as sound:
        yield sound


def read_first_values(path: Path, limit: int) -> list[list[int]]:
    """Return the first `limit` values of any audio file as 16-bit integers: one list per value, with one entry.

    Channels are averaged. No more of the file is decoded. Raise RecordingError.
    """
    found: list[list[int]] = []
    with _name_file_errors(), path.open("rb") as file, open_blocks(file, inspect(file)) as audio:
        while len(found) < limit and (block := next(audio.blocks, None)) is not None:
            found += [[int(value)] for value in to_pcm16(block[: limit - len(found)].mean(axis=1))]
    return found


def to_pcm16(values: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.int16]:
    """Convert floats in -1…1 to 16-bit integers. Larger values are clipped, and NaN becomes 0."""
    clipped: npt.NDArray[np.floating[Any]] = np.clip(np.nan_to_num(values), -1, 1)
    return np.asarray(np.minimum(np.rint(clipped * 32768), 32767), "<i2")


def _gather_blocks(audio: AudioReader) -> Iterator[npt.NDArray[np.float32]]:
    """Yield all values, shape `(values, channels)`, many at once, because the blocks of lossy formats are small.

    In joined files, all parts get as many channels as the first one has: the mean of theirs if their number differs.
    """
    gathered: list[npt.NDArray[np.float32]] = []
    channels = size = 0
    while (block := audio.read_block()) is not None:
        channels = channels or block.shape[1]
        if block.shape[1] != channels:
            block = np.tile(block.mean(axis=1, keepdims=True), channels)
        gathered.append(np.array(block, np.float32))
        size += block.size
        if size >= BLOCK_VALUES:
            yield np.concatenate(gathered)
            gathered, size = [], 0
    if gathered:
        yield np.concatenate(gathered)


def _copy(sound: soundfile.SoundFile, target: Path, subtype: str, start: int, stop: int) -> None:
    """Write the values `start` … `stop` - 1 of uncompressed audio to a WAV."""
    # libsndfile neither scales nor clips when it reads floats as integers, so read integers only from integers.
    is_narrowed = subtype == "PCM_16" != sound.subtype
    dtype = "float32" if is_narrowed else "float64" if subtype in ("FLOAT", "DOUBLE") else "int32"
    sound.seek(start)
    with _Writer(target, sound.samplerate, sound.channels, subtype, stop - start) as wav:
        while start < stop:
            values = sound.read(min(max(1, BLOCK_VALUES // sound.channels), stop - start), dtype, always_2d=True)
            if not len(values):
                raise RecordingError("the file became shorter while it was being read")
            wav.write(to_pcm16(values) if is_narrowed else values)
            start += len(values)


class _Writer:
    """Write a WAV of about `values` values per channel. Raise RecordingError if that fails."""

    def __init__(self, target: Path, rate_hz: int, channels: int, subtype: str, values: int) -> None:
        self._target, self._folder = target, target.parent
        is_large = values * channels * SAMPLE_BYTES[subtype] > LARGEST_WAV
        with self._name_errors():
            self._sound = soundfile.SoundFile(
                target, "w", rate_hz, channels, subtype, format="RF64" if is_large else "WAV"
            )

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, *_: object) -> None:
        with self._name_errors():
            self._sound.close()
            _clear_time(self._target)

    def write(self, values: npt.NDArray[Any]) -> None:
        """Add values, shape `(values, channels)`."""
        with self._name_errors():
            self._sound.write(values)

    @contextmanager
    def _name_errors(self) -> Iterator[None]:
        try:
            yield
        except (soundfile.SoundFileError, AssertionError, OSError) as error:
            reason = str(error).rstrip(".") or "incomplete"
            raise RecordingError(
                f"the local Studio can't write a WAV of it to {self._folder}: {reason}; make room there, or set TMPDIR "
                f"to another folder"
            ) from None


def _clear_time(path: Path) -> None:
    """Set the time that libsndfile writes into a WAV of floats to 0, so that the same audio has the same bytes."""
    with path.open("r+b") as file:
        for chunk in walk(file, RIFF, 12, b"data"):
            if chunk.name == b"PEAK":
                file.seek(chunk.start + 4)
                file.write(bytes(4))
                return


@contextmanager
def _name_file_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RecordingError(f"the file can't be read: {error.strerror or error}") from None
