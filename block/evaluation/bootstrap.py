"""Bootstrap intervals: how much a metric would vary if other clips of the same kind had been annotated.

Each draw takes as many clips as there are, with replacement, and is described by its weights: how often it took each
clip. Intervals are percentile intervals: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.

Sampled values have the shape `(1 + draws, …)`: first the metric of the clips themselves, then that of each draw.
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
COVERAGE = 0.95
MOST_WEIGHTS = 1 << 22  # in memory at once: 32 MB


@dataclass(frozen=True)
class Estimate:
    """A metric and its 95 % interval `low`…`high`; NaN for what is not defined."""

    value: float
    low: float = math.nan
    high: float = math.nan

    @property
    def is_defined(self) -> bool:
        return not math.isnan(self.value)


@dataclass(frozen=True)
class Resamples:
    """`count` draws of `clips` clips out of `clips`. The same `seed` always gives the same draws."""

    clips: int
    count: int = 1000
    seed: int = 0

    def weights(self) -> Iterator[Floats]:
        """Yield how often each draw took each clip, several draws at a time. Shape: `(draws, clips)`."""
        # Every metric needs them: draw them only once if they fit into memory.
        fits = self.clips * self.count <= 2 * MOST_WEIGHTS
        yield from _draw_all(self) if fits else _draw(self)

    def apply(self, statistic: Callable[[Floats], Floats]) -> Floats:
        """Return the sampled values of `statistic`, which maps weights of shape `(draws, clips)` to `(draws, …)`."""
        return np.concatenate([statistic(np.ones((1, self.clips))), *map(statistic, self.weights())])


def _draw(resamples: Resamples) -> Iterator[Floats]:
    random = np.random.default_rng(resamples.seed)
    even = np.full(resamples.clips, 1 / resamples.clips)
    step = max(1, MOST_WEIGHTS // resamples.clips)
    for start in range(0, resamples.count, step):
        draws = min(step, resamples.count - start)
        yield random.multinomial(resamples.clips, even, size=draws).astype(np.float64)


@functools.lru_cache(maxsize=1)
def _draw_all(resamples: Resamples) -> tuple[Floats, ...]:
    return tuple(_draw(resamples))


def estimate(values: Floats) -> Estimate:
    """Return the estimate of sampled values, shape `(1 + draws,)`. NaN draws don't count.

    A draw may miss all clips with a label. If the metric is defined in fewer than half of the draws, those are not
    representative, and there is no interval.
    """
    value, draws = float(values[0]), values[1:]
    defined = draws[~np.isnan(draws)]
    if math.isnan(value) or len(defined) * 2 < len(draws) or not len(defined):
        return Estimate(value)
    tail = (1 - COVERAGE) / 2
    # "nearest", because an infinite d′ can't be interpolated with its neighbor.
    low, high = np.quantile(defined, [tail, 1 - tail], method="nearest")
    return Estimate(value, float(low), float(high))


def mean_over_labels(values: Floats) -> Floats:
    """Return the mean of the values that aren't NaN; NaN if all are. Shape: `(labels, …)` in, `(…)` out."""
    defined = ~np.isnan(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(defined, values, 0).sum(axis=0) / defined.sum(axis=0))


@dataclass(frozen=True, eq=False)
class LabelMetric:
    """Sampled values of one metric: of each label, and their mean.

    `values` has the shape `(1 + draws, labels)`, `mean_values` has the shape `(1 + draws,)`.
    """

    values: Floats
    mean_values: Floats

    @functools.cached_property
    def labels(self) -> tuple[Estimate, ...]:
        return tuple(estimate(column) for column in self.values.T)

    @functools.cached_property
    def mean(self) -> Estimate:
        return estimate(self.mean_values)
