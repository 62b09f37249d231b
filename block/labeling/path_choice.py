"""Choose the fastest path that agrees well enough with the exact one, from windows that all paths computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from block import decisions, uncertainty
from block.decisions import Scores
from block.labeling.agreement import Tally
from block.labeling.audit import SHARE, Bools
from block.labels import LabelOfInterest
from block.score_store.records import Errors
from block.settings import DecisionSettings


@dataclass(frozen=True)
class Trial:
    """How one path did in the opening audit: `seconds` per window, and the share `near` of windows to recompute."""

    path: str
    tally: Tally
    seconds: float
    near: float

    def cost(self, exact_seconds: float) -> float:
        """Return the seconds per window by this path, including audits and recomputed windows."""
        return self.seconds + (SHARE + self.near) * exact_seconds


def choose_fastest(trials: Sequence[Trial], exact_seconds: float, min_agreement: float) -> Trial | None:
    """Return the cheapest path that may reach `min_agreement`, or None if none is cheaper than the exact one."""
    passed = [trial for trial in trials if trial.tally.upper_bound >= min_agreement]
    best = min(passed, key=lambda trial: trial.cost(exact_seconds), default=None)
    return best if best is not None and best.cost(exact_seconds) < exact_seconds else None


def find_settled(scores: Scores, labels: Sequence[LabelOfInterest], errors: Scores) -> Bools:
    """Return the windows whose own label could change if their scores were off by up to `errors`, shape `(windows,)`.

    Margins take care of these: the label of their cell is exact, whatever a faster path found.
    """
    return uncertainty.find_uncertain_cells(scores, np.ones(len(scores), dtype=bool), labels, errors)


@dataclass
class PathTrial:
    """One path in the opening audit: what it found in windows of which the exact scores are known, too.

    `exact` and `fast` are scores, shape `(windows, labels)`; `errors`, shape `(windows, 2)`, are how far these are
    apart, as in `Scored`. `seconds` is how long the path took.
    """

    exact: Scores
    fast: Scores
    errors: Errors
    seconds: float = 0.0

    def __add__(self, more: PathTrial) -> PathTrial:
        return PathTrial(
            np.concatenate([self.exact, more.exact]), np.concatenate([self.fast, more.fast]),
            np.concatenate([self.errors, more.errors]), self.seconds + more.seconds,
        )  # fmt: skip

    def find_settled(self, labels: Sequence[LabelOfInterest], function: int) -> Bools:
        """Return which windows margins would take care of, given the errors of the other windows.

        `function` is the index of the score function.
        """
        errors = self.errors[:, function].astype(np.float64)
        others = np.full(len(errors), errors.max(initial=0.0))
        if len(errors):
            others[errors.argmax()] = np.delete(errors, errors.argmax()).max(initial=0.0)
        return find_settled(self.fast, labels, others)

    def summarize(self, path: str, settings: DecisionSettings, function: int) -> Trial:
        """Return the results of the trial. Settled windows have the exact label."""
        exact, fast = (
            decisions.decide_windows(scores, settings.labels, settings.other_label)
            for scores in (self.exact, self.fast)
        )
        error = float(self.errors[:, function].max(initial=0.0))
        tally = Tally(largest_error=error)
        for one, found, settled in zip(exact, fast, self.find_settled(settings.labels, function), strict=True):
            tally = tally.add_window(one, one if settled else found, settings.other_label, 0.0)
        near = find_settled(self.fast, settings.labels, np.full(len(self.fast), error))
        return Trial(path, tally, self.seconds / len(self.fast), float(near.mean()))
