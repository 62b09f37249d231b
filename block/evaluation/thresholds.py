"""Choose a label's threshold on some clips and test it on others; translate thresholds between score functions.

Every function handles one label and its scores, shape `(clips,)`. A score that reaches the threshold is a detection.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from block.evaluation.bootstrap import Bools, Floats, Resamples
from block.evaluation.ranking import ClipRanking
from block.evaluation.rates import LabelCounts, Rates, compute_rates
from block.formatting import count
from block.settings import SettingsError

FOLDS = 5
MIN_POSITIVES = 10  # 2 per fold; with fewer, single clips would decide


@dataclass(frozen=True)
class Goal:
    """What a threshold is chosen for: the best F1, or the best recall with at least this precision."""

    kind: Literal["f1", "precision"]
    precision: float = 0.0

    def __str__(self) -> str:
        return "the best F1" if self.kind == "f1" else f"the best recall at a precision of at least {self.precision:g}"


def read_goal(text: str) -> Goal:
    """Read `f1` or `precision=0.9`. Raise SettingsError for anything else."""
    if text == "f1":
        return Goal("f1")
    kind, equals, number = text.partition("=")
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if kind != "precision" or not equals or not 0 < value <= 1:
        raise SettingsError(f"got {text!r}, expected f1, or precision= and a number above 0, up to 1")
    return Goal("precision", value)


@dataclass(frozen=True)
class Fit:
    """A threshold chosen for a label; None, with a `reason`, if the current one stays.

    `expected` has the rates on held-out clips: each fold's clips with the threshold that was chosen without them.
    `held_out`, shape `(clips,)` or `(cells,)`, is True for those in which the label was detected that way.
    """

    threshold: float | None
    reason: str = ""
    expected: Rates | None = None
    held_out: Bools | None = None


def fit_threshold(
    present: Bools,
    scores: Floats,
    goal: Goal,
    resamples: Resamples,
    weights: Floats | None = None,
    item: str = "clip",
) -> Fit:
    """Choose a threshold by stratified cross-validation with the seed of `resamples`.

    Split the clips into five folds with the same share of the label in each. Five times, choose a threshold on four of
    them and test it on the fifth. Return the median of the five thresholds. `weights`, shape `(clips,)`, says how much
    each clip counts, if not 1; `item` is what the reason calls a clip.
    """
    positives, negatives = int(present.sum()), int((~present).sum())
    if positives < MIN_POSITIVES:
        return Fit(None, f"{count(positives, item)} with it; at least {MIN_POSITIVES} are needed")
    if negatives < MIN_POSITIVES:
        return Fit(None, f"{count(negatives, item)} without it; at least {MIN_POSITIVES} are needed")
    from sklearn.model_selection import StratifiedKFold

    weights = np.ones(len(present)) if weights is None else weights
    annotated = weights * present
    detected = np.zeros(len(present), dtype=bool)
    chosen: list[float] = []
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=resamples.seed)
    for others, held_out in folds.split(scores[:, None], present):
        threshold = choose_threshold(present[others], scores[others], goal, weights[others], annotated[others].sum())
        if threshold is None:
            return Fit(None, f"no threshold reaches a precision of {goal.precision:g} in every fold")
        chosen.append(threshold)
        detected[held_out] = scores[held_out] >= threshold
    counts = LabelCounts(*(one[:, None] for one in (annotated * detected, weights * detected, annotated)))
    expected = compute_rates(counts, resamples).labels[0]
    return Fit(shorten_threshold(float(np.median(chosen)), scores), "", expected, detected)


def choose_threshold(
    present: Bools, scores: Floats, goal: Goal, weights: Floats | None = None, positives: float | None = None
) -> float | None:
    """Return the best threshold for `goal` on these clips; None if none reaches the goal's precision.

    `weights`, shape `(clips,)`, says how much each clip counts, if not 1. `positives` is what all with the label count,
    if some have no score. The threshold lies halfway between the lowest score that reaches it and the next lower one.
    Of equally good thresholds, return the highest.
    """
    ranking = ClipRanking(present, scores)
    counts = ranking.count(np.ones((1, len(scores))) if weights is None else weights[None])
    correct, detected = (one[0] for one in counts)
    total = present.sum() if positives is None else positives
    if goal.kind == "f1":
        values = 2 * correct / (detected + total)
    else:
        # Cuts with the same recall are sorted by falling precision, and argmax takes the first.
        values = np.where((correct / detected >= goal.precision) & (correct > 0), correct / total, -1.0)
    cut = int(values.argmax())
    if values[cut] < 0:
        return None
    return float(np.append(ranking.scores, 0.0)[cut : cut + 2].mean())


def shorten_threshold(threshold: float, scores: Floats) -> float:
    """Return `threshold` in 0…1 with the fewest digits, at least 2, that split `scores` alike and equal none."""
    above, below = scores[scores >= threshold], scores[scores < threshold]
    high = float(above.min()) if len(above) else math.inf
    low = float(below.max()) if len(below) else -math.inf
    for digits in range(2, 17):
        short = float(f"{threshold:.{digits}g}")
        if low < short < high and 0 <= short <= 1:
            return short
    return threshold


@dataclass(frozen=True)
class Translation:
    """A threshold on the scores of the other score function, on which `differ` of `windows` windows disagree.

    `reached` windows reach the original threshold. If none or all do, any threshold beyond the scores works, so the
    data don't determine it.
    """

    threshold: float
    reached: int
    differ: int
    windows: int

    @property
    def is_determined(self) -> bool:
        return 0 < self.reached < self.windows

    @property
    def note(self) -> str:
        """Return why the data don't determine the threshold; empty if they do."""
        if self.is_determined:
            return ""
        return f"arbitrary: {'every' if self.reached else 'no'} window reaches it"


def translate_threshold(reached: Bools, scores: Floats) -> Translation:
    """Return the threshold on `scores` that agrees with `reached` on the most windows. Shape: `(windows,)` for both.

    Of equally good thresholds, return the one in the widest gap between scores.
    """
    values, groups = np.unique(scores, return_inverse=True)
    wanted = np.bincount(groups, weights=reached, minlength=len(values))
    unwanted = np.bincount(groups, weights=~reached, minlength=len(values))
    # At cut c, the values from c on reach the threshold. Wanted windows below it and unwanted ones above it differ.
    differ = np.concatenate(([0.0], np.cumsum(wanted - unwanted))) + unwanted.sum()
    edges = np.concatenate(([0.0], values, [1.0]))
    gaps = np.diff(edges)
    # No threshold can be above a score of 1, and every window reaches a threshold of 0.
    possible = gaps > 0
    possible[0] = True
    best_cuts = np.flatnonzero((differ == differ[possible].min()) & possible)
    cut = int(best_cuts[gaps[best_cuts].argmax()])
    middle = (edges[cut] + edges[cut + 1]) / 2
    return Translation(shorten_threshold(float(middle), scores), int(reached.sum()), int(differ[cut]), len(scores))
