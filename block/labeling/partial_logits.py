"""The logits of a recording, some from a store and some computed, of which some may still be missing."""

from __future__ import annotations

import numpy as np

from block.model.classifier import Logits
from block.score_store import Scored
from block.settings import EXACT
from block.windows import PreparedRecording


class PartialLogits:
    """The logits of the chunks of `prepared`, some of which may be missing.

    A window may be silent with the current settings but not with those of the store, or the other way around.
    `chunk_counts` has an entry per window, and `rows` a row per chunk, for every window that isn't silent in both. Rows
    of missing chunks are empty until `fill` or `replace`; `missing` are the indices of these chunks in
    `prepared.chunks`. `windows` is the number of windows that aren't silent now; `found_windows` of them were stored.
    `is_incomplete` is True if anything has to be computed, or nothing was stored. `mode` is how the logits were
    computed.
    """

    def __init__(self, prepared: PreparedRecording, classes: int, stored: Scored | None = None) -> None:
        self.prepared = prepared
        now = np.array(prepared.chunk_counts)
        then = np.zeros_like(now) if stored is None else np.array(stored.chunk_counts)
        self.chunk_counts = np.maximum(now, then)
        self._heard = np.repeat(now > 0, self.chunk_counts)
        self._stored = np.repeat(then > 0, self.chunk_counts)
        self.missing = np.flatnonzero(~self._stored[self._heard])
        self.windows = int((now > 0).sum())
        self.found_windows = int(((now > 0) & (then > 0)).sum())
        self.is_incomplete = stored is None or len(self.missing) > 0
        self.mode = EXACT if stored is None else stored.mode
        self.rows: Logits = np.empty((len(self._heard), classes), np.float32)
        if stored is not None:
            self.rows[self._stored] = stored.logits

    @property
    def logits(self) -> Logits:
        """The logits of `prepared.chunks`, shape `(chunks, classes)`."""
        return self.rows[self._heard]

    def fill(self, logits: Logits) -> None:
        """Add the logits of the missing chunks."""
        self.rows[~self._stored] = logits

    def replace(self, logits: Logits, mode: str) -> None:
        """Replace stored logits with `logits` of all of `prepared.chunks`, computed in `mode`."""
        self.chunk_counts = np.array(self.prepared.chunk_counts)
        self.rows = logits
        self._heard = np.ones(len(logits), dtype=bool)
        self.mode, self.found_windows = mode, 0

    def to_scored(self) -> Scored:
        """Return the scores to store."""
        one, counts = self.prepared, tuple(self.chunk_counts.tolist())
        return Scored(
            one.content, one.layout.values, one.value_rate_hz, counts, one.levels_dbfs, self.rows, self.mode
        )  # fmt: skip
