"""The logits of a recording, some from a store and some computed, of which some may still be missing."""

from __future__ import annotations

import numpy as np

from block.model.classifier import Logits
from block.score_store import Scored
from block.score_store.records import Errors
from block.settings import EXACT, FAST, SCORE_FUNCTIONS
from block.windows import PreparedRecording


class PartialLogits:
    """The logits of the chunks of `prepared`, some of which may be missing.

    A window may be silent with the current settings but not with those of the store, or the other way around.
    `chunk_counts` has an entry per window, and `rows` a row per chunk, for every window that isn't silent in both. Rows
    of missing chunks are zeros until `fill` or `replace`; `missing` are the indices of these chunks in
    `prepared.chunks`. Stored scores of unknown error count as missing. `all_errors` are as in `Scored`, infinite for
    missing windows. `windows` is the number of windows that aren't silent now; `found_windows` of them keep their
    stored scores. `has_changed` is True if the store lacks anything.
    """

    def __init__(self, prepared: PreparedRecording, classes: int, stored: Scored | None = None) -> None:
        self.prepared = prepared
        self.is_heard = np.array(prepared.chunk_counts) > 0
        now = np.array(prepared.chunk_counts)
        then = np.zeros_like(now) if stored is None else np.array(stored.chunk_counts)
        self.chunk_counts = np.maximum(now, then)
        self.all_errors: Errors = np.full((len(now), len(SCORE_FUNCTIONS)), np.inf, np.float32)
        self.all_errors[self.chunk_counts == 0] = 0
        if stored is not None:
            self.all_errors[then > 0] = stored.errors[then > 0]
        self._is_found = self.is_heard & np.isfinite(self.all_errors).all(axis=1)
        self._heard = np.repeat(self.is_heard, self.chunk_counts)
        self._missing = np.repeat(self.is_heard & ~self._is_found, self.chunk_counts)
        self.missing = np.flatnonzero(self._missing[self._heard])
        self.windows, self.found_windows = int(self.is_heard.sum()), int(self._is_found.sum())
        self.has_changed = stored is None or len(self.missing) > 0
        self._paths = set() if stored is None or stored.mode == EXACT else {stored.mode.removeprefix(f"{FAST} ")}
        self.rows: Logits = np.zeros((len(self._heard), classes), np.float32)
        if stored is not None:
            self.rows[np.repeat(then > 0, self.chunk_counts)] = stored.logits

    @property
    def logits(self) -> Logits:
        """The logits of `prepared.chunks`, shape `(chunks, classes)`."""
        return self.rows[self._heard]

    @property
    def errors(self) -> Errors:
        """The errors of all windows, 0 for those that are silent now."""
        return np.where(self.is_heard[:, None], self.all_errors, np.float32(0))

    @property
    def mode(self) -> str:
        """How the logits were computed, as in `LabeledRecording`."""
        return self._name_mode(self.errors)

    def _name_mode(self, errors: Errors) -> str:
        return f"{FAST} {' and '.join(sorted(self._paths))}" if errors.any() else EXACT

    def fill(self, logits: Logits) -> None:
        """Add the exact logits of the missing chunks."""
        self.rows[self._missing] = logits
        self.all_errors[self.is_heard & ~self._is_found] = 0

    def replace(self, logits: Logits, errors: Errors, path: str) -> None:
        """Replace the logits and errors of all of `prepared.chunks`. `path` computed those that were missing."""
        self.rows[self._heard] = logits
        is_kept = self._is_found & (errors == self.all_errors).all(axis=1)
        self.has_changed = self.has_changed or int(is_kept.sum()) < self.found_windows
        self.found_windows = int(is_kept.sum())
        if errors[~is_kept].any():
            self._paths.add(path)
        self.all_errors[self.is_heard] = errors[self.is_heard]

    def to_scored(self) -> Scored:
        """Return the scores to store."""
        one, counts = self.prepared, tuple(self.chunk_counts.tolist())
        return Scored(
            one.content, one.layout.values, one.value_rate_hz, counts, one.levels_dbfs, self.rows,
            self._name_mode(self.all_errors), self.all_errors, one.layout.cuts,
        )  # fmt: skip
