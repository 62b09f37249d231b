"""A sound file to a mono float32 waveform at the model's rate.

Decoding, mixing down and resampling go block by block: beside the file and the waveform, some MB are held however
long the recording is. Waveforms are in ±1 with full scale 1.0, shape `(values,)`.
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
from block.resampling import RATIO_TOLERANCE, resampled, resampled_length, resampling_ratio
from block.runtime.limits import THREADS, find_available_bytes

# Of the files that are taken for recordings, in lower case.
ENDINGS = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff")
LOUDEST = 1e12  # full scale is 1; of values beyond 1e15, the power spectrum no longer fits in float32
LENGTH_TOLERANCE_MS = 10
READ_VALUES = 1 << 16  # decoded at once, of all channels together
BLOCK_VALUES = (
    1 << 20
)  # resampled at once, before or after; in smaller blocks, handing the work to threads takes longer than the work


@dataclass(frozen=True, eq=False)
class Sound:
    """A decoded sound file: mono `waveform` in ±1, shape `(values,)`, at the model's rate.

    The file holds `positions` values at `rate_hz`; `ratio` values of the waveform stand for each of them.
    """

    waveform: Waveform
    rate_hz: int
    positions: int
    ratio: Fraction


def decode(source: bytes | str | os.PathLike[str] | BinaryIO, to_hz: int = 16000) -> Sound:
    """Decode a WAV (any PCM width or float, any rate), or whatever else libsndfile reads, and bring it to `to_hz`.

    `source` is the file's content, its path, or an open file that can seek. Several channels are averaged. Raises
    RecordingError for data that cannot be read, is damaged, of no known format or of a rate out of reach, that
    holds values which are not finite numbers within ±1e12, or that takes more memory than is free.
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


def _decode(file: BinaryIO, to_hz: int) -> Sound:
    size_bytes = file.seek(0, os.SEEK_END)
    file.seek(0)
    calm = QuietFile(file)
    try:
        with soundfile.SoundFile(calm) as opened:
            mono = _Mono(opened)
            ratio = resampling_ratio(mono.rate_hz, to_hz)
            # A header may promise anything: it is believed as far as the file could hold it, a byte a value.
            growing = GrowingWaveform(resampled_length(mono.promised, ratio) if mono.promised <= size_bytes else 0)
            if ratio == 1:
                while got := mono.read(growing.room(min(READ_VALUES, mono.promised - mono.positions))):
                    growing.length += got
            else:
                block = max(1, min(BLOCK_VALUES, int(BLOCK_VALUES / ratio), mono.promised))
                for part in resampled(mono.read, ratio, block):
                    growing.room(len(part))[:] = part
                    growing.length += len(part)
    except MemoryError as error:
        raise RecordingError(f"there is not enough memory to decode it ({size_bytes} bytes): {error}") from None
    except (soundfile.SoundFileError, RuntimeError, ValueError) as error:
        reason = getattr(error, "error_string", None) or " ".join(str(error).split()) or type(error).__name__
        raise RecordingError(f"the audio cannot be decoded ({size_bytes} bytes): {reason}") from None
    finally:
        if (trouble := calm.problem) is not None:
            raise RecordingError(f"the audio cannot be read: {trouble.strerror or trouble}") from None
    if mono.unusable:
        raise RecordingError(
            f"the audio holds values that are not finite numbers within ±{LOUDEST:g}: {mono.unusable} of "
            f"{mono.positions}, the first is {mono.first_unusable:g} at {mono.first_unusable_at / mono.rate_hz:g} s"
        )
    return Sound(growing.whole(), mono.rate_hz, mono.positions, ratio)


