"""Decode a sound file into a mono float32 waveform at the model's rate.

Audio is decoded, mixed down and resampled block by block, so besides the file and the waveform, this takes a few MB for
a recording of any length. Waveforms are in ±1 with full scale 1.0, shape `(values,)`.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import BinaryIO

import numpy as np
import soundfile

from block.recording import RecordingError, Waveform
from block.resampling import RATIO_TOLERANCE, compute_resampled_length, find_resampling_ratio, resample
from block.runtime.limits import THREADS, find_available_bytes

ENDINGS = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff")  # of recordings, in lower case
LOUDEST = 1e12  # full scale is 1; beyond 1e15, the power spectrum no longer fits in float32
LENGTH_TOLERANCE_MS = 10
READ_VALUES = 1 << 16  # decoded at once, all channels together
# Values per resampled block, before or after resampling. In smaller blocks, torch's threads cost more than they save.
BLOCK_VALUES = 1 << 20
BYTES_PER_VALUE = 4
ASK_BYTES = 64 << 20  # smaller arrays are allocated without checking free memory


@dataclass(frozen=True, eq=False)
class DecodedAudio:
    """A decoded sound file: mono `waveform` in ±1, shape `(values,)`, at the model's rate.

    The file has `positions` values at `rate_hz`; the waveform has `ratio` values for each of them.
    """

    waveform: Waveform
    rate_hz: int
    positions: int
    ratio: Fraction


def decode(source: bytes | str | os.PathLike[str] | BinaryIO, to_hz: int = 16000) -> DecodedAudio:
    """Decode a WAV file (any PCM width or float, any rate), or any other format of libsndfile, and resample to `to_hz`.

    `source` is the content of a file, its path, or an open seekable file. Channels are averaged. Raise RecordingError
    if the data can't be read, is damaged or of unknown format, has a rate that can't be resampled or values that aren't
    finite numbers within ±1e12, or needs more memory than is free.
    """
    if isinstance(source, bytes):
        return _decode(io.BytesIO(source), to_hz)  # shares the bytes
    if not isinstance(source, (str, os.PathLike)):
        return _decode(source, to_hz)
    try:
        with open(source, "rb") as file:
            return _decode(file, to_hz)
    except OSError as error:
        raise RecordingError(f"the audio cannot be read: {error.strerror or error}") from None


def _decode(file: BinaryIO, to_hz: int) -> DecodedAudio:
    size_bytes = file.seek(0, os.SEEK_END)
    file.seek(0)
    quiet = QuietFile(file)
    try:
        with soundfile.SoundFile(quiet) as sound_file:
            mono = _MonoReader(sound_file)
            ratio = find_resampling_ratio(mono.rate_hz, to_hz)
            # The header may claim any length. Trust it only up to one value per byte of the file.
            expected = mono.promised if mono.promised <= size_bytes else 0
            waveform = GrowingWaveform(compute_resampled_length(expected, ratio))
            if ratio == 1:
                while count := mono.read(waveform.reserve(min(READ_VALUES, mono.promised - mono.positions))):
                    waveform.length += count
            else:
                block = max(1, min(BLOCK_VALUES, int(BLOCK_VALUES / ratio), mono.promised))
                for part in resample(mono.read, ratio, block):
                    waveform.reserve(len(part))[:] = part
                    waveform.length += len(part)
    except MemoryError as error:
        raise RecordingError(f"not enough memory to decode the audio ({size_bytes} bytes): {error}") from None
    except (soundfile.SoundFileError, RuntimeError, ValueError) as error:
        reason = getattr(error, "error_string", None) or " ".join(str(error).split()) or type(error).__name__
        raise RecordingError(f"the audio cannot be decoded ({size_bytes} bytes): {reason}") from None
    finally:
        if (problem := quiet.problem) is not None:
            raise RecordingError(f"the audio cannot be read: {problem.strerror or problem}") from None
    if mono.unusable:
        raise RecordingError(
            f"the audio has values that aren't finite numbers within ±{LOUDEST:g}: {mono.unusable} of "
            f"{mono.positions}, the first is {mono.first_unusable:g} at {mono.first_unusable_at / mono.rate_hz:g} s"
        )
    return DecodedAudio(waveform.finish(), mono.rate_hz, mono.positions, ratio)


class _MonoReader:
    """Read the mean of the channels of an open sound file.

    `promised` is the number of values in the header; there may be fewer, but libsndfile never returns more. `positions`
    is the number of values read so far. `unusable` of them aren't finite numbers within ±1e12; the first of these is
    `first_unusable`, at position `first_unusable_at`.
    """

    def __init__(self, file: soundfile.SoundFile) -> None:
        self.rate_hz: int = file.samplerate
        self.promised: int = file.frames
        self.positions = 0
        self.unusable, self.first_unusable, self.first_unusable_at = 0, 0.0, 0
        self._file = file
        self._channels = np.empty((max(1, READ_VALUES // file.channels), file.channels), np.float32)

    def read(self, out: Waveform) -> int:
        """Fill `out`, shape `(values,)`. Return the number of values read, less than its size only at the end."""
        start = 0
        while start < len(out):
            part = out[start : start + min(len(self._channels), self.promised - self.positions)]
            if self._file.channels == 1:
                count = len(self._file.read(out=part))
            else:
                channels = self._file.read(out=self._channels[: len(part)])
                count = len(channels)
                with np.errstate(invalid="ignore"):  # ∞ − ∞ is reported by _check
                    part[:count] = channels.mean(axis=1, dtype=np.float64)
            if not count:
                break
            self._check(part[:count])
            self.positions += count
            start += count
        return start

    def _check(self, values: Waveform) -> None:
        usable = np.abs(values) <= LOUDEST  # False for NaN
        count = len(values) - int(np.count_nonzero(usable))
        if count and not self.unusable:
            at = int(usable.argmin())
            self.first_unusable, self.first_unusable_at = float(values[at]), self.positions + at
        self.unusable += count


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


class QuietFile:
    """A file that never raises: like in C, a failed seek returns -1, and a failed read returns no bytes.

    `problem` is the first OSError of a read.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.problem: OSError | None = None
        self._file = file
        self._seek_failed = False

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        try:
            return self._file.seek(offset, whence)
        except (OSError, ValueError, OverflowError):
            self._seek_failed = True
            return -1

    def tell(self) -> int:
        """Return the position, or -1 once after a failed seek: libsndfile's binding ignores the result of `seek`."""
        if self._seek_failed:
            self._seek_failed = False
            return -1
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:
        try:
            return self._file.read(size)
        except OSError as error:
            self.problem = self.problem or error
            return b""


