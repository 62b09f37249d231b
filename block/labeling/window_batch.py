"""A batch of windows of several recordings, with their scores so far and how far off these may be."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from block import decisions, uncertainty
from block.decisions import Scores
from block.labeling.audit import Windows, draw_number
from block.labeling.labeler import ExactLabeler
from block.labeling.partial_logits import PartialLogits
from block.model.classifier import Logits, Outputs
from block.score_store.records import Errors
from block.settings import SCORE_FUNCTIONS

ALMOST = 0.5  # of its threshold: a window with this score sounds like the label
MIN_THRESHOLD = 1e-9


@dataclass(frozen=True, eq=False)
class PathScores:
    """The results of one path: `scores`, shape `(windows, labels)`, and `outputs`, as in `Classifier`.

    `seconds` is how long they took.
    """

    scores: Scores
    outputs: Outputs
    seconds: float


@dataclass(frozen=True, eq=False)
class Strata:
    """How close windows are to another label, and the label that they sound like, as in `AuditBlock`."""

    margins: npt.NDArray[np.float64]
    heard: Windows


class WindowBatch:
    """The windows of a batch of recordings, numbered consecutively, and their scores so far.

    `scores`, shape `(windows, labels of interest)`, are 0 for silent windows and until they are computed. `outputs`,
    the source of the scores, has a row per chunk: its logits, then its embedding if embeddings are kept. `errors`,
    shape `(windows, 2)`, say how far off scores may be, as in `Scored`; infinite while they are missing. `heard`, of
    shape `(windows,)`, is False for silent windows.
    """

    def __init__(self, labeler: ExactLabeler, batch: Sequence[PartialLogits]) -> None:
        self.labeler, self.batch = labeler, batch
        prepared = [one.prepared for one in batch]
        self._counts = np.array([count for one in prepared for count in one.chunk_counts])
        self._first_chunks = np.cumsum(self._counts) - self._counts
        self._items = [(one.waveform, chunk) for one in prepared for chunk in one.chunks]
        self._names = [(one.recording_id, window) for one in prepared for window in range(len(one.chunk_counts))]
        self.heard = self._counts > 0
        self.outputs: Outputs = np.concatenate([one.outputs for one in batch])
        self.errors: Errors = np.concatenate([one.errors for one in batch])
        self.scores = decisions.score_labels(self._take_logits(self.outputs), self._counts.tolist(), labeler.decisions)
        self.scores[self.missing] = 0
        self._function = SCORE_FUNCTIONS.index(labeler.decisions.score_function)

    @property
    def inexact(self) -> Windows:
        """The windows whose scores are missing or not exact."""
        return np.flatnonzero(self.errors.any(axis=1))

    @property
    def missing(self) -> Windows:
        """The windows whose scores are missing or of unknown error."""
        return np.flatnonzero(np.isinf(self.errors).any(axis=1))

    def draw_numbers(self, windows: Windows, seed: int) -> npt.NDArray[np.float64]:
        """Return a random number for each window, as `draw_number` does."""
        return np.array([draw_number(one, window, seed) for one, window in (self._names[at] for at in windows)])

    def find_twins(self, windows: Windows) -> dict[str, str]:
        """Map each path to the first one that computes the same for `windows`."""
        return self.labeler.find_twins([self._items[at][1] for at in self._find_chunks(windows)])

    def score(self, windows: Windows, path: str) -> PathScores:
        """Score `windows` by `path`, without keeping the result."""
        started = time.perf_counter()
        if not len(windows):
            return PathScores(self.scores[windows], self.outputs[:0], 0.0)
        outputs = self.labeler.compute_outputs([self._items[at] for at in self._find_chunks(windows)], path)
        counts = self._counts[windows].tolist()
        scores = decisions.score_labels(self._take_logits(outputs), counts, self.labeler.decisions)
        return PathScores(scores, outputs, time.perf_counter() - started)

    def score_and_keep(self, windows: Windows, path: str, error: npt.ArrayLike = 0) -> Errors:
        """Score `windows` by `path`, which may be off by `error`; return how much their scores changed.

        Both have an entry for each score function: `(2,)` in, the largest changes of any class, `(windows, 2)`, out.
        """
        by_path = self.score(windows, path)
        changes = self.measure_errors(windows, by_path.outputs)
        self.scores[windows] = by_path.scores
        self.errors[windows] = error
        self.outputs[self._find_chunks(windows)] = by_path.outputs
        return changes

    def measure_errors(self, windows: Windows, outputs: Outputs) -> Errors:
        """Return how far scores from other `outputs` are from those here: the most of any class, `(windows, 2)`."""
        counts = self._counts[windows].tolist()
        own, logits = self._take_logits(self.outputs[self._find_chunks(windows)]), self._take_logits(outputs)
        both = [
            np.abs(decisions.score_classes(own, counts, name) - decisions.score_classes(logits, counts, name))
            for name in SCORE_FUNCTIONS
        ]
        return np.stack([one.max(axis=1, initial=0.0) for one in both], axis=-1).astype(np.float32)

    def _take_logits(self, outputs: Outputs) -> Logits:
        return outputs[:, : len(self.labeler.class_names)]

    def _find_chunks(self, windows: Windows) -> list[int]:
        return [int(self._first_chunks[at]) + chunk for at in windows for chunk in range(self._counts[at])]

    def decide(self, scores: Scores) -> npt.NDArray[np.object_]:
        """Return the label of each row of scores of a window, decided on its own."""
        settings = self.labeler.decisions
        return np.array(decisions.decide_windows(scores, settings.labels, settings.other_label), dtype=object)

    def find_strata(self, scores: Scores) -> Strata:
        """Return what the audit draws by, for windows with these scores."""
        labels = self.labeler.decisions.labels
        thresholds = np.array([max(label.threshold, MIN_THRESHOLD) for label in labels])
        best = (scores / thresholds).argmax(axis=1)
        almost = scores[np.arange(len(scores)), best] >= ALMOST * thresholds[best]
        margins = decisions.compute_margins(scores, list(self.decide(scores)), labels)
        return Strata(margins, np.where(almost, best, -1))

    def find_uncertain(self) -> Windows:
        """Return the inexact windows of cells whose label could change within the errors of their windows."""
        settings = self.labeler.decisions
        found = np.zeros(len(self.heard), dtype=bool)
        start = 0
        for one in self.batch:
            own = slice(start, start + len(one.prepared.chunk_counts))
            start = own.stop
            found[own] = uncertainty.find_uncertain_windows(
                self.scores[own], self.errors[own, self._function], self.heard[own], one.prepared.layout.cells,
                settings.labels, settings.hysteresis,
                decisions.count_values(settings.median_ms, one.prepared.value_rate_hz),
            )  # fmt: skip
        return np.flatnonzero(found)

    def write_back(self, path: str) -> None:
        """Put outputs and errors into the recordings; `path` computed the scores that aren't exact."""
        windows = chunks = 0
        for one in self.batch:
            own, prepared = slice(windows, windows + len(one.prepared.chunk_counts)), one.prepared
            one.replace(self.outputs[chunks : chunks + len(prepared.chunks)], self.errors[own], path)
            windows, chunks = own.stop, chunks + len(prepared.chunks)
