"""Measure how well scores rank clips with a label above clips without it: AP, ROC AUC and d′. No thresholds.

The values equal scikit-learn's, but are computed for many weightings of the clips at once, as the bootstrap needs.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

from block.evaluation.bootstrap import Bools, Floats


def d_prime(auc: float) -> float:
    """Return `√2·Φ⁻¹(AUC)`, the distance between two normal distributions of width 1 with this AUC; ±∞ at 1 and 0.

    Defined as for AudioSet: Gemmeke et al., Audio Set, ICASSP 2017; Hershey et al., ICASSP 2017.
    """
    if math.isnan(auc):
        return math.nan
    if not 0 < auc < 1:
        return math.inf if auc >= 1 else -math.inf
    return math.sqrt(2) * NormalDist().inv_cdf(auc)


class ClipRanking:
    """One label's clips by falling score, from arrays of shape `(clips,)`. `scores` has the distinct scores."""

    def __init__(self, present: Bools, scores: Floats) -> None:
        self._order = np.argsort(-scores, kind="stable")
        ordered = scores[self._order]
        self._present = present[self._order].astype(np.float64)
        # No threshold separates clips with equal scores, so count only at the last of each group.
        self._ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
        self.scores = ordered[self._ends]

    def count(self, weights: Floats) -> tuple[Floats, Floats]:
        """Return how many clips with the label, and in all, reach each score, both of shape `(draws, scores)`."""
        ordered = weights[:, self._order]
        positives = np.cumsum(ordered * self._present, axis=1)[:, self._ends]
        return positives, np.cumsum(ordered, axis=1)[:, self._ends]

    def average_precision(self, weights: Floats) -> Floats:
        """Return the average precision, 0…1, under each weighting; NaN if no clip has the label.

        This is the mean of the precision at the score of each clip with the label:
        https://scikit-learn.org/stable/modules/generated/sklearn.metrics.average_precision_score.html.
        Shape: `(draws, clips)` in, `(draws,)` out.
        """
        positives, clips = self.count(weights)
        steps = np.diff(positives, axis=1, prepend=0.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            # Before the first clip with a weight, there is no positive either, so the step is 0.
            precision = np.where(clips > 0, positives / clips, 0.0)
            return np.asarray((steps * precision).sum(axis=1) / positives[:, -1])

    def roc_auc(self, weights: Floats) -> Floats:
        """Return the area under the ROC curve, 0…1, under each weighting; NaN if all clips have the label, or none.

        Shape: `(draws, clips)` in, `(draws,)` out.
        """
        positives, clips = self.count(weights)
        negatives = clips - positives
        before = np.concatenate((np.zeros((len(positives), 1)), positives[:, :-1]), axis=1)
        area = (np.diff(negatives, axis=1, prepend=0.0) * (positives + before) / 2).sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(area / (positives[:, -1] * negatives[:, -1]))
