"""Segment-based metrics for strong labels: time cut into segments of one length, each label active in it or not.

The definition is that of sed_eval: Mesaros, Heittola, Virtanen, Metrics for Polyphonic Sound Event Detection, Applied
Sciences 6(6):162, 2016. A label is active in a segment if any of its events overlaps it, by however little.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from block.evaluation.bootstrap import Bools
from block.evaluation.rates import LabelCounts

SEGMENT_S = 1.0
# Seconds computed as a number of values over a rate, 3·(1/3) for example, may miss a border by rounding alone.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Event:
    """One label that is active from `start_s` to `end_s`, half-open; `label` is a column."""

    label: int
    start_s: float
    end_s: float


def mark_segments(events: Iterable[Event], seconds: float, labels: int, segment_s: float = SEGMENT_S) -> Bools:
    """Return which label is active in which segment of a clip. Shape: `(segments, labels)`; the last may be shorter.

    What lies outside the clip does not count.
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
    """Count segments clip by clip, from each clip's annotated and predicted events and its length in seconds."""
    pairs = [
        [mark_segments(events, length, labels, segment_s) for events in both]
        for *both, length in zip(annotated, predicted, seconds, strict=True)
    ]
    return LabelCounts(
        np.array([(one & other).sum(axis=0) for one, other in pairs], np.float64),
        np.array([other.sum(axis=0) for _, other in pairs], np.float64),
        np.array([one.sum(axis=0) for one, _ in pairs], np.float64),
    )
