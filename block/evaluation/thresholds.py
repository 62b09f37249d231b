"""A threshold for one label, chosen on some clips and judged on others; and carried from one score to another.

All functions are about one label and its scores, shape `(clips,)`; a clip is kept where its score reaches the
threshold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from block.evaluation.bootstrap import Bools, Floats, Resamples
from block.evaluation.ranking import require
from block.evaluation.rates import Rates, whole
from block.settings import SettingsError

FOLDS = 5
MIN_POSITIVES = 10  # two a fold; with fewer a threshold would follow single clips


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
    """A threshold chosen for a label; None, with the `reason`, where it had to be left alone.

    `expected` is what it gives on clips that it was not chosen on: each fold's clips under the threshold chosen
    without them.
    """

    threshold: float | None
    reason: str = ""
    expected: Rates | None = None
    held_out: Bools | None = None


def fit(truth: Bools, scores: Floats, goal: Goal, resamples: Resamples) -> Fit:
    """Choose a threshold by stratified cross-validation, seeded as `resamples` are.

    The clips are dealt into five folds with the same share of the label in each. A threshold is chosen on four of
    them and tried on the fifth, five times; the median of the five is returned.
    """
    require()
    from sklearn.model_selection import StratifiedKFold

    positives, negatives = int(truth.sum()), int((~truth).sum())
    if positives < MIN_POSITIVES:
        return Fit(None, f"{_clips(positives)} with it; at least {MIN_POSITIVES} are needed")
    if negatives < MIN_POSITIVES:
        return Fit(None, f"{_clips(negatives)} without it; at least {MIN_POSITIVES} are needed")
    kept = np.zeros(len(truth), dtype=bool)
    chosen: list[float] = []
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=resamples.seed)
    for others, held_out in folds.split(scores[:, None], truth):
        threshold = best(truth[others], scores[others], goal)
        if threshold is None:
            return Fit(None, f"no threshold reaches a precision of {goal.precision:g} in every part of the clips")
        chosen.append(threshold)
        kept[held_out] = scores[held_out] >= threshold
    expected = whole(kept[:, None], truth[:, None], resamples).labels[0]
    return Fit(between(float(np.median(chosen)), scores), "", expected, kept)


def _clips(count: int) -> str:
    return f"{count or 'no'} clip{'s' * (count != 1)}"


def best(truth: Bools, scores: Floats, goal: Goal) -> float | None:
    """The threshold that serves `goal` best on these clips; None if none reaches the precision asked for.

    It lies half way between the lowest score that it keeps and the next below; of equals the highest is taken.
    """
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    right = np.cumsum(truth[order])[ends]
    found = ends + 1
    if goal.kind == "f1":
        values = 2 * right / (found + truth.sum())
    else:
        # Recall rises with every clip that is right: of cuts with the same, the one that keeps the fewest is first.
        values = np.where((right / found >= goal.precision) & (right > 0), right / truth.sum(), -1.0)
    cut = int(values.argmax())
    if values[cut] < 0:
        return None
    below = ordered[ends[cut] + 1] if ends[cut] + 1 < len(ordered) else 0.0
    return float((ordered[ends[cut]] + below) / 2)


def between(threshold: float, scores: Floats) -> float:
    """`threshold` in as few digits, two at least, as keep the same of `scores` and meet none of them; in 0…1."""
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
    """A threshold on other scores that keeps what one on the first kept, but for `differ` of `windows` windows.

    `kept` reached the first; where none or all of them did, every threshold beyond the scores does as well, and the
    data do not determine it.
    """

    threshold: float
    kept: int
    differ: int
    windows: int

    @property
    def determined(self) -> bool:
        return 0 < self.kept < self.windows

    @property
    def note(self) -> str:
        """Why the data do not determine it; empty where they do."""
        if self.determined:
            return ""
        return f"{'every' if self.kept else 'no'} window reaches it: not determined"


def translate(kept: Bools, scores: Floats) -> Translation:
    """The threshold on `scores` that agrees with `kept` on most windows. Shape: `(windows,)` for both.

    Where several agree alike, the one in the widest gap between scores is taken.
    """
    values, groups = np.unique(scores, return_inverse=True)
    wanted = np.bincount(groups, weights=kept, minlength=len(values))
    unwanted = np.bincount(groups, weights=~kept, minlength=len(values))
    # Cut c keeps the values from c on: what it leaves of the wanted and keeps of the unwanted differs.
    left = np.concatenate(([0.0], np.cumsum(wanted)))
    taken = unwanted.sum() - np.concatenate(([0.0], np.cumsum(unwanted)))
    differ = left + taken
    edges = np.concatenate(([0.0], values, [1.0]))
    gaps = np.diff(edges)
    # A threshold above a score of 1 there is not; one of 0 keeps everything.
    possible = gaps > 0
    possible[0] = True
    best_cuts = np.flatnonzero((differ == differ[possible].min()) & possible)
    cut = int(best_cuts[gaps[best_cuts].argmax()])
    middle = (edges[cut] + edges[cut + 1]) / 2
    return Translation(between(float(middle), scores), int(kept.sum()), int(differ[cut]), len(scores))
