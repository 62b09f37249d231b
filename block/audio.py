"""A sound file to a mono float32 waveform at the model's rate.

Decoding, mixing down and resampling go block by block: beside the file and the waveform, some MB are held however
long the recording is. Waveforms are in ±1 with full scale 1.0, shape `(values,)`.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import BinaryIO

import numpy as np
import soundfile

from block.calm_file import CalmFile
from block.growing import Growing
from block.recording import RecordingError, Waveform

LOUDEST = 1e12  # full scale is 1; of values beyond 1e15, the power spectrum no longer fits in float32
MAX_RATIO_TERM = 2000  # the resampling filter's length grows with the terms of the rate ratio
RATIO_TOLERANCE = Fraction(1, 1000)
LENGTH_TOLERANCE_MS = 10
READ_VALUES = 1 << 16  # decoded at once, of all channels together
BLOCK_VALUES = (
    1 << 20
)  # resampled at once, before or after; in smaller blocks, handing the work to threads takes longer than the work
ZERO_CROSSINGS, ROLLOFF = 6, 0.99  # the resampling filter's shape: torchaudio's defaults


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
    calm = CalmFile(file)
    try:
        with soundfile.SoundFile(calm) as opened:
            mono = _Mono(opened)
            ratio = resampling_ratio(mono.rate_hz, to_hz)
            # A header may promise anything: it is believed as far as the file could hold it, a byte a value.
            growing = Growing(resampled_length(mono.promised, ratio) if mono.promised <= size_bytes else 0)
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


def resampling_ratio(from_hz: int, to_hz: int) -> Fraction:
    """`to_hz / from_hz`, or the closest ratio with both terms at most 2000 that lies within 0.1 % of it.

    Raises RecordingError where there is none.
    """
    exact = Fraction(to_hz, from_hz)
    if max(exact.numerator, exact.denominator) <= MAX_RATIO_TERM:
        return exact
    # limit_denominator bounds the lower term: apply it the way round that makes the lower term the larger one.
    near = min(exact, 1 / exact).limit_denominator(MAX_RATIO_TERM)
    if near and exact > 1:
        near = 1 / near
    if abs(near / exact - 1) > RATIO_TOLERANCE:
        raise RecordingError(f"a rate of {from_hz} Hz cannot be brought to {to_hz} Hz within 0.1 %")
    return near


def resampled_length(positions: int, ratio: Fraction) -> int:
    """How many values at the new rate `positions` values give: `positions · ratio`, rounded up."""
    return math.ceil(positions * ratio)


def context(ratio: Fraction) -> int:
    """How many values before and after a group of `ratio.denominator` values the resampled group depends on.

    The filter is a sinc under a Hann window that ends at its sixth zero crossing, with 99 % of the lower of the two
    bands: `ceil(6 · d / (0.99 · min(n, d)))` for a ratio of n / d in lowest terms. Source: `width` in torchaudio's
    `functional/functional.py`, `_get_sinc_resample_kernel`, after https://ccrma.stanford.edu/~jos/resample/.
    """
    new, old = ratio.numerator, ratio.denominator
    return math.ceil(ZERO_CROSSINGS * old / (min(new, old) * ROLLOFF))


def resampled(read: Callable[[Waveform], int], ratio: Fraction, block: int) -> Iterator[Waveform]:
    """What `read` gives, `ratio` values for each of its values, `block` of these or a little more at a time.

    `read` fills an array from its start and returns how many values there were, fewer than asked for at the end alone.
    The blocks, one after another, are within 1e-6 of what `torchaudio.functional.resample` makes of a whole in ±1.
    Their length is `resampled_length`; torchaudio rounds in float32 first, which moves it by a value or a few where
    there are more than 65,536.
    """
    # Here and not above: whoever only decodes at the model's rate does not wait for torch.
    import torch
    from torchaudio.transforms import Resample

    # In float32, the filter is the one that torchaudio.functional.resample computes; it is computed once.
    resample = Resample(
        ratio.denominator, ratio.numerator, lowpass_filter_width=ZERO_CROSSINGS, rolloff=ROLLOFF, dtype=torch.float32
    )
    # One period of the two rates is `ratio.denominator` values: blocks that start at its multiples have the grid of the
    # whole. The context before is a multiple too, so that its share of the result can be cut off.
    period, after = ratio.denominator, context(ratio)
    before = period * -(-after // period)
    step = period * max(1, -(-block // period))
    held = np.zeros(before + step + after, np.float32)
    kept = before  # values that stand in `held` when a block is read: silence, before the first
    skip, size = int(before * ratio), int(step * ratio)
    positions = given = 0
    while True:
        wanted = len(held) - kept
        got = read(held[kept:])
        held[kept + got :] = 0
        positions += got
        out: Waveform = resample(torch.from_numpy(held)).numpy()[skip : skip + size]
        if got < wanted:
            out = out[: resampled_length(positions, ratio) - given]
        yield out
        given += len(out)
        if got < wanted and given == resampled_length(positions, ratio):
            return
        kept = before + after
        held[:kept] = held[step:]
