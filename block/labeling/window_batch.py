"""The windows of several recordings by what is known of their scores: which are exact, which may stay as they are."""

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
from block.settings import EXACT
from block.windows import PreparedRecording

Windows = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Computed:
    """What one path makes of some windows: scores, shape `(windows, labels)`, from logits, shape `(pieces, classes)`.

    `seconds` is how long it took.
    """

    scores: Scores
    logits: Logits
    seconds: float


class WindowBatch:
    """The windows of a batch of recordings, one behind the other, and what is known of their scores.

    `scores`, shape `(windows, labels of interest)`: 0 where not computed yet, and for silent windows. `exact` and
    `heard`, shape `(windows,)`. `rows`: each recording's windows; `pieces`: its rows of `logits`, which has a row of
    all classes for each piece, the one that the scores kept here come from.
    """

    def __init__(self, labeler: ExactLabeler, batch: Sequence[PreparedRecording]) -> None:
        self.labeler, self.batch = labeler, batch
        counts = np.array([count for prepared in batch for count in prepared.chunk_counts])
        self._counts = counts
        self._items = [(prepared.waveform, piece) for prepared in batch for piece in prepared.chunks]
        self._first = np.concatenate(([0], np.cumsum(counts)[:-1])).astype(int)
        self.heard = counts > 0
        self.scores = np.zeros((len(counts), len(labeler.decisions.labels)))
        self.exact = np.zeros(len(counts), dtype=bool)
        self.logits = np.zeros((len(self._items), 0), np.float32)  # as many columns as there turn out to be classes
        self.rows: list[slice] = []
        self.pieces: list[slice] = []
        self._names: list[tuple[int, int]] = []
        for prepared in batch:
            first = self.pieces[-1].stop if self.pieces else 0
            self.pieces.append(slice(first, first + len(prepared.chunks)))
            self.rows.append(slice(len(self._names), len(self._names) + len(prepared.chunk_counts)))
            self._names += [(prepared.recording_id, window) for window in range(len(prepared.chunk_counts))]

    def fast(self) -> list[bool]:
        """For each recording: did any window keep a score that is not exact?"""
        return [bool((self.heard[rows] & ~self.exact[rows]).any()) for rows in self.rows]

    def drawn(self, seed: int, wanted: int | None = None) -> Windows:
        """Windows to audit: the `wanted` that are drawn lowest, or all that are drawn below the usual share."""
        draws = np.array([draw_number(*name, seed) for name in self._names])
        draws[~self.heard] = np.inf
        if wanted is None:
            return np.flatnonzero(draws < SHARE)
        return np.sort(np.argsort(draws, kind="stable")[: min(wanted, int(self.heard.sum()))])

    def computed(self, windows: Windows, path: str) -> Computed:
        """`windows` by `path`, without keeping anything."""
        started = time.perf_counter()
        counts = self._counts[windows].tolist()
        if not len(windows):
            return Computed(self.scores[windows], self.logits[:0], 0.0)
        logits = self.labeler.logits_of([self._items[at] for at in self._pieces_of(windows)], path)
        scores = self.labeler.scores(logits, counts)
        return Computed(scores, logits, time.perf_counter() - started)

    def compute(self, windows: Windows, path: str) -> float:
        """Keep the scores and logits of `windows` by `path`; returns the seconds that it took."""
        computed = self.computed(windows, path)
        self.scores[windows] = computed.scores
        self.exact[windows] = path == EXACT
        if len(windows):
            if not self.logits.shape[1]:
                self.logits = np.zeros((len(self._items), computed.logits.shape[1]), np.float32)
            self.logits[self._pieces_of(windows)] = computed.logits
        return computed.seconds

    def _pieces_of(self, windows: Windows) -> list[int]:
        return [int(self._first[at]) + piece for at in windows for piece in range(self._counts[at])]

    def compare(self, tally: Tally, windows: Windows, by_path: Scores) -> Tally:
        """`tally` with `windows`, whose exact scores are kept here and whose scores by a path are given."""
        settings = self.labeler.decisions
        heard = np.ones(len(windows), dtype=bool)
        both = [
            decisions.decide_cells(scores, heard, settings.labels, settings.other_label)
            for scores in (self.scores[windows], by_path)
        ]
        errors = np.abs(self.scores[windows] - by_path).max(axis=1, initial=0.0)
        for exact, fast, error in zip(*both, errors, strict=True):
            tally = tally.and_window(exact.label, fast.label, settings.other_label, float(error))
        return tally

    def near(self, error: float) -> Windows:
        """Windows not computed exactly that cover a cell whose label would not survive `error` in their scores."""
        chosen = np.zeros(len(self.heard), dtype=bool)
        for prepared, rows in zip(self.batch, self.rows, strict=True):
            cells, heard = prepared.layout.cells, self.heard[rows]
            inexact = heard & ~self.exact[rows]
            if not inexact.any():
                continue
            spans = [slice(cell.windows.start, cell.windows.stop) for cell in cells]
            errors = np.array([error * inexact[span].mean() for span in spans])
            cells_heard = np.array([heard[span].any() for span in spans])
            means = decisions.score_cells(self.scores[rows], cells)
            open_cells = decisions.find_uncertain_cells(means, cells_heard, self.labeler.decisions.labels, errors)
            for at in np.flatnonzero(open_cells):
                chosen[rows][spans[at]] |= inexact[spans[at]]
        return np.flatnonzero(chosen)
