"""Segment-based metrics for strong labels: time cut into segments of one length, each label active in it or not.

The definition is that of sed_eval: Mesaros, Heittola, Virtanen, Metrics for Polyphonic Sound Event Detection, Applied
Sciences 6(6):162, 2016. A label is active in a segment if any of its events overlaps it, by however little.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from block.evaluation.bootstrap import Bools, Floats

SEGMENT_S = 1.0
# Seconds that come from counting values at a rate, 3·(1/3) for example, may miss a border by rounding alone.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Event:
    """One label heard from `start_s` to `end_s`, half-open; `label` is a column."""

    label: int
    start_s: float
    end_s: float


@dataclass(frozen=True, eq=False)
class Counts:
    """Segments per clip and label that were right, found, and there. Shape of each: `(clips, labels)`."""

    right: Floats
    found: Floats
    there: Floats


def roll(events: Iterable[Event], seconds: float, labels: int, segment_s: float = SEGMENT_S) -> Bools:
    """Which label is active in which segment of a clip. Shape: `(segments, labels)`; the last may be cut short.

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


def count(reference: Bools, estimated: Bools) -> tuple[Floats, Floats, Floats]:
    """Segments right, found and there of one clip, from two rolls of the same shape. Shape of each: `(labels,)`."""
    return (
        (reference & estimated).sum(axis=0).astype(np.float64),
        estimated.sum(axis=0).astype(np.float64),
        reference.sum(axis=0).astype(np.float64),
    )


def counts(references: Iterable[Bools], estimates: Iterable[Bools]) -> Counts:
    """`count` of each clip."""
    per_clip = [count(reference, estimated) for reference, estimated in zip(references, estimates, strict=True)]
    right, found, there = (np.stack(part) for part in zip(*per_clip, strict=True))
    return Counts(right, found, there)
