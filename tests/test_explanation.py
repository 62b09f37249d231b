"""The evidence for a segment."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from block import decisions
from block.explanation import explain
from block.labels import parse_labels
from block.recording import Evidence, Segment
from block.settings import DecisionSettings
from block.windows import PreparedRecording, lay_out_windows

NAMES = ("Speech", "Music", "Dog", "Silence")


def settings(labels: str = "Speech, Dog (hound)") -> DecisionSettings:
    return DecisionSettings(parse_labels(labels, NAMES, 0.4), "other", "softmax")


def logits(*scores: tuple[float, ...]) -> np.ndarray:
    """Return logits whose softmax is `scores`, a row per chunk."""
    return np.log(np.array(scores)).astype(np.float32)


def explained(
    rows: np.ndarray, counts: list[int], levels: list[float], stride: int = 10, values: int = 30
) -> list[tuple[Segment, Evidence]]:
    layout = lay_out_windows(values, 10, stride)
    chosen = settings()
    scores = decisions.score_labels(rows, counts, chosen)
    labeled = decisions.label_recording(1, "a", Fraction(1000), layout, counts, scores, chosen)
    waveform, levels_dbfs = np.zeros(values, np.float32), np.array(levels, np.float32)
    prepared = PreparedRecording(1, "a", 0.03, Fraction(1000), layout, waveform, (), tuple(counts), levels_dbfs)
    spoke = explain(labeled.segments, prepared, rows, chosen, NAMES)
    return list(zip(labeled.segments, spoke, strict=True))


def test_runners_up_are_classes_that_are_not_the_labels_own_and_means_over_the_segment() -> None:
    rows = logits((0.6, 0.2, 0.1, 0.1), (0.5, 0.1, 0.3, 0.1), (0.1, 0.1, 0.7, 0.1))
    (speech, first), (hound, second) = explained(rows, [1, 1, 1], [-20, -20, -20])
    assert (speech.label, hound.label) == ("Speech", "hound")
    assert [one.name for one in first.runners_up] == ["Dog", "Music", "Silence"]
    assert [one.score for one in first.runners_up] == pytest.approx([0.2, 0.15, 0.1])
    assert "Dog" not in [one.name for one in second.runners_up]


def test_the_other_label_lists_the_classes_it_hides() -> None:
    rows = logits((0.1, 0.7, 0.1, 0.1), (0.1, 0.7, 0.1, 0.1), (0.1, 0.7, 0.1, 0.1))
    ((segment, spoke),) = explained(rows, [1, 1, 1], [-20, -20, -20])
    assert segment.label == "other"
    assert spoke.runners_up[0].name == "Music"


def test_windows_that_would_get_another_label_on_their_own_do_not_agree() -> None:
    # Windows of 10 every 5: the middle one, which overlaps both, hears a dog, and the mean hears speech.
    rows = logits((0.9, 0.04, 0.03, 0.03), (0.4, 0.05, 0.5, 0.05), (0.9, 0.04, 0.03, 0.03))
    ((segment, spoke),) = explained(rows, [1, 1, 1], [-20, -20, -20], stride=5, values=20)
    assert segment.label == "Speech"
    assert (spoke.windows, spoke.agreeing) == (3, 2)


def test_loudness_is_the_mean_of_power_and_silence_has_none() -> None:
    rows = logits((0.9, 0.04, 0.03, 0.03), (0.9, 0.04, 0.03, 0.03))
    spoke = [one for _, one in explained(rows, [1, 1, 0], [-10, -20, -math.inf])]
    assert spoke[0].loudness_dbfs == pytest.approx(10 * math.log10((0.1 + 0.01) / 2))
    assert spoke[1].loudness_dbfs == -math.inf
    assert spoke[1].agreeing == spoke[1].windows == 1


def test_the_margin_is_how_far_the_nearest_other_label_is() -> None:
    # Thresholds are 0.4. Speech at 0.6 wins by 0.2 over its own threshold; a dog would lack 0.5 of 0.6.
    rows = logits((0.6, 0.2, 0.1, 0.1), (0.05, 0.85, 0.05, 0.05), (0.45, 0.02, 0.5, 0.03))
    spoke = [one for _, one in explained(rows, [1, 1, 1], [-20, -20, -20])]
    assert spoke[0].margin == pytest.approx(0.2)
    # No label of interest is near its threshold, so the other label is certain.
    assert spoke[1].margin == pytest.approx(0.35)
    # The dog wins over speech by 0.05.
    assert spoke[2].margin == pytest.approx(0.05, abs=1e-6)
