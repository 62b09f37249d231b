"""Resample audio block by block, to the same values as `torchaudio.functional.resample`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from fractions import Fraction

import numpy as np

from block.recording import RecordingError, Waveform

MAX_RATIO_TERM = 2000  # the filter's length grows with the terms of the ratio
RATIO_TOLERANCE = Fraction(1, 1000)
ZERO_CROSSINGS, ROLLOFF = 6, 0.99  # the filter's shape: torchaudio's defaults


def find_resampling_ratio(from_hz: int, to_hz: int) -> Fraction:
    """Return `to_hz / from_hz`, or the closest ratio whose terms are at most 2000.

    Raise RecordingError if that is off by more than 0.1 %.
    """
    exact = Fraction(to_hz, from_hz)
    if max(exact.numerator, exact.denominator) <= MAX_RATIO_TERM:
        return exact
    # limit_denominator bounds the lower term, so apply it to the fraction below 1, where that is the larger term.
    near = min(exact, 1 / exact).limit_denominator(MAX_RATIO_TERM)
    if near and exact > 1:
        near = 1 / near
    if abs(near / exact - 1) > RATIO_TOLERANCE:
        raise RecordingError(f"a rate of {from_hz} Hz can't be resampled to {to_hz} Hz within 0.1 %")
    return near


def compute_resampled_length(positions: int, ratio: Fraction) -> int:
    """Return the number of values after resampling: `positions · ratio`, rounded up."""
    return math.ceil(positions * ratio)


def compute_context(ratio: Fraction) -> int:
    """Return how many values on either side of a group of `ratio.denominator` values affect the resampled group.

    The filter is a Hann-windowed sinc that ends at its sixth zero crossing and passes 99 % of the narrower band:
    `ceil(6 · d / (0.99 · min(n, d)))` for a ratio of n / d in lowest terms. Source: `width` in torchaudio's
    `functional/functional.py`, `_get_sinc_resample_kernel`, after https://ccrma.stanford.edu/~jos/resample/.
    """
    new, old = ratio.numerator, ratio.denominator
    return math.ceil(ZERO_CROSSINGS * old / (min(new, old) * ROLLOFF))


def resample(read: Callable[[Waveform], int], ratio: Fraction, block: int) -> Iterator[Waveform]:
    """Yield the audio from `read` at `ratio` times its rate, in blocks of about `block` input values.

    `read` fills an array and returns the number of values it wrote, which is less than its size only at the end. For
    audio in ±1, the blocks together are within 1e-6 of the result of `torchaudio.functional.resample`. Their total
    length is `compute_resampled_length`; torchaudio rounds to float32 first, which changes lengths above 65,536 by a
    few values.
    """
    # Imported here, so that decoding at the model's rate doesn't wait for torch.
    import torch
    from torchaudio.transforms import Resample

    # In float32, this is the filter of torchaudio.functional.resample, computed only once.
    transform = Resample(
        ratio.denominator, ratio.numerator, lowpass_filter_width=ZERO_CROSSINGS, rolloff=ROLLOFF, dtype=torch.float32
    )
    # Blocks start at multiples of `ratio.denominator` values, one period of the two rates, so that their results line
    # up with those of the whole recording. The context before a block is a multiple too, so that its result can be cut
    # off.
    period, after = ratio.denominator, compute_context(ratio)
    before = period * -(-after // period)
    step = period * max(1, -(-block // period))
    buffer = np.zeros(before + step + after, np.float32)
    filled = before  # silence before the first block
    skip, size = int(before * ratio), int(step * ratio)
    positions = yielded = 0
    while True:
        wanted = len(buffer) - filled
        count = read(buffer[filled:])
        buffer[filled + count :] = 0
        positions += count
        out: Waveform = transform(torch.from_numpy(buffer)).numpy()[skip : skip + size]
        if count < wanted:
            out = out[: compute_resampled_length(positions, ratio) - yielded]
        yield out
        yielded += len(out)
        if count < wanted and yielded == compute_resampled_length(positions, ratio):
            return
        filled = before + after
        buffer[:filled] = buffer[step:]
