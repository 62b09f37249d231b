"""A threshold for one label, chosen on some clips and judged on others; and carried from one score to another.

All functions are about one label and its scores, shape `(clips,)`; it is detected where a score reaches the threshold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from block.evaluation.bootstrap import Bools, Floats, Resamples
from block.evaluation.ranking import ClipRanking
from block.evaluation.rates import Rates, compute_clip_rates
from block.settings import SettingsError

FOLDS = 5
MIN_POSITIVES = 10  # two a fold; with fewer, single clips would decide


@dataclass(frozen=True)
class Goal:
    """What a threshold is chosen for: the best F1, or the best recall with at least this precision."""

    kind: Literal["f1", "precision"]
    precision: float = 0.0

    def __str__(self) -> str:
        return "the best F1" if self.kind == "f1" else f"the best recall at a precision of {self.precision:g} or more"


def read_goal(text: str) -> Goal:
    """Read `f1` or `precision=0.9`. Raises SettingsError for anything else."""
    if text == "f1":
        return Goal("f1")
    kind, equals, number = text.partition("=")
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if kind != "precision" or not equals or not 0 < value <= 1:
        raise SettingsError(f"got {text!r}, expected f1, or precision= with a number up to 1")
    return Goal("precision", value)


@dataclass(frozen=True)
class Fit:
    """A threshold chosen for a label; None, with the `reason`, where the one in use stays.

    `expected` are its rates on clips that it was not chosen on: each fold's clips under the threshold chosen without
    them. `held_out`, shape `(clips,)`, tells in which of these the label was detected.
    """

    threshold: float | None
    reason: str = ""
    expected: Rates | None = None
    held_out: Bools | None = None


def fit_threshold(present: Bools, scores: Floats, goal: Goal, resamples: Resamples) -> Fit:
    """Choose a threshold by stratified cross-validation, seeded as `resamples` are.

    The clips are split into five folds with the same share of the label in each. A threshold is chosen on four of
    them and tried on the fifth, five times; the median of the five is returned.
    """
    from sklearn.model_selection import StratifiedKFold

    positives, negatives = int(present.sum()), int((~present).sum())
    if positives < MIN_POSITIVES:
        return Fit(None, f"{_clips(positives)} with it; at least {MIN_POSITIVES} are needed")
    if negatives < MIN_POSITIVES:
        return Fit(None, f"{_clips(negatives)} without it; at least {MIN_POSITIVES} are needed")
    detected = np.zeros(len(present), dtype=bool)
    chosen: list[float] = []
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=resamples.seed)
    for others, held_out in folds.split(scores[:, None], present):
        threshold = choose_threshold(present[others], scores[others], goal)
        if threshold is None:
            return Fit(None, f"no threshold reaches a precision of {goal.precision:g} in every part of the clips")
        chosen.append(threshold)
        detected[held_out] = scores[held_out] >= threshold
    expected = compute_clip_rates(detected[:, None], present[:, None], resamples).labels[0]
    return Fit(shorten_threshold(float(np.median(chosen)), scores), "", expected, detected)


def _clips(count: int) -> str:
    return f"{count or 'no'} clip{'s' * (count != 1)}"


def choose_threshold(present: Bools, scores: Floats, goal: Goal) -> float | None:
    """Return the best threshold for `goal` on these clips; None if none reaches the precision asked for.

    It lies half way between the lowest score that reaches it and the next below; of equals the highest is taken.
    """
    ranking = ClipRanking(present, scores)
    correct, detected = (counts[0] for counts in ranking.count(np.ones((1, len(scores)))))
    if goal.kind == "f1":
        values = 2 * correct / (detected + present.sum())
    else:
        # Recall rises with every correct clip: of cuts with the same recall, the one with the fewest clips is first.
        values = np.where((correct / detected >= goal.precision) & (correct > 0), correct / present.sum(), -1.0)
    cut = int(values.argmax())
    if values[cut] < 0:
        return None
    return float(np.append(ranking.scores, 0.0)[cut : cut + 2].mean())


def shorten_threshold(threshold: float, scores: Floats) -> float:
    """Return `threshold` with as few digits, at least two, as separate `scores` the same and equal none; in 0…1."""
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
    """A threshold on other scores that the same windows reach, except for `differ` of `windows` windows.

    `reached` windows reached the first threshold. Where none or all did, every threshold beyond the scores does as
    well, and the data do not determine it.
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
        """Return why the data do not determine it; empty where they do."""
        if self.is_determined:
            return ""
        return f"{'every' if self.reached else 'no'} window reaches it: not determined"


def translate_threshold(reached: Bools, scores: Floats) -> Translation:
    """Return the threshold on `scores` that agrees with `reached` on most windows. Shape: `(windows,)` for both.

    Of several that agree on as many, the one in the widest gap between scores is taken.
    """
    values, groups = np.unique(scores, return_inverse=True)
    wanted = np.bincount(groups, weights=reached, minlength=len(values))
    unwanted = np.bincount(groups, weights=~reached, minlength=len(values))
    # At cut c the values from c on reach the threshold: the wanted below it differ, and the unwanted above it.
    differ = np.concatenate(([0.0], np.cumsum(wanted - unwanted))) + unwanted.sum()
    edges = np.concatenate(([0.0], values, [1.0]))
    gaps = np.diff(edges)
    # No threshold lies above a score of 1; every window reaches a threshold of 0.
    possible = gaps > 0
    possible[0] = True
    best_cuts = np.flatnonzero((differ == differ[possible].min()) & possible)
    cut = int(best_cuts[gaps[best_cuts].argmax()])
    middle = (edges[cut] + edges[cut + 1]) / 2
    return Translation(shorten_threshold(float(middle), scores), int(reached.sum()), int(differ[cut]), len(scores))
