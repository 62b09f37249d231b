"""From the logits of one recording to its labels: the one path that runs, relabelling and evaluation share.

No torch and no audio.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from block import decisions
from block.decisions import Scores
from block.recording import LabeledRecording
from block.settings import EXACT, DecisionSettings
from block.windows import Layout, round_half_up


def label_scores(logits: npt.ArrayLike, piece_counts: Sequence[int], settings: DecisionSettings) -> Scores:
    """Scores of windows, shape `(windows, labels of interest)`, from logits of their pieces, in order.

    A window without pieces, left out as silent, has scores of 0.
    """
    heard = np.array(piece_counts) > 0
    scores = np.zeros((len(heard), len(settings.labels)))
    if heard.any():
        counts = [count for count in piece_counts if count]
        of_classes = decisions.window_scores(logits, counts, settings.score_function)
        scores[heard] = decisions.label_scores(of_classes, settings.labels)
    return scores


def decided(
    recording_id: int, name: str, value_rate_hz: Fraction, layout: Layout, piece_counts: Sequence[int],
    scores: Scores, settings: DecisionSettings, mode: str = EXACT,
) -> LabeledRecording:  # fmt: skip
    """A recording's segments from the scores of its windows, shape `(windows, labels)`, 0 for silent ones."""
    heard = np.array(piece_counts) > 0
    min_length = round_half_up(settings.min_segment_ms * value_rate_hz / 1000)
    segments = decisions.decide_recording(scores, heard, layout.cells, settings, min_length)
    seconds = float(layout.values / value_rate_hz)
    return LabeledRecording(recording_id, name, layout.values, seconds, segments, len(heard), mode)


def is_silent(level_dbfs: float, settings: DecisionSettings) -> bool:
    """Is a window of this RMS level left out? The level has to be the float32 that is stored, so that all agree."""
    return settings.silence_dbfs is not None and level_dbfs < settings.silence_dbfs
