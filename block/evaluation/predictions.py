"""What the block answers about each clip, decided from its logits on the path labelling takes. No audio, no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from block import decisions
from block.decisions import Scores
from block.evaluation import segment_based
from block.evaluation.bootstrap import Bools
from block.evaluation.ground_truth import TargetLabel, targets_of
from block.evaluation.metrics import Detections
from block.evaluation.segment_based import Event
from block.recording import LabeledRecording
from block.settings import DecisionSettings
from block.windows import Layout


@dataclass(frozen=True, eq=False)
class Clip:
    """A recording's logits, shape `(pieces, classes)`, and where its windows lie; as `score_store.Scored` has them."""

    value_rate_hz: Fraction
    layout: Layout
    chunk_counts: tuple[int, ...]
    logits: npt.NDArray[np.float32]

    @property
    def seconds(self) -> float:
        return float(self.layout.values / self.value_rate_hz)

    def at_s(self, position: int) -> float:
        """The time of a value."""
        return float(position / self.value_rate_hz)


@dataclass(frozen=True, eq=False)
class Prediction:
    """A clip's labels, and the scores of its windows that they come from, shape `(windows, labels of interest)`."""

    scores: Scores
    labeled: LabeledRecording

    def audible(self, clip: Clip) -> Bools:
        """Which windows were not left out as silent."""
        return np.array(clip.chunk_counts) > 0

    def audible_cells(self, clip: Clip) -> Bools:
        """Which cells have a window that was not left out. Shape: `(cells,)`."""
        windows = self.audible(clip)
        return np.array([windows[cell.windows.start : cell.windows.stop].any() for cell in clip.layout.cells])


def predict(clip: Clip, settings: DecisionSettings) -> Prediction:
    """The labels of a clip."""
    scores = decisions.score_labels(clip.logits, clip.chunk_counts, settings)
    labeled = decisions.label_recording(0, "", clip.value_rate_hz, clip.layout, clip.chunk_counts, scores, settings)
    return Prediction(scores, labeled)


def reached_by(scores: Scores, settings: DecisionSettings) -> Bools:
    """Which labels of interest, shape `(…, labels)` as the scores, reach their own threshold."""
    return np.asarray(scores >= np.array([label.threshold for label in settings.labels]))


def of_targets(values: npt.NDArray[np.generic], targets: Sequence[TargetLabel]) -> npt.NDArray[np.generic]:
    """The highest of the labels of interest that share a name. Shape: `(…, labels)` in, `(…, targets)` out."""
    return np.stack([values[..., list(target.members)].max(axis=-1) for target in targets], axis=-1)


def answers(
    clips: Sequence[Clip],
    predictions: Sequence[Prediction],
    settings: DecisionSettings,
    events: Sequence[Sequence[Event]] | None = None,
    segment_s: float = segment_based.SEGMENT_S,
) -> Detections:
    """Gather what was decided; `events`, each clip's annotated ones, for strong labels."""
    targets = targets_of(settings.labels)
    places = {target.name: at for at, target in enumerate(targets)}
    scores = np.zeros((len(clips), len(targets)))
    reached = np.zeros(scores.shape, dtype=bool)
    given = np.zeros(scores.shape, dtype=bool)
    top = np.full(len(clips), -1, dtype=np.intp)
    for at, one in enumerate(predictions):
        scores[at] = of_targets(one.scores, targets).max(axis=0)
        audible = one.scores[one.audible(clips[at])]
        reached[at] = of_targets(reached_by(audible, settings), targets).any(axis=0)
        found = [segment for segment in one.labeled.segments if segment.label in places]
        given[at, [places[segment.label] for segment in found]] = True
        if found:
            top[at] = places[max(found, key=lambda segment: segment.score).label]
    if events is None:
        return Detections(scores, reached, given, top)
    reference = [
        segment_based.roll(one, clip.seconds, len(targets), segment_s) for one, clip in zip(events, clips, strict=True)
    ]
    pairs = list(zip(clips, predictions, strict=True))
    detected = [
        segment_based.roll(detections(clip, one, settings), clip.seconds, len(targets), segment_s)
        for clip, one in pairs
    ]
    labelled = [
        segment_based.roll(labels(clip, one, places), clip.seconds, len(targets), segment_s) for clip, one in pairs
    ]
    return Detections(
        scores, reached, given, top,
        segment_based.counts(reference, detected), segment_based.counts(reference, labelled),
    )  # fmt: skip


def detections(clip: Clip, prediction: Prediction, settings: DecisionSettings) -> list[Event]:
    """Where each target reaches its own threshold, whatever the others do: an event a cell."""
    cells = clip.layout.cells
    means = decisions.score_cells(prediction.scores, cells)
    reached = of_targets(
        reached_by(means, settings) & prediction.audible_cells(clip)[:, None], targets_of(settings.labels)
    )
    return [
        Event(int(target), clip.at_s(cells[cell].start), clip.at_s(cells[cell].end))
        for cell, target in zip(*np.nonzero(reached), strict=True)
    ]


def labels(clip: Clip, prediction: Prediction, places: dict[str, int]) -> list[Event]:
    """The segments that got a label of interest."""
    return [
        Event(places[segment.label], clip.at_s(segment.start), clip.at_s(segment.end))
        for segment in prediction.labeled.segments
        if segment.label in places
    ]
