"""Explain labels: what else a segment sounded like, how loud it was, and how many of its windows agreed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from block import decisions
from block.recording import Evidence, RunnerUp, Segment
from block.settings import DecisionSettings
from block.windows import Layout

RUNNERS_UP = 3


class WindowedRecording(Protocol):
    """The windows of a recording, the number of chunks of each, and their levels in dBFS, as in `PreparedRecording`."""

    @property
    def layout(self) -> Layout: ...
    @property
    def chunk_counts(self) -> tuple[int, ...]: ...
    @property
    def levels_dbfs(self) -> npt.NDArray[np.float32]: ...


def explain(
    segments: Sequence[Segment],
    recording: WindowedRecording,
    logits: npt.ArrayLike,
    settings: DecisionSettings,
    class_names: Sequence[str],
) -> tuple[Evidence, ...]:
    """Return the evidence for each of `segments`, in order. `logits` has shape `(chunks, classes)`."""
    class_scores = decisions.score_classes(logits, recording.chunk_counts, settings.score_function)
    label_scores = decisions.reduce_to_labels(class_scores, settings.labels)
    heard = np.array(recording.chunk_counts) > 0
    window_labels = [
        decision.label
        for decision in decisions.decide_cells(label_scores, heard, settings.labels, settings.other_label)
    ]
    power = 10 ** (recording.levels_dbfs.astype(np.float64) / 10)
    own_classes = {label.name: label.indices for label in settings.labels}
    found = []
    for segment in segments:
        windows = _find_windows(segment, recording.layout)
        means = class_scores[windows].mean(axis=0)
        others = [at for at in np.argsort(-means, kind="stable") if at not in own_classes.get(segment.label, ())]
        mean_power = float(power[windows].mean())
        label_means = label_scores[windows].mean(axis=0)
        margin = decisions.compute_margins(label_means[None], [segment.label], settings.labels, settings.hysteresis)
        found.append(
            Evidence(
                runners_up=tuple(RunnerUp(class_names[at], float(means[at])) for at in others[:RUNNERS_UP]),
                loudness_dbfs=10 * math.log10(mean_power) if mean_power > 0 else -math.inf,
                windows=len(windows),
                agreeing=sum(window_labels[window] == segment.label for window in windows),
                margin=float(margin[0]),
            )
        )
    return tuple(found)


def _find_windows(segment: Segment, layout: Layout) -> list[int]:
    """Return the indices of the windows that cover the cells of a segment, in order."""
    return sorted(
        {
            window
            for cell in layout.cells
            if cell.start < segment.end and segment.start < cell.end
            for window in cell.windows
        }
    )
