"""How far two configurations agree on the same windows, for which no annotations are needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from block.decisions import Scores
from block.evaluation.ground_truth import list_targets
from block.evaluation.predictions import Prediction, decide_windows, reduce_to_targets
from block.labeling.agreement import Tally


@dataclass(frozen=True)
class Agreement:
    """How far A and B agree. B is `speedup` times as fast as A; None unless this run computed all scores of both."""

    tally: Tally
    speedup: float | None = None

    def lines(self) -> list[str]:
        """Return what this says, a sentence each."""
        tally = self.tally
        lines = [
            f"Same label: {_share(tally.agreed, tally.windows)} windows.",
            f"Of those where either found a label of interest: {_share(tally.heard_agreed, tally.heard)}.",
            f"Largest score difference: {tally.largest_error:.4f}.",
        ]
        if self.speedup is not None:
            lines.append(f"B is {self.speedup:.2f} times as fast as A, decoding and audits included.")
        return lines

    def to_json(self) -> dict[str, Any]:
        """Return what evaluation.json holds; shares are null where there are no windows."""
        tally = self.tally
        return {
            "windows": tally.windows,
            "same_label": tally.agreed / tally.windows if tally.windows else None,
            "windows_with_a_label_of_interest": tally.heard,
            "same_label_of_these": tally.heard_agreed / tally.heard if tally.heard else None,
            "largest_score_difference": tally.largest_error,
            "speedup": self.speedup,
        }


def measure_agreement(
    a: Sequence[Prediction], b: Sequence[Prediction], speedup: float | None = None
) -> Agreement | None:
    """Compare the labels and scores of each window of the same clips; None if the windows are not the same.

    Windows that are silent are left out.
    """
    tally = Tally()
    for one, other in zip(a, b, strict=True):
        if len(one.is_heard) != len(other.is_heard):
            return None
        heard = one.is_heard & other.is_heard
        errors = np.abs(_score_targets(one)[heard] - _score_targets(other)[heard]).max(axis=1, initial=0.0)
        labels, other_labels = (
            decide_windows(each.scores[heard], each.settings.labels, each.settings.other_label) for each in (one, other)
        )
        for label, other_label, error in zip(labels, other_labels, errors, strict=True):
            tally = tally.add_window(label, other_label, one.settings.other_label, float(error))
    return Agreement(tally, speedup)


def _score_targets(prediction: Prediction) -> Scores:
    """Return the scores of each window, shape `(windows, targets)`."""
    return reduce_to_targets(prediction.scores, list_targets(prediction.settings.labels))


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole} ({part / whole * 100:.1f} %)" if whole else "0 of 0"