class _Mono:
    """The mean of an open sound file's channels, from the file's start to its end.

    `promised` is the number of values by the header, which may be more than there are; libsndfile never gives more.
    `positions` were read so far; `unusable` of them are no finite numbers within ±1e12: `first_unusable`, at the
    position `first_unusable_at`, and others.
    """

    def __init__(self, file: soundfile.SoundFile) -> None:
        self.rate_hz: int = file.samplerate
        self.promised: int = file.frames
        self.positions = 0
        self.unusable, self.first_unusable, self.first_unusable_at = 0, 0.0, 0
        self._file = file
        self._channels = np.empty((max(1, READ_VALUES // file.channels), file.channels), np.float32)

    def read(self, out: Waveform) -> int:
        """Fill `out`, shape `(values,)`, from its start. How many there were: fewer than asked for only at the end."""
        start = 0
        while start < len(out):
            room = out[start : start + min(len(self._channels), self.promised - self.positions)]
            if self._file.channels == 1:
                got = len(self._file.read(out=room))
            else:
                channels = self._file.read(out=self._channels[: len(room)])
                got = len(channels)
                with np.errstate(invalid="ignore"):  # ∞ − ∞ is told of below
                    room[:got] = channels.mean(axis=1, dtype=np.float64)
            if not got:
                break
            self._check(room[:got])
            self.positions += got
            start += got
        return start

    def _check(self, values: Waveform) -> None:
        usable = np.abs(values) <= LOUDEST  # NaN is at most nothing
        count = len(values) - int(np.count_nonzero(usable))
        if count and not self.unusable:
            at = int(usable.argmin())
            self.first_unusable, self.first_unusable_at = float(values[at]), self.positions + at
        self.unusable += count


def stretch(positions: int, rate_hz: int, values: int, frequency_hz: float) -> Fraction:
    """How many positions of the delivered audio stand for one value of the sample.

    `positions` at `rate_hz` is what the sound file holds; `values` at `frequency_hz` is what the sample is said to
    have. They fit when they differ by at most 10 ms (then the answer is 1) or when their lengths are in the ratio
    of their rates within 0.1 %. Anything else raises RecordingError: labels would land in the wrong place.
    """
    if abs(positions - values) * 1000 <= LENGTH_TOLERANCE_MS * rate_hz:
        return Fraction(1)
    if positions > 0 and values > 0 and math.isfinite(frequency_hz) and frequency_hz > 0:
        ratio = Fraction(positions, values)
        expected = rate_hz / Fraction(frequency_hz)
        if abs(ratio / expected - 1) <= RATIO_TOLERANCE:
            return ratio
    raise RecordingError(
        f"the audio holds {positions} values at {rate_hz} Hz, the sample is said to have {values} values at "
        f"{frequency_hz:g} Hz"
    )


class QuietFile:
    """`file`, whose trouble is not raised: a seek out of it gives -1 as in C, a read that fails gives its end.

    `problem` is the first OSError that reading gave.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.problem: OSError | None = None
        self._file = file
        self._astray = False

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        try:
            return self._file.seek(offset, whence)
        except (OSError, ValueError, OverflowError):
            self._astray = True
            return -1

    def tell(self) -> int:
        """The position, or -1 once after a seek that failed: libsndfile's binding asks here how it went."""
        if self._astray:
            self._astray = False
            return -1
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:
        try:
            return self._file.read(size)
        except OSError as error:
            self.problem = self.problem or error
            return b""


BYTES_PER_VALUE = 4
ASK_BYTES = 64 << 20  # to take less than this, nobody asks how much is free


class GrowingWaveform:
    """A float32 waveform of `length` values so far, `expected` in the end, or more. `free`: the bytes that are free."""

    def __init__(self, expected: int = 0, free: Callable[[], int] = find_available_bytes) -> None:
        """Raises RecordingError where `expected` values take more memory than is free."""
        self._free = free
        self._values: Waveform = np.empty(0, np.float32)
        self._check(expected)
        # What is not filled of it is never touched, and takes no memory.
        self._values = np.empty(expected, np.float32)
        self.length = 0

    def room(self, values: int) -> Waveform:
        """Where the next `values` values go; whoever has filled some of it adds these to `length`.

        What was given before is no longer valid. Raises RecordingError where that takes more memory than is free.
        """
        end = self.length + values
        if end > len(self._values):
            longer = end + end // 4
            self._check(longer - len(self._values))
            # The operating system moves the pages of large arrays: nothing is held twice.
            self._values.resize(longer, refcheck=False)
        return self._values[self.length : end]

    def whole(self) -> Waveform:
        """All values. Nothing can be added after that."""
        self._values.resize(self.length, refcheck=False)
        return self._values

    def _check(self, more: int) -> None:
        """Raises RecordingError if there is no memory for so many values more.

        Not all that is free may be taken: several recordings are decoded at once, and a small file may hold hours of
        nothing, or say so.
        """
        held_bytes = self._values.nbytes
        size_bytes = held_bytes + more * BYTES_PER_VALUE
        if size_bytes <= ASK_BYTES:
            return
        free_bytes = held_bytes + self._free()
        if size_bytes > free_bytes // THREADS:
            raise RecordingError(
                f"its waveform takes {size_bytes / 1e9:.1f} GB of memory or more; {free_bytes / 1e9:.1f} GB are free "
                f"for {THREADS} recordings at once"
            )
