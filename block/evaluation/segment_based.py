"""Count segments for strong labels: cut time into equal segments; in each, a label is active or not.

The definition is that of sed_eval: Mesaros, Heittola, Virtanen, Metrics for Polyphonic Sound Event Detection, Applied
Sciences 6(6):162, 2016. A label is active in a segment if any of its events overlaps it, even slightly.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from block.evaluation.bootstrap import Bools
from block.evaluation.rates import LabelCounts

SEGMENT_S = 1.0
# Seconds are values divided by a rate, such as 3·(1/3), so rounding can move them across a segment border.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Event:
    """A label, given by its column, that is active in `[start_s, end_s)`."""

    label: int
    start_s: float
    end_s: float


def mark_segments(events: Iterable[Event], seconds: float, labels: int, segment_s: float = SEGMENT_S) -> Bools:
    """Return which labels are active in which segments. Shape: `(segments, labels)`. The last segment may be shorter.

    Anything outside the clip is ignored.
    """
    segments = max(1, math.ceil(seconds / segment_s - ROUNDING))
    active = np.zeros((segments, labels), dtype=bool)
    for event in events:
        if event.end_s <= event.start_s or event.start_s >= seconds:
            continue
        first = math.floor(max(0.0, event.start_s) / segment_s + ROUNDING)
        active[first : math.ceil(event.end_s / segment_s - ROUNDING), event.label] = True
    return active


def count_segments(
    annotated: Sequence[Iterable[Event]],
    predicted: Sequence[Iterable[Event]],
    seconds: Sequence[float],
    labels: int,
    segment_s: float = SEGMENT_S,
) -> LabelCounts:
    """Return the counts of each clip, from its annotated and predicted events and its length in seconds."""
    pairs = [
        [mark_segments(events, length, labels, segment_s) for events in both]
        for *both, length in zip(annotated, predicted, seconds, strict=True)
    ]
    return LabelCounts(
        np.array([(one & other).sum(axis=0) for one, other in pairs], np.float64),
        np.array([other.sum(axis=0) for _, other in pairs], np.float64),
        np.array([one.sum(axis=0) for one, _ in pairs], np.float64),
    )
