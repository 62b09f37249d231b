"""Which windows sound alike: compare the embeddings that the model gave them, and learn from a person's verdicts.

Two windows are as similar as the cosine of the angle between their embeddings. With verdicts of both kinds, a window's
score is the log odds of a logistic regression or, without scikit-learn, how much closer it is to a window that is like
the sound than to one that isn't. Then a score above 0 means that it is more likely like the sound than not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from block.evaluation.strata import compute_interval

Vectors = npt.NDArray[np.float32]
Scores = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

REGULARIZATION = 10.0  # scikit-learn's C
SHARPNESS = 10.0  # log odds for a difference of 1 between similarities, where no regression gives them


@dataclass(frozen=True)
class Interval:
    """A share of `trials`, in 0…1, and its 95 % interval."""

    share: float
    low: float
    high: float
    trials: int


def normalize(vectors: npt.NDArray[Any]) -> Vectors:
    """Return float32 vectors of length 1 in the same directions; zeros for those without a finite length above 0."""
    wide = vectors.astype(np.float32)
    lengths = np.linalg.norm(wide, axis=-1, keepdims=True)
    is_usable = np.isfinite(lengths) & (lengths > 0)
    return np.where(is_usable, wide / np.where(is_usable, lengths, 1), 0).astype(np.float32)


def score_windows(vectors: Vectors, like: Vectors, unlike: Vectors) -> Scores:
    """Return how much windows sound like the examples `like`, at least one, and not like the examples `unlike`.

    Shapes: `(windows, size)`, `(examples, size)` twice, `(windows,)`; all of length 1. Scores are log odds. Without
    `unlike`, they are the similarity to the closest example, -1…1.
    """
    if len(unlike) and (model := _make_probe()) is not None:
        model.fit(np.concatenate([like, unlike]), np.repeat([1, 0], [len(like), len(unlike)]))
        return np.asarray(model.decision_function(vectors), np.float32)
    closest: Scores = (vectors @ like.T).max(axis=1)
    return SHARPNESS * (closest - (vectors @ unlike.T).max(axis=1)) if len(unlike) else closest


def estimate_likeness(scores: Scores) -> Scores:
    """Return how likely windows are like the sound, 0…1, by their log odds: above 0.5 for those above 0."""
    return np.asarray((1 + np.tanh(scores / 2)) / 2, np.float32)


def has_probe() -> bool:
    """Return True if scikit-learn is installed. Don't import it: that takes most of a second."""
    return find_spec("sklearn") is not None


def _make_probe() -> Any:
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError:
        return None
    return LogisticRegression(C=REGULARIZATION, class_weight="balanced", max_iter=1000)


def estimate_precision(sound: Vectors, like: Vectors, unlike: Vectors) -> Interval | None:
    """Return the share of windows with a score above 0 that are right, from verdicts that are each held out once.

    `sound` is the example without a verdict. Each other one is scored by all but itself. Return None if
    none of them gets a score above 0, or if there are fewer than two of a kind.
    """
    if min(len(like), len(unlike)) < 2:
        return None
    known = np.concatenate([sound, like])
    right = sum(
        bool(score_windows(known[at : at + 1], np.delete(known, at, axis=0), unlike)[0] > 0)
        for at in range(len(sound), len(known))
    )
    wrong = sum(
        bool(score_windows(unlike[at : at + 1], known, np.delete(unlike, at, axis=0))[0] > 0)
        for at in range(len(unlike))
    )
    return estimate_share(right, right + wrong) if right + wrong else None


def estimate_share(successes: int, trials: int) -> Interval:
    """Return the share of `successes` in `trials`, at least 1, with Wilson's 95 % interval."""
    share = successes / trials
    return Interval(share, *compute_interval(share, trials), trials)


def choose_best(groups: npt.NDArray[np.int64], scores: Scores, usable: Bools) -> list[int]:
    """Return the best usable window of each group, the highest score first. Of equal ones, the first counts.

    All shapes are `(windows,)`.
    """
    found = np.flatnonzero(usable)
    found = found[np.argsort(-scores[found], kind="stable")]
    _, firsts = np.unique(groups[found], return_index=True)
    return [int(at) for at in found[np.sort(firsts)]]


def mix_uncertain(ranked: Sequence[int], scores: Scores, count: int, every: int, before: int = 0) -> list[int]:
    """Return `count` of the windows `ranked`: the highest scores, and as every `every`th one the score closest to 0.

    `before` windows were asked about already, and count.
    """
    best, doubtful = list(ranked), sorted(ranked, key=lambda at: abs(float(scores[at])))
    chosen: dict[int, None] = {}
    while len(chosen) < min(count, len(ranked)):
        queue: Iterable[int] = doubtful if (before + len(chosen)) % every == every - 1 else best
        chosen[next(at for at in queue if at not in chosen)] = None
    return list(chosen)
