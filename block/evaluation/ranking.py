"""How well scores put the clips with a label before those without: AP, ROC AUC and d′, without any threshold.

The figures themselves are scikit-learn's; `Ranked` computes the same for many weightings of the clips at once, which
the bootstrap needs a thousand times.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np

from block.evaluation.bootstrap import Bools, Floats
from block.settings import SettingsError

INSTALL = "pip install -r locked/folder.txt"


def average_precision(truth: Bools, scores: Floats) -> float:
    """scikit-learn's average precision, 0…1, of scores of shape `(clips,)`; NaN without a clip that has the label.

    The mean of the precision over the clips with the label, each at its own score:
    https://scikit-learn.org/stable/modules/generated/sklearn.metrics.average_precision_score.html.
    """
    if not truth.any():
        return math.nan
    return float(_metrics().average_precision_score(truth, scores))


def roc_auc(truth: Bools, scores: Floats) -> float:
    """scikit-learn's area under the ROC curve, 0…1; NaN unless there are clips with the label and without."""
    if not truth.any() or truth.all():
        return math.nan
    return float(_metrics().roc_auc_score(truth, scores))


def d_prime(auc: float) -> float:
    """`√2·Φ⁻¹(AUC)`, the distance of two normal distributions of one width that have this AUC; ±∞ at 1 and 0.

    AudioSet's reading of it: Gemmeke et al., Audio Set, ICASSP 2017, and Hershey et al., the same year.
    """
    if math.isnan(auc):
        return math.nan
    if not 0 < auc < 1:
        return math.inf if auc >= 1 else -math.inf
    return math.sqrt(2) * NormalDist().inv_cdf(auc)


def d_primes(aucs: Floats) -> Floats:
    """`d_prime` of each."""
    return np.array([d_prime(float(auc)) for auc in aucs.ravel()], dtype=np.float64).reshape(aucs.shape)


class Ranked:
    """One label's clips by falling score, ready to be weighed. `truth` and `scores` have the shape `(clips,)`."""

    def __init__(self, truth: Bools, scores: Floats) -> None:
        self._order = np.argsort(-scores, kind="stable")
        ordered = scores[self._order]
        self._truth = truth[self._order].astype(np.float64)
        # Clips of one score cannot be told apart: what counts is the last of each group.
        self._ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))

    def _counts(self, weights: Floats) -> tuple[Floats, Floats]:
        """Clips with the label, and all clips, down to each distinct score; shape `(draws, scores)` for both."""
        ordered = weights[:, self._order]
        found = np.cumsum(ordered * self._truth, axis=1)[:, self._ends]
        return found, np.cumsum(ordered, axis=1)[:, self._ends]

    def average_precision(self, weights: Floats) -> Floats:
        """Average precision under each weighting. Shape: `(draws, clips)` in, `(draws,)` out; NaN without the label."""
        found, all_clips = self._counts(weights)
        steps = np.diff(found, axis=1, prepend=0.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            # Where nothing was kept yet nothing was found either, and the step is 0.
            precision = np.where(all_clips > 0, found / all_clips, 0.0)
            return np.asarray((steps * precision).sum(axis=1) / found[:, -1])

    def roc_auc(self, weights: Floats) -> Floats:
        """ROC AUC under each weighting. Shape: `(draws, clips)` in, `(draws,)` out; NaN where it has no meaning."""
        found, all_clips = self._counts(weights)
        wrong = all_clips - found
        before = np.concatenate((np.zeros((len(found), 1)), found[:, :-1]), axis=1)
        area = (np.diff(wrong, axis=1, prepend=0.0) * (found + before) / 2).sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(area / (found[:, -1] * wrong[:, -1]))


def _metrics() -> Any:
    require()
    from sklearn import metrics

    return metrics


def require() -> None:
    """Raise SettingsError if scikit-learn or Jinja is not installed."""
    try:
        import jinja2  # noqa: F401
        import sklearn.metrics
        import sklearn.model_selection  # noqa: F401
    except (ImportError, OSError) as error:
        raise SettingsError(f"evaluate needs scikit-learn and Jinja ({error}): {INSTALL}") from None
