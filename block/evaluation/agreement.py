"""Measure how well two configurations agree on the same windows. This needs no annotations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from block.decisions import Scores, decide_windows
from block.evaluation.ground_truth import list_targets
from block.evaluation.predictions import Prediction, reduce_to_targets
from block.formatting import count
from block.labeling.agreement import Tally


@dataclass(frozen=True)
class Agreement:
    """How well A and B agree. B is `speedup` times as fast as A; None unless this run computed all scores of both."""

    tally: Tally
    speedup: float | None = None

    def lines(self) -> list[str]:
        """Return the results as sentences."""
        tally = self.tally
        lines = [
            f"Same label: {_format_share(tally.agreed, tally.windows)}.",
            f"Same label where A or B found a label of interest: {_format_share(tally.heard_agreed, tally.heard)}.",
            f"Largest score difference: {tally.largest_error:.4f}.",
        ]
        if self.speedup is not None:
            lines.append(f"B is {self.speedup:.2f} times as fast as A, including decoding and audits.")
        return lines

    def to_json(self) -> dict[str, Any]:
        """Return the content of evaluation.json; a share of no windows is null."""
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
    """Compare labels and scores of the same clips, window by window; return None if the windows differ.

    Windows that are silent in either are left out.
    """
    tally = Tally()
    for one, other in zip(a, b, strict=True):
        if one.clip.layout.windows != other.clip.layout.windows:
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


def _format_share(part: int, whole: int) -> str:
    return f"{part:,} of {count(whole, 'window')}" + (f" ({part / whole * 100:.1f} %)" if whole else "")
