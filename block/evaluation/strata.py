"""Divide a label's scores into strata: to judge segments all over the range, and to estimate precision from verdicts.

People judge some segments, and not at random: often the most certain ones. So each verdict stands for the segments of
its stratum, a part of the range of scores. This assumes that within a stratum, those with a verdict are like the rest.
Segments in strata without a verdict may be anything, and the interval says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from block.evaluation.bootstrap import COVERAGE, Bools, Estimate, Floats

STRATA = 5
MIN_VERDICTS = STRATA  # one for each
WIDTH = NormalDist().inv_cdf((1 + COVERAGE) / 2)  # of the interval, in standard deviations to each side


@dataclass(frozen=True)
class JudgedPrecision:
    """The precision of segments, from `judged` verdicts on some of them.

    `unjudged`, 0…1, is the share of segments in strata without a verdict. Without any verdict, the estimate is not
    defined.
    """

    estimate: Estimate
    judged: int
    unjudged: float

    @property
    def is_enough(self) -> bool:
        """True if there are enough verdicts to say anything: half of the segments are in strata with one."""
        return self.judged >= MIN_VERDICTS and self.unjudged <= 0.5


def find_strata(scores: Floats, low: float, high: float) -> npt.NDArray[np.intp]:
    """Return the stratum of each score, 0…STRATA - 1: equal parts of `low`…`high`. Scores beyond are in the outermost.

    Shape: `(segments,)` in and out.
    """
    share = (scores - low) / (high - low) if high > low else np.zeros(len(scores))
    return np.clip(share * STRATA, 0, STRATA - 1).astype(np.intp)


def weigh_verdicts(scores: Floats, judged: Floats) -> Floats:
    """Return the share of segments that each verdict stands for: those of its stratum, divided by its verdicts.

    `scores`, shape `(segments,)`, are those of all segments, `judged`, shape `(verdicts,)`, those of segments with a
    verdict. The sum is 1, less if a stratum has segments and no verdict.
    """
    if not len(scores):
        return np.zeros(len(judged))
    low, high = float(scores.min()), float(scores.max())
    strata = find_strata(judged, low, high)
    segments = np.bincount(find_strata(scores, low, high), minlength=STRATA)
    verdicts = np.bincount(strata, minlength=STRATA)
    return np.asarray(segments[strata] / verdicts[strata] / len(scores))


def estimate_precision(scores: Floats, judged: Floats, is_confirmed: Bools) -> JudgedPrecision:
    """Estimate the precision of segments from verdicts on some of them.

    Arrays are as in `weigh_verdicts`; `is_confirmed`, shape `(verdicts,)`, says which verdicts confirmed the label. The
    value is the weighted share of confirmed ones, its interval that of Wilson for the effective number of verdicts
    (Kish 1965, Survey Sampling: (Σw)² / Σw²). Segments in strata without a verdict widen it, as if all of them were
    wrong at its low end and right at its high end.
    """
    weights = weigh_verdicts(scores, judged)
    total = float(weights.sum())
    estimate = Estimate(math.nan)
    if total:
        value = float(weights[is_confirmed].sum()) / total
        low, high = compute_interval(value, total**2 / float((weights**2).sum()))
        estimate = Estimate(value, low * total, high * total + max(0.0, 1 - total))
    return JudgedPrecision(estimate, len(judged), max(0.0, 1 - total))


def compute_interval(share: float, trials: float) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a `share` of successes, 0…1, in `trials`, which need not be whole.

    Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953.
    """
    squared = WIDTH**2 / trials
    center = share + squared / 2
    spread = WIDTH * math.sqrt(share * (1 - share) / trials + squared / trials / 4)
    return max(0.0, (center - spread) / (1 + squared)), min(1.0, (center + spread) / (1 + squared))


def sample_range(scores: Floats) -> npt.NDArray[np.intp]:
    """Return the order in which to judge segments so that verdicts are spread over the range of their scores.

    The first k are divided evenly among the strata, until one has no more, and spread over the scores of each. Shape:
    `(segments,)` in and out: indices of `scores`.
    """
    if not len(scores):
        return np.zeros(0, dtype=np.intp)
    strata = find_strata(scores, float(scores.min()), float(scores.max()))
    turns = np.empty((2, len(scores)), dtype=np.intp)
    for place, stratum in enumerate(_spread(STRATA)):
        members = np.flatnonzero(strata == stratum)
        members = members[np.argsort(scores[members], kind="stable")]
        turns[0, members[_spread(len(members))]] = np.arange(len(members))
        turns[1, members] = place
    return np.lexsort(turns[::-1])


def _spread(count: int) -> npt.NDArray[np.intp]:
    """Return 0…`count` - 1 in an order of which every beginning is spread evenly: van der Corput's, base 2."""
    order = np.zeros(1, dtype=np.intp)
    while len(order) < count:
        order = np.concatenate((2 * order, 2 * order + 1))
    return order[order < count]
