"""Decode a sound file into a mono float32 waveform at the model's rate.

Audio is decoded, mixed down and resampled block by block, so besides the file and the waveform, this takes a few MB for
a recording of any length. Waveforms are in ±1 with full scale 1.0, shape `(values,)`.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from block.audio_readers import READ_VALUES, Blocks, open_blocks
from block.containers.inspect import inspect
from block.containers.riff import find_layout, inspect_wav
from block.containers.structure import AudioCutOff, SeekableFile, Structure, read_at
from block.ffmpeg_decoder import Block
from block.growing_waveform import GrowingWaveform
from block.recording import RecordingError, Waveform
from block.resampling import RATIO_TOLERANCE, compute_resampled_length, find_resampling_ratio, resample
from block.runtime.memory_file import MemoryFile

# Of recordings, in lower case. The content decides how they are decoded.
ENDINGS = (
    ".wav", ".wave", ".bwf", ".rf64", ".w64", ".aif", ".aiff", ".aifc", ".caf", ".au", ".snd",
    ".sph", ".nist", ".flac", ".wv", ".tta", ".mp3", ".mp2", ".mpga", ".aac", ".m4a", ".m4b", ".mp4", ".3gp", ".3g2",
    ".ogg", ".oga", ".opus", ".spx", ".webm", ".weba", ".mka", ".wma", ".asf", ".ac3", ".amr", ".awb",
)  # fmt: skip
LOUDEST = 1e12  # full scale is 1; beyond 1e15, the power spectrum no longer fits in float32
LENGTH_TOLERANCE_MS = 10
HEAD_BYTES = 64
# Values per resampled block, before or after resampling. In smaller blocks, torch's threads cost more than they save.
BLOCK_VALUES = 1 << 20


@dataclass(frozen=True, eq=False)
class DecodedAudio:
    """A decoded sound file: mono `waveform` in ±1, shape `(values,)`, at the model's rate.

    The file has `positions` values at `rate_hz`; the waveform has `ratio` values for each of them. `notes` are warnings
    about the file; `missing` says how much is there if it's cut off.
    """

    waveform: Waveform
    rate_hz: int
    positions: int
    ratio: Fraction
    notes: tuple[str, ...] = ()
    missing: str = ""


def decode(
    source: bytes | str | os.PathLike[str] | SeekableFile,
    to_hz: int = 16000,
    expect: Callable[[int], None] = lambda values: None,
    allow_truncated: bool = False,
) -> DecodedAudio:
    """Decode an audio file, recognized by its content, and resample it to `to_hz`.

    `source` is the content of a file, its path, or an open seekable file. Channels are averaged. Before decoding,
    `expect` is called with about the number of values, 0 if unknown. Raise AudioCutOff if the file ends before its
    audio does, unless `allow_truncated`. Raise RecordingError if the data can't be read, is damaged or of unknown
    format, has a rate that can't be resampled or values that aren't finite numbers within ±1e12, or needs more memory
    than is free.
    """
    with _name_read_errors(), _open(source) as file:
        return _decode(file, inspect(file), to_hz, expect, allow_truncated)


def decode_wav(file: MemoryFile, to_hz: int = 16000) -> DecodedAudio:
    """Like `decode`, for the audio of a sample as Edge Impulse sends it: only an uncompressed WAV.

    Memory is freed as it's read, so `file` can't be read again.
    """
    with _name_read_errors():
        if (layout := find_layout(read_at(file, 0, HEAD_BYTES))) is None:
            raise RecordingError(f"the audio can't be decoded: expected a WAV, got {file.size} other bytes")
        structure = inspect_wav(file, layout)
        if structure.pcm is None:
            raise RecordingError("the audio can't be decoded: the WAV is compressed; expected PCM or floating-point")
        file.free_as_read()
        return _decode(file, structure, to_hz, lambda values: None, allow_truncated=False)


@contextmanager
def _name_read_errors() -> Iterator[None]:
    try:
        yield
    except ConnectionError:
        raise
    except OSError as error:
        raise RecordingError(f"the audio can't be read: {error.strerror or error}") from None


@contextmanager
def _open(source: bytes | str | os.PathLike[str] | SeekableFile) -> Iterator[SeekableFile]:
    if isinstance(source, bytes):
        yield io.BytesIO(source)  # shares the bytes
    elif not isinstance(source, (str, os.PathLike)):
        yield source
    else:
        with open(source, "rb") as file:
            yield file


def _decode(
    file: SeekableFile, structure: Structure, to_hz: int, expect: Callable[[int], None], allow_truncated: bool
) -> DecodedAudio:
    with open_audio(file, structure, allow_truncated) as audio:
        expect(audio.expected)
        ratio = find_resampling_ratio(audio.rate_hz, to_hz)
        # The header may claim any length. Trust it only up to one value per byte of the audio.
        trusted = audio.expected if audio.expected <= structure.audio_bytes else 0
        waveform = GrowingWaveform(compute_resampled_length(trusted, ratio))
        if ratio == 1:
            while pending := audio.peek():
                room = max(pending, min(READ_VALUES, trusted - waveform.length))
                waveform.length += audio.read(waveform.reserve(room))
        else:
            block = max(1, min(BLOCK_VALUES, int(BLOCK_VALUES / ratio), audio.expected or BLOCK_VALUES))
            for part in resample(audio.read, ratio, block):
                waveform.reserve(len(part))[:] = part
                waveform.length += len(part)
    return DecodedAudio(waveform.finish(), audio.rate_hz, audio.positions, ratio, audio.notes, audio.missing)


@contextmanager
def open_audio(file: SeekableFile, structure: Structure, allow_truncated: bool = False) -> Iterator[AudioReader]:
    """Open an audio file to read all of it once. What `decode` refuses is refused here, while reading, or at the end.

    Raise AudioCutOff or RecordingError.
    """
    if structure.missing and not allow_truncated:
        raise AudioCutOff(structure.missing)
    try:
        with open_blocks(file, structure) as blocks:
            audio = AudioReader(blocks, structure)
            yield audio
    except MemoryError as error:
        raise RecordingError(f"not enough memory to decode the audio: {error}") from None
    audio.check()
    if audio.missing and not allow_truncated:
        raise AudioCutOff(audio.missing)


class AudioReader:
    """Read an audio file block by block, and check its values.

    It has about `expected` values per channel at `rate_hz`, 0 if unknown; `positions` of them were read so far.
    """

    def __init__(self, blocks: Blocks, structure: Structure) -> None:
        self.rate_hz, self.expected = blocks.rate_hz, blocks.expected
        self.positions = 0
        self._blocks, self._structure = blocks, structure
        self._mono: Waveform = np.empty(0, np.float32)  # the rest of the last block
        self._unusable, self._first_unusable, self._first_unusable_at = 0, 0.0, 0

    @property
    def notes(self) -> tuple[str, ...]:
        """The warnings about what was read so far."""
        return (*self._structure.notes, *self._blocks.findings.notes)

    @property
    def missing(self) -> str:
        """How much is there of a file that is cut off, empty if it's whole. Complete once all was read."""
        values = self._structure.values
        if values is not None and self.positions < values:
            return f"{self.positions} of {values} values are there"
        return self._structure.missing or self._blocks.findings.missing

    def read_block(self) -> Block | None:
        """Return the next values, shape `(values, channels)`, valid until the next call; None at the end."""
        block = next(self._blocks.blocks, None)
        if block is not None:
            self._mono = _average(block)
            self._find_unusable(self._mono)
            self.positions += len(block)
        return block

    def peek(self) -> int:
        """Return the number of values that `read` can give at once; 0 only at the end."""
        while not len(self._mono):
            if self.read_block() is None:
                return 0
        return len(self._mono)

    def read(self, out: Waveform) -> int:
        """Fill `out`, shape `(values,)`, with the mean of the channels.

        Return the number of values read, less than its size only at the end.
        """
        start = 0
        while start < len(out) and self.peek():
            part = self._mono[: len(out) - start]
            out[start : start + len(part)] = part
            self._mono = self._mono[len(part) :]
            start += len(part)
        return start

    def check(self) -> None:
        """Raise RecordingError if any of the values read so far isn't a finite number within ±1e12."""
        if self._unusable:
            raise RecordingError(
                f"the audio has values that aren't finite numbers within ±{LOUDEST:g}: {self._unusable} of "
                f"{self.positions}, the first is {self._first_unusable:g} at "
                f"{self._first_unusable_at / self.rate_hz:g} s"
            )

    def _find_unusable(self, values: Waveform) -> None:
        usable = np.abs(values) <= LOUDEST  # False for NaN
        count = len(values) - int(np.count_nonzero(usable))
        if count and not self._unusable:
            at = int(usable.argmin())
            self._first_unusable, self._first_unusable_at = float(values[at]), self.positions + at
        self._unusable += count