class GrowingWaveform:
    """A float32 waveform buffer that grows while decoding, within available memory.

    It has `length` values so far, of `expected` or more. `free` returns the free memory in bytes. Raise RecordingError
    if the waveform needs more.
    """

    def __init__(self, expected: int = 0, free: Callable[[], int] = find_available_bytes) -> None:
        self._free = free
        self._values: Waveform = np.empty(0, np.float32)
        self._check_memory(expected)
        # Untouched pages take no memory.
        self._values = np.empty(expected, np.float32)
        self.length = 0

    def reserve(self, values: int) -> Waveform:
        """Return an array for the next `values` values. The caller adds the number it fills to `length`.

        Arrays returned earlier become invalid.
        """
        end = self.length + values
        if end > len(self._values):
            longer = end + end // 4
            self._check_memory(longer - len(self._values))
            # The operating system remaps the pages of large arrays, so this doesn't need twice the memory.
            self._values.resize(longer, refcheck=False)
        return self._values[self.length : end]

    def finish(self) -> Waveform:
        """Return all values. Don't add any afterwards."""
        self._values.resize(self.length, refcheck=False)
        return self._values

    def _check_memory(self, more: int) -> None:
        """Raise RecordingError if there isn't enough memory for `more` values.

        Each of the recordings decoded at the same time may use its share of the free memory: a small file can contain
        hours of silence, or claim to.
        """
        own_bytes = self._values.nbytes
        size_bytes = own_bytes + more * BYTES_PER_VALUE
        if size_bytes <= ASK_BYTES:
            return
        free_bytes = own_bytes + self._free()
        if size_bytes > free_bytes // THREADS:
            raise RecordingError(
                f"the waveform needs at least {size_bytes / 1e9:.1f} GB of memory; {free_bytes / 1e9:.1f} GB are free, "
                f"shared by {THREADS} recordings at a time; free some memory or split the recording"
            )
