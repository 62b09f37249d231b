"""Decide the labels of each clip from its logits, with the code that labeling uses. Needs no audio and no torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from block import decisions
from block.decisions import Scores
from block.evaluation.bootstrap import Bools
from block.evaluation.event_based import Collars, EventCounts, count_events
from block.evaluation.ground_truth import GroundTruth, TargetLabel, list_targets
from block.evaluation.metrics import Detections
from block.evaluation.segment_based import Event, count_segments
from block.recording import LabeledRecording
from block.settings import DecisionSettings
from block.windows import Layout


@dataclass(frozen=True, eq=False)
class Clip:
    """A recording's logits, shape `(chunks, classes)`, and its windows, as in `score_store.Scored`."""

    value_rate_hz: Fraction
    layout: Layout
    chunk_counts: tuple[int, ...]
    logits: npt.NDArray[np.float32]

    @property
    def seconds(self) -> float:
        return self.seconds_at(self.layout.values)

    def seconds_at(self, position: int) -> float:
        """Return the time of a value, in seconds."""
        return float(position / self.value_rate_hz)


@dataclass(frozen=True, eq=False)
class Prediction:
    """A clip's labels under `settings`, and the scores of its windows, shape `(windows, labels of interest)`.

    `is_heard`, shape `(windows,)`, is False for windows that were skipped as silent.
    """

    clip: Clip
    settings: DecisionSettings
    scores: Scores
    is_heard: Bools
    labeled: LabeledRecording


def predict(clip: Clip, settings: DecisionSettings) -> Prediction:
    """Return the labels and scores of a clip."""
    scores = decisions.score_labels(clip.logits, clip.chunk_counts, settings)
    labeled = decisions.label_recording(0, "", clip.value_rate_hz, clip.layout, clip.chunk_counts, scores, settings)
    return Prediction(clip, settings, scores, np.array(clip.chunk_counts) > 0, labeled)


def find_reached(scores: Scores, settings: DecisionSettings) -> Bools:
    """Return which labels of interest reach their own threshold. Shape: `(…, labels)`, like the scores."""
    return np.asarray(scores >= np.array([label.threshold for label in settings.labels]))


def reduce_to_targets(values: npt.NDArray[Any], targets: Sequence[TargetLabel]) -> npt.NDArray[Any]:
    """Return the maximum over labels of interest with the same name. Shape: `(…, labels)` in, `(…, targets)` out."""
    return np.stack([values[..., list(target.members)].max(axis=-1) for target in targets], axis=-1)


def gather_detections(
    predictions: Sequence[Prediction],
    settings: DecisionSettings,
    events: Sequence[Iterable[Event]] = (),
    segment_s: float | None = None,
) -> Detections:
    """Return what was detected. With `segment_s`, count segments too, and compare with each clip's `events`."""
    targets = list_targets(settings.labels)
    columns = {target.name: column for column, target in enumerate(targets)}
    scores = np.array([reduce_to_targets(one.scores, targets).max(axis=0) for one in predictions])
    reached = [find_reached(one.scores[one.is_heard], settings) for one in predictions]
    is_detected = np.array([reduce_to_targets(one, targets).any(axis=0) for one in reached])
    is_labeled = np.zeros(scores.shape, dtype=bool)
    top = np.full(len(predictions), -1, dtype=np.intp)
    for row, one in enumerate(predictions):
        segments = [segment for segment in one.labeled.segments if segment.label in columns]
        is_labeled[row, [columns[segment.label] for segment in segments]] = True
        if segments:
            top[row] = columns[max(segments, key=lambda segment: segment.score).label]
    if segment_s is None:
        return Detections(scores, is_detected, is_labeled, top)
    seconds = [one.clip.seconds for one in predictions]
    detected, labeled = (
        count_segments(events, found, seconds, len(targets), segment_s)
        for found in (
            [find_detected_events(one) for one in predictions],
            [find_labeled_events(one, columns) for one in predictions],
        )
    )
    return Detections(scores, is_detected, is_labeled, top, detected, labeled)


def find_detected_events(prediction: Prediction) -> list[Event]:
    """Return one event for each cell in which a target sounds by its own threshold, regardless of the others."""
    clip, settings = prediction.clip, prediction.settings
    cells = clip.layout.cells
    heard = decisions.find_heard_cells(prediction.is_heard, cells)
    median = decisions.count_values(settings.median_ms, clip.value_rate_hz)
    scores = decisions.smooth_cells(prediction.scores, heard, cells, median)
    reached = decisions.find_sounding(scores, heard, settings.labels, settings.hysteresis) > 0
    return [
        Event(int(target), clip.seconds_at(cells[cell].start), clip.seconds_at(cells[cell].end))
        for cell, target in zip(*np.nonzero(reduce_to_targets(reached, list_targets(settings.labels))), strict=True)
    ]


def find_labeled_events(prediction: Prediction, columns: dict[str, int]) -> list[Event]:
    """Return one event for each segment that got a label of interest."""
    clip = prediction.clip
    return [
        Event(columns[segment.label], clip.seconds_at(segment.start), clip.seconds_at(segment.end))
        for segment in prediction.labeled.segments
        if segment.label in columns
    ]


def count_labeled_events(predictions: Sequence[Prediction], ground_truth: GroundTruth, collars: Collars) -> EventCounts:
    """Compare the segments that got a label of interest with the annotated events, clip by clip."""
    columns = {target.name: column for column, target in enumerate(ground_truth.targets)}
    return count_events(
        ground_truth.events,
        [find_labeled_events(one, columns) for one in predictions],
        [one.clip.seconds for one in predictions],
        ground_truth.is_judged,
        collars,
    )
