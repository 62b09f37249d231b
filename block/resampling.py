"""Bring audio to the model's rate, a block at a time, with the values that `torchaudio.functional.resample` gives."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from fractions import Fraction

import numpy as np

from block.recording import RecordingError, Waveform

MAX_RATIO_TERM = 2000  # the resampling filter's length grows with the terms of the rate ratio
RATIO_TOLERANCE = Fraction(1, 1000)
ZERO_CROSSINGS, ROLLOFF = 6, 0.99  # the resampling filter's shape: torchaudio's defaults


def find_resampling_ratio(from_hz: int, to_hz: int) -> Fraction:
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


def compute_resampled_length(positions: int, ratio: Fraction) -> int:
    """How many values at the new rate `positions` values give: `positions · ratio`, rounded up."""
    return math.ceil(positions * ratio)


def compute_context(ratio: Fraction) -> int:
    """How many values before and after a group of `ratio.denominator` values the resampled group depends on.

    The filter is a sinc under a Hann window that ends at its sixth zero crossing, with 99 % of the lower of the two
    bands: `ceil(6 · d / (0.99 · min(n, d)))` for a ratio of n / d in lowest terms. Source: `width` in torchaudio's
    `functional/functional.py`, `_get_sinc_resample_kernel`, after https://ccrma.stanford.edu/~jos/resample/.
    """
    new, old = ratio.numerator, ratio.denominator
    return math.ceil(ZERO_CROSSINGS * old / (min(new, old) * ROLLOFF))


def resample(read: Callable[[Waveform], int], ratio: Fraction, block: int) -> Iterator[Waveform]:
    """What `read` gives, `ratio` values for each of its values, `block` of these or a little more at a time.

    `read` fills an array from its start and returns how many values there were, fewer than asked for at the end alone.
    The blocks, one after another, are within 1e-6 of what `torchaudio.functional.resample` makes of a whole in ±1.
    Their length is `compute_resampled_length`; torchaudio rounds in float32 first, which moves it by a value or a few
    where there are more than 65,536.
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
    period, after = ratio.denominator, compute_context(ratio)
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
            out = out[: compute_resampled_length(positions, ratio) - given]
        yield out
        given += len(out)
        if got < wanted and given == compute_resampled_length(positions, ratio):
            return
        kept = before + after
        held[:kept] = held[step:]
