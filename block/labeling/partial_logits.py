"""The logits of a recording as far as they are known: what a store held, and what was computed beside it."""

from __future__ import annotations

import numpy as np

from block.model.classifier import Logits
from block.score_store import Scored
from block.settings import EXACT
from block.windows import PreparedRecording


class PartialLogits:
    """The logits of the pieces that are heard now, or were when stored: some windows are silent for only one.

    `scored` is what the store held of `prepared`, if anything. `counts` has an entry a window, `rows` a row a piece;
    `missing` tells which of `prepared.chunks` are not known; their rows are empty until `complete` or `replace`.
    `windows` are heard now, `found_windows` of them were held; `lacking` tells whether anything has to be computed.
    `mode` is how the logits were computed.
    """

    def __init__(self, prepared: PreparedRecording, scored: Scored | None, classes: int) -> None:
        self.prepared = prepared
        now = np.array(prepared.chunk_counts)
        then = np.array(scored.chunk_counts) if scored is not None else np.zeros_like(now)
        self.counts = np.maximum(now, then)
        self._heard = np.repeat(now > 0, self.counts)
        self._held = np.repeat(then > 0, self.counts)
        self.missing = np.flatnonzero(~self._held[self._heard])
        self.windows = int((now > 0).sum())
        self.found_windows = int(((now > 0) & (then > 0)).sum())
        self.lacking = scored is None or len(self.missing) > 0
        self.mode = EXACT if scored is None else scored.mode
        self.rows: Logits = np.empty((len(self._heard), classes), np.float32)
        if scored is not None:
            self.rows[self._held] = scored.logits

    @property
    def heard(self) -> Logits:
        """The logits of `prepared.chunks`, shape `(pieces, classes)`."""
        return self.rows[self._heard]

    def complete(self, logits: Logits) -> None:
        """Fill in the rows of what was missing."""
        self.rows[~self._held] = logits

    def replace(self, logits: Logits, mode: str) -> None:
        """Take `logits` of all of `prepared.chunks`, computed in `mode`, for whatever was held."""
        self.counts = np.array(self.prepared.chunk_counts)
        self.rows = logits.reshape(len(self.prepared.chunks), self.rows.shape[1])
        self._heard = np.ones(len(self.rows), dtype=bool)
        self.mode, self.found_windows = mode, 0

    def scored(self) -> Scored:
        """Return what a store keeps of it."""
        one = self.prepared
        counts = tuple(self.counts.tolist())
        return Scored(
            one.content, one.layout.values, one.value_rate_hz, counts, one.levels_dbfs, self.rows, self.mode
        )  # fmt: skip
