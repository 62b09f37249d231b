"""Bootstrap intervals over clips: how far a figure would move had other clips of the same kind been annotated.

Clips are drawn with replacement, as many as there are; a draw is told by how often it took each clip, its weights.
The interval is the percentile one: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
COVERED = 0.95
CHUNK_VALUES = 1 << 22  # weights held at once: 32 MB


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % interval `low`…`high`; all NaN where the figure is not defined."""

    value: float
    low: float = math.nan
    high: float = math.nan

    @property
    def defined(self) -> bool:
        return not math.isnan(self.value)


@dataclass(frozen=True)
class Resamples:
    """`count` draws of `clips` clips out of `clips`; the same draws for the same `seed`, whoever asks."""

    clips: int
    count: int = 1000
    seed: int = 0

    def weights(self) -> Iterator[Floats]:
        """How often each draw took each clip, some draws at a time. Shape of each: `(draws, clips)`."""
        # Every figure asks for them: where they fit they are drawn once.
        small = self.clips * self.count <= 2 * CHUNK_VALUES
        yield from _kept(self) if small else _drawn(self)

    def of(self, statistic: Callable[[Floats], Floats]) -> Floats:
        """`statistic` of every draw: it maps weights, `(draws, clips)`, to `(draws, …)`; shape `(count, …)`."""
        return np.concatenate([statistic(weights) for weights in self.weights()])


def _drawn(resamples: Resamples) -> Iterator[Floats]:
    random = np.random.default_rng(resamples.seed)
    even = np.full(resamples.clips, 1 / resamples.clips)
    portion = max(1, CHUNK_VALUES // resamples.clips)
    for start in range(0, resamples.count, portion):
        draws = min(portion, resamples.count - start)
        yield random.multinomial(resamples.clips, even, size=draws).astype(np.float64)


@functools.lru_cache(maxsize=1)
def _kept(resamples: Resamples) -> tuple[Floats, ...]:
    return tuple(_drawn(resamples))


def estimate(value: float, replicates: Floats) -> Estimate:
    """`value` with the interval of its `replicates`, shape `(draws,)`. NaN replicates do not count.

    A draw may miss all clips with a label; where a figure is defined in fewer than half of the draws, an interval
    would speak for a lucky choice of them and is left out.
    """
    found = replicates[~np.isnan(replicates)]
    if math.isnan(value) or len(found) * 2 < len(replicates) or not len(found):
        return Estimate(value)
    tail = (1 - COVERED) / 2
    # An infinite d′ cannot be interpolated with a neighbour: take the replicates themselves.
    low, high = np.quantile(found, [tail, 1 - tail], method="nearest")
    return Estimate(value, float(low), float(high))
