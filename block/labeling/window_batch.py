"""A batch of windows of several recordings, and which of their scores are exact."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from block import decisions
from block.decisions import Scores
from block.labeling.agreement import SHARE, Tally, draw_number
from block.labeling.labeler import ExactLabeler
from block.model.classifier import Logits
from block.settings import EXACT, FAST
from block.windows import PreparedRecording

Windows = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class PathScores:
    """The results of one path: `scores`, shape `(windows, labels)`, and `logits`, shape `(chunks, classes)`.

    `seconds` is how long they took.
    """

    scores: Scores
    logits: Logits
    seconds: float


class WindowBatch:
    """The windows of a batch of recordings, numbered consecutively, and their scores so far.

    `scores`, shape `(windows, labels of interest)`, are 0 for silent windows and until they are computed. `exact` and
    `heard` (not silent) have shape `(windows,)`. `logits`, the source of the scores, has a row per chunk.
    `window_slices` and `chunk_slices` are the windows and the chunks of each recording.
    """

    def __init__(self, labeler: ExactLabeler, batch: Sequence[PreparedRecording]) -> None:
        self.labeler, self.batch = labeler, batch
        self._counts = np.array([count for prepared in batch for count in prepared.chunk_counts])
        self._first_chunks = np.cumsum(self._counts) - self._counts
        self._items = [(prepared.waveform, chunk) for prepared in batch for chunk in prepared.chunks]
        self._names = [(one.recording_id, window) for one in batch for window in range(len(one.chunk_counts))]
        self.heard = self._counts > 0
        self.exact = np.zeros(len(self._counts), dtype=bool)
        self.scores = np.zeros((len(self._counts), len(labeler.decisions.labels)))
        self.logits = np.zeros((len(self._items), len(labeler.class_names)), np.float32)
        self.window_slices = _slice_by_lengths([len(prepared.chunk_counts) for prepared in batch])
        self.chunk_slices = _slice_by_lengths([len(prepared.chunks) for prepared in batch])

    def get_mode(self, windows: slice, path: str) -> str:
        """Return the mode of the recording with these windows: fast, by `path`, if any score isn't exact."""
        return f"{FAST} {path}" if (self.heard[windows] & ~self.exact[windows]).any() else EXACT

    def draw(self, seed: int, count: int | None = None) -> Windows:
        """Draw windows to audit: the `count` with the lowest numbers, or all with a number below the usual share."""
        numbers = np.array([draw_number(*name, seed) for name in self._names])
        numbers[~self.heard] = np.inf
        if count is None:
            return np.flatnonzero(numbers < SHARE)
        return np.sort(np.argsort(numbers, kind="stable")[: min(count, int(self.heard.sum()))])

    def score(self, windows: Windows, path: str) -> PathScores:
        """Score `windows` by `path`, without storing the result."""
        started = time.perf_counter()
        if not len(windows):
            return PathScores(self.scores[windows], self.logits[:0], 0.0)
        logits = self.labeler.compute_logits([self._items[at] for at in self._find_chunks(windows)], path)
        scores = decisions.score_labels(logits, self._counts[windows].tolist(), self.labeler.decisions)
        return PathScores(scores, logits, time.perf_counter() - started)

    def score_and_keep(self, windows: Windows, path: str) -> float:
        """Score `windows` by `path`, and store scores and logits. Return the seconds it took."""
        by_path = self.score(windows, path)
        self.scores[windows] = by_path.scores
        self.exact[windows] = path == EXACT
        self.logits[self._find_chunks(windows)] = by_path.logits
        return by_path.seconds

    def _find_chunks(self, windows: Windows) -> list[int]:
        return [int(self._first_chunks[at]) + chunk for at in windows for chunk in range(self._counts[at])]

    def compare(self, tally: Tally, windows: Windows, path_scores: Scores) -> Tally:
        """Return `tally` plus `windows`, which have exact scores here and `path_scores` by a faster path."""
        settings = self.labeler.decisions
        heard = np.ones(len(windows), dtype=bool)
        exact_scores = self.scores[windows]
        exact, fast = (
            decisions.decide_cells(scores, heard, settings.labels, settings.other_label)
            for scores in (exact_scores, path_scores)
        )
        errors = np.abs(exact_scores - path_scores).max(axis=1, initial=0.0)
        for one, other, error in zip(exact, fast, errors, strict=True):
            tally = tally.add_window(one.label, other.label, settings.other_label, float(error))
        return tally

    def find_uncertain(self, error: float) -> Windows:
        """Return the inexact windows of cells whose label could change if their scores were off by up to `error`."""
        chosen = np.zeros(len(self.heard), dtype=bool)
        for prepared, windows in zip(self.batch, self.window_slices, strict=True):
            cells, heard = prepared.layout.cells, self.heard[windows]
            inexact = heard & ~self.exact[windows]
            if not inexact.any():
                continue
            spans = [slice(cell.windows.start, cell.windows.stop) for cell in cells]
            errors = np.array([error * inexact[span].mean() for span in spans])
            cells_heard = decisions.find_heard_cells(heard, cells)
            means = decisions.score_cells(self.scores[windows], cells)
            uncertain = decisions.find_uncertain_cells(means, cells_heard, self.labeler.decisions.labels, errors)
            for at in np.flatnonzero(uncertain):
                chosen[windows][spans[at]] |= inexact[spans[at]]
        return np.flatnonzero(chosen)


def _slice_by_lengths(lengths: Sequence[int]) -> list[slice]:
    ends = np.cumsum(lengths)
    return [slice(int(end) - length, int(end)) for end, length in zip(ends, lengths, strict=True)]