def _average(block: Block) -> Waveform:
    """Return the mean of the channels."""
    with np.errstate(invalid="ignore", over="ignore"):  # ∞ is reported later
        mono = block[:, 0] if block.shape[1] == 1 else block.mean(axis=1, dtype=np.float64)
        return np.asarray(mono, np.float32)


def compute_stretch(positions: int, rate_hz: int, values: int, frequency_hz: float) -> Fraction:
    """Return the number of positions in the sound file per value of the sample.

    The sound file has `positions` at `rate_hz`; the sample should have `values` at `frequency_hz`. The result is 1 if
    the counts differ by at most 10 ms, or their ratio if it equals the ratio of the rates within 0.1 %. Raise
    RecordingError otherwise, since labels would land in the wrong place.
    """
    if abs(positions - values) * 1000 <= LENGTH_TOLERANCE_MS * rate_hz:
        return Fraction(1)
    if positions > 0 and values > 0 and math.isfinite(frequency_hz) and frequency_hz > 0:
        ratio = Fraction(positions, values)
        expected = rate_hz / Fraction(frequency_hz)
        if abs(ratio / expected - 1) <= RATIO_TOLERANCE:
            return ratio
    raise RecordingError(
        f"the audio has {positions} values at {rate_hz} Hz; the sample should have {values} values at "
        f"{frequency_hz:g} Hz"
    )
