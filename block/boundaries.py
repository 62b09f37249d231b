"""Find where the sound of a recording changes, and what to hear around a stretch between two changes.

Pure NumPy, with fixed memory per block of frames.

The level of the sound is measured in mel bands every 10 ms. Frames at which it changes most are candidates. Of all ways
to cut a recording at candidates, `find_boundaries` returns the one with the lowest cost, where a stretch costs

    length · ln(SPREAD_DB² + mean variance of the levels over the bands) + PENALTY_S · (1 + SHORT_S / length)

with lengths in seconds. Up to constants, the first part is the code length of normal distributions with one variance,
so that a cut pays off where both sides vary less than the whole: a pause within barking gains little, the same change
between two sounds of several seconds gains much. It needs no model of the background, and no threshold in decibels:
steady noise is one stretch, however loud. The best cuts are found by dynamic programming (optimal partitioning:
Jackson et al. 2005, https://doi.org/10.1109/LSP.2001.838216).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from block.recording import Waveform, Window
from block.spectrogram import build_mel_bands

# Of the boundaries, and of what is heard around a stretch: change it with either, because stored scores depend on it.
VERSION = 2

FRAME_S, HOP_S = 0.025, 0.01
BANDS, LOW_HZ = 24, 50.0
FLOOR_DBFS = -90.0  # below this, levels count as digital silence
STEPS_PER_DB = 16  # levels are whole numbers, so that sums don't depend on their order
NEAR_FRAMES, FAR_FRAMES = 5, 20  # a change is measured between the means of so many frames on both sides
LEAST_CHANGE_DB = 2.0  # root mean square over the bands
APART_FRAMES = 5  # candidates are farther apart; so no stretch is shorter than 50 ms
BLOCK_FRAMES = 3000

SPREAD_DB = 2.0
PENALTY_S, SHORT_S = 0.6, 0.8
LONGEST_S = 60.0  # a stretch ends here at the latest, if there is a candidate; the model's input is shorter anyway

AROUND_S, QUIETER_DB = 2.0, 3.0  # a shorter stretch is also heard with what is quieter around it

Levels = npt.NDArray[np.int64]


def find_boundaries(waveform: Waveform, rate_hz: int) -> list[int]:
    """Return the positions, in order, where `waveform` is cut: none for silence, steady noise, or less than 0.1 s.

    `waveform` is mono in ±1, shape `(values,)`. Positions are multiples of 10 ms, at least 50 ms apart and that far
    from both ends.
    """
    hop = round(HOP_S * rate_hz)
    frames = len(waveform) // hop + 1
    places, sums = _collect_candidates(waveform, rate_hz, frames)
    return [int(place) * hop for place in _choose_cuts(places, sums)]


def add_quieter(stretches: Sequence[Window], levels_dbfs: Sequence[float], at: int, length: int) -> Window:
    """Return stretch number `at`, and if it is shorter than `length`, what is quieter around it.

    The result has up to `length` values, half of the added ones on each side if there are enough. It ends where the
    first stretch begins that is less than `QUIETER_DB` quieter than this one, so it adds no sound that could be taken
    for this one. `stretches` tile the recording, in order, and `levels_dbfs` are their RMS levels.
    """
    own, limit = stretches[at], levels_dbfs[at] - QUIETER_DB
    missing = max(0, length - own.length)
    first = last = at
    while first > 0 and levels_dbfs[first - 1] <= limit and own.start - stretches[first].start < missing:
        first -= 1
    while last + 1 < len(stretches) and levels_dbfs[last + 1] <= limit and stretches[last].end - own.end < missing:
        last += 1
    before = min(own.start - stretches[first].start, missing // 2)
    after = min(stretches[last].end - own.end, missing - before)
    before = min(own.start - stretches[first].start, missing - after)
    return Window(own.start - before, own.end + after)


def _collect_candidates(waveform: Waveform, rate_hz: int, frames: int) -> tuple[npt.NDArray[np.int64], Levels]:
    """Return the candidates with both ends, as frames, and the sums up to there of levels and of their squares.

    Shape: `(candidates,)` and `(candidates, 2, bands)`.
    """
    margin = FAR_FRAMES + APART_FRAMES
    places, sums = [np.zeros(1, np.int64)], [np.zeros((1, 2, BANDS), np.int64)]
    total = np.zeros((2, BANDS), np.int64)
    for start in range(0, frames, BLOCK_FRAMES):
        end = min(start + BLOCK_FRAMES, frames)
        first, last = max(0, start - margin), min(frames, end + margin)
        levels = _measure_levels(waveform, rate_hz, first, last)
        found = first + _find_changes(levels)
        found = found[(found >= start) & (found < end) & (found > APART_FRAMES) & (found < frames - APART_FRAMES)]
        own = levels[start - first : end - first]
        running = total + np.stack([own, own * own], axis=1).cumsum(axis=0)
        places.append(found)
        # The sum up to a frame leaves that frame out.
        sums.append(np.concatenate([total[None], running])[found - start])
        total = running[-1]
    return np.concatenate([*places, [frames]]), np.concatenate([*sums, total[None]])


def _measure_levels(waveform: Waveform, rate_hz: int, first: int, last: int) -> Levels:
    """Return the levels of frames `first` to `last`, in 1/16 dB. Shape: `(frames, bands)`.

    A frame lies around its position; beyond the ends there is silence.
    """
    hop, size = round(HOP_S * rate_hz), round(FRAME_S * rate_hz)
    start, end = first * hop - size // 2, (last - 1) * hop + size - size // 2
    part = np.zeros(end - start)
    inside = waveform[max(0, start) : end]
    part[max(0, -start) :][: len(inside)] = inside
    window = np.hanning(size)
    fft = 1 << (size - 1).bit_length()
    spectra = np.fft.rfft(np.lib.stride_tricks.sliding_window_view(part, size)[::hop] * window, fft)
    power = np.square(np.abs(spectra)) @ build_mel_bands(fft, rate_hz, LOW_HZ, BANDS).T / (window.sum() / 2) ** 2
    decibels = 10 * np.log10(power + 10 ** (FLOOR_DBFS / 10))
    return np.asarray(np.rint(STEPS_PER_DB * decibels), np.int64)


def _find_changes(levels: Levels) -> npt.NDArray[np.int64]:
    """Return the frames where the levels change most, more than `APART_FRAMES` apart."""
    frames = len(levels)
    sums = np.concatenate([np.zeros((1, BANDS), np.int64), levels.cumsum(axis=0)])
    at = np.arange(1, frames)
    change = np.full(frames, -1.0)
    for span in (NEAR_FRAMES, FAR_FRAMES):
        before, after = np.maximum(at - span, 0), np.minimum(at + span, frames)
        means = (sums[after] - sums[at]) / (after - at)[:, None] - (sums[at] - sums[before]) / (at - before)[:, None]
        change[1:] = np.maximum(change[1:], np.sqrt(np.square(means).mean(axis=1)))
    padded = np.pad(change, APART_FRAMES, constant_values=-1.0)
    around = np.lib.stride_tricks.sliding_window_view(padded, APART_FRAMES)
    # The first of equal changes counts.
    is_peak = (change > around[:frames].max(axis=1)) & (change >= around[APART_FRAMES + 1 :].max(axis=1))
    return np.flatnonzero(is_peak & (change >= LEAST_CHANGE_DB * STEPS_PER_DB))


def _choose_cuts(places: npt.NDArray[np.int64], sums: Levels) -> list[int]:
    """Return the candidates at which to cut, without both ends; see `_collect_candidates` for the shapes."""
    costs = np.zeros(len(places))
    previous = np.zeros(len(places), np.int64)
    longest = round(LONGEST_S / HOP_S)
    first = 0
    for at in range(1, len(places)):
        while first < at - 1 and places[at] - places[first] > longest:
            first += 1
        lengths = places[at] - places[first:at]
        means, squares = np.moveaxis((sums[at] - sums[first:at]) / lengths[:, None, None] / STEPS_PER_DB, 1, 0)
        variances = np.maximum(squares / STEPS_PER_DB - means**2, 0).mean(axis=1)
        seconds = lengths * HOP_S
        total = costs[first:at] + seconds * np.log(SPREAD_DB**2 + variances)
        total += PENALTY_S * (1 + SHORT_S / seconds)
        best = int(total.argmin())
        costs[at], previous[at] = total[best], first + best
    cuts, at = [], len(places) - 1
    while (at := int(previous[at])) > 0:
        cuts.append(int(places[at]))
    return cuts[::-1]
