"""Bytes of a sound file to a mono float32 waveform, and that to the model's rate.

Waveforms are in ±1 with full scale 1.0, shape `(values,)`.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from block.recording import RecordingError, Waveform

if TYPE_CHECKING:
    import torch

MAX_RATIO_TERM = 2000  # the resampling filter's length grows with the terms of the rate ratio
RATIO_TOLERANCE = Fraction(1, 1000)
LENGTH_TOLERANCE_MS = 10
BLOCK_FRAMES = 1 << 16


@dataclass(frozen=True, eq=False)
class Sound:
    """A decoded sound file: mono `waveform` in ±1, shape `(values,)`, at `rate_hz`."""

    waveform: Waveform
    rate_hz: int


def decode(data: bytes) -> Sound:
    """Decode a WAV (any PCM width or float, any rate), or whatever else libsndfile reads, in memory.

    Several channels are averaged. Raises RecordingError for data that is damaged, of no known format, or that
    holds values which are not finite numbers.
    """
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            rate_hz = file.samplerate
            # In blocks: all channels of an hour at once would take several times the room of their mean.
            blocks = [
                block[:, 0] if file.channels == 1 else block.mean(axis=1, dtype=np.float64).astype(np.float32)
                for block in file.blocks(BLOCK_FRAMES, dtype="float32", always_2d=True)
            ]
    except (soundfile.SoundFileError, RuntimeError, ValueError, MemoryError) as error:
        reason = getattr(error, "error_string", None) or " ".join(str(error).split()) or type(error).__name__
        raise RecordingError(f"the audio cannot be decoded ({len(data)} bytes): {reason}") from None
    waveform = np.concatenate(blocks) if blocks else np.empty(0, np.float32)
    if not np.isfinite(waveform).all():
        bad = int(np.count_nonzero(~np.isfinite(waveform)))
        raise RecordingError(f"the audio holds {bad} values that are not finite numbers (NaN or infinite)")
    return Sound(waveform, rate_hz)


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


def resample(waveform: torch.Tensor, ratio: Fraction) -> torch.Tensor:
    """`waveform`, shape `(..., values)`, with `ratio` values for each of its values (torchaudio's windowed sinc)."""
    if ratio == 1:
        return waveform
    # Here and not above: whoever only decodes does not wait for torch.
    from torchaudio.functional import resample as sinc_resample

    resampled: torch.Tensor = sinc_resample(waveform, ratio.denominator, ratio.numerator)
    return resampled
