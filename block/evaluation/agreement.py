"""How far two configurations agree on the same windows, for which no annotations are needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from block import decisions
from block.evaluation.ground_truth import targets_of
from block.evaluation.predictions import Clip, of_targets, predict
from block.settings import DecisionSettings


@dataclass(frozen=True)
class Agreement:
    """How far A and B agree.

    `same` of `windows` windows got the same label, and `same_found` of the `found` where either found a label of
    interest. `largest_difference` is that of any score of a label of interest, 0…1. B is `speedup` times as fast as
    A; None unless this run computed all scores of both.
    """

    windows: int
    same: int
    found: int
    same_found: int
    largest_difference: float
    speedup: float | None = None

    def lines(self) -> list[str]:
        """Return what this says, a sentence each."""
        said = [
            f"Same label: {_share(self.same, self.windows)} windows.",
            f"Of those where either found a label of interest: {_share(self.same_found, self.found)}.",
            f"Largest score difference: {self.largest_difference:.4f}.",
        ]
        if self.speedup is not None:
            said.append(f"B is {self.speedup:.2f} times as fast as A, decoding and audits included.")
        return said

    def to_json(self) -> dict[str, Any]:
        """Return the figures for evaluation.json; shares are null where there are no windows to share."""
        return {
            "windows": self.windows,
            "same_label": self.same / self.windows if self.windows else None,
            "windows_with_a_label_of_interest": self.found,
            "same_label_of_these": self.same_found / self.found if self.found else None,
            "largest_score_difference": self.largest_difference,
            "speedup": self.speedup,
        }


def measure_agreement(
    a: Sequence[Clip],
    b: Sequence[Clip],
    settings_a: DecisionSettings,
    settings_b: DecisionSettings,
    speedup: float | None = None,
) -> Agreement | None:
    """Compare the labels and scores that each window of the same clips gets; None if the windows are not the same.

    Windows that are silent are left out.
    """
    windows = same = found = same_found = 0
    largest = 0.0
    for one, other in zip(a, b, strict=True):
        if len(one.chunk_counts) != len(other.chunk_counts):
            return None
        audible = (np.array(one.chunk_counts) > 0) & (np.array(other.chunk_counts) > 0)
        scores_a, labels_a = _label_windows(one, settings_a)
        scores_b, labels_b = _label_windows(other, settings_b)
        equal = (labels_a == labels_b) & audible
        either = ((labels_a != settings_a.other_label) | (labels_b != settings_b.other_label)) & audible
        windows += int(audible.sum())
        same += int(equal.sum())
        found += int(either.sum())
        same_found += int((equal & either).sum())
        largest = max(largest, float(np.abs(scores_a - scores_b)[audible].max(initial=0.0)))
    return Agreement(windows, same, found, same_found, largest, speedup)


def _label_windows(clip: Clip, settings: DecisionSettings) -> tuple[decisions.Scores, np.ndarray[Any, Any]]:
    """Return each window's scores, shape `(windows, targets)`, and its label, shape `(windows,)`."""
    prediction = predict(clip, settings)
    labels = decisions.decide_cells(prediction.scores, prediction.audible(clip), settings.labels, settings.other_label)
    scores = of_targets(prediction.scores, targets_of(settings.labels))
    return np.asarray(scores, dtype=np.float64), np.array([one.label for one in labels])


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole} ({part / whole * 100:.1f} %)" if whole else "0 of 0"
