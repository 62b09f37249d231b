"""The logits and embeddings of a recording: some from a store, some computed, and some may still be missing."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from block.model.classifier import Logits, Outputs
from block.score_store import Scored
from block.score_store.records import Errors
from block.settings import EXACT, FAST, SCORE_FUNCTIONS
from block.windows import PreparedRecording

AND = " and "  # between paths, in a mode


class PartialLogits:
    """The logits of the chunks of `prepared`, some of which may be missing.

    A window may be silent with the current settings but not with those of the store, or the other way around.
    `chunk_counts` has an entry per window, and `rows` a row per chunk, for every window that isn't silent in both. Rows
    of missing chunks are zeros until `fill` or `replace`; `missing` are the indices of these chunks in
    `prepared.chunks`. Stored scores of unknown error count as missing, and so do those without an embedding if
    `embedding_size` is more than 0. `all_errors` are as in `Scored`, infinite for
    missing windows. `windows` is the number of windows that aren't silent now; `found_windows` of them keep their
    stored scores. `has_changed` is True if the store lacks anything.

    A row has the logits of a chunk, then its embedding, NaN if unknown, if the store has embeddings or they are kept.
    Without `embedding_size`, a window that is computed again keeps the embedding that the store has.
    """

    def __init__(
        self, prepared: PreparedRecording, classes: int, stored: Scored | None = None, embedding_size: int = 0
    ) -> None:
        self.prepared, self._classes, self._output_size = prepared, classes, classes + embedding_size
        self.is_heard = np.array(prepared.chunk_counts) > 0
        now = np.array(prepared.chunk_counts)
        then = np.zeros_like(now) if stored is None else np.array(stored.chunk_counts)
        self.chunk_counts = np.maximum(now, then)
        self.all_errors: Errors = np.full((len(now), len(SCORE_FUNCTIONS)), np.inf, np.float32)
        self.all_errors[self.chunk_counts == 0] = 0
        if stored is not None:
            self.all_errors[then > 0] = stored.errors[then > 0]
        self.rows = self._lay_out_rows(np.repeat(then > 0, self.chunk_counts), stored, embedding_size)
        if embedding_size:
            lacking = np.repeat(np.arange(len(now)), self.chunk_counts)[np.isnan(self.rows).any(axis=1)]
            self.all_errors[lacking[self.is_heard[lacking]]] = np.inf
        self._is_found = self.is_heard & np.isfinite(self.all_errors).all(axis=1)
        self._heard = np.repeat(self.is_heard, self.chunk_counts)
        self._missing = np.repeat(self.is_heard & ~self._is_found, self.chunk_counts)
        self.missing = np.flatnonzero(self._missing[self._heard])
        self.windows, self.found_windows = int(self.is_heard.sum()), int(self._is_found.sum())
        self.has_changed = stored is None or len(self.missing) > 0
        mode = EXACT if stored is None else stored.mode
        self._paths = set() if mode == EXACT else set(mode.removeprefix(f"{FAST} ").split(AND))

    def _lay_out_rows(self, found: npt.NDArray[np.bool_], stored: Scored | None, embedding_size: int) -> Outputs:
        """Return the rows of all chunks, with what is `stored` in those that were `found`."""
        size = embedding_size or (0 if stored is None else stored.embeddings.shape[1])
        rows: Outputs = np.zeros((len(found), self._classes + size), np.float32)
        rows[:, self._classes :] = np.nan
        if stored is not None:
            rows[found, : self._classes] = stored.logits
            if stored.embeddings.shape[1] == size:
                rows[found, self._classes :] = stored.embeddings
        return rows

    @property
    def logits(self) -> Logits:
        """The logits of `prepared.chunks`, shape `(chunks, classes)`."""
        return self.rows[self._heard, : self._classes]

    @property
    def outputs(self) -> Outputs:
        """The logits of `prepared.chunks`, followed by their embeddings if these are kept."""
        return self.rows[self._heard, : self._output_size]

    @property
    def errors(self) -> Errors:
        """The errors of all windows, 0 for those that are silent now."""
        return np.where(self.is_heard[:, None], self.all_errors, np.float32(0))

    @property
    def mode(self) -> str:
        """How the logits were computed, as in `LabeledRecording`."""
        return self._name_mode(self.errors)

    def _name_mode(self, errors: Errors) -> str:
        return f"{FAST} {AND.join(sorted(self._paths))}" if errors.any() else EXACT

    def fill(self, outputs: Outputs) -> None:
        """Add the exact outputs of the missing chunks."""
        self.rows[self._missing, : self._output_size] = outputs
        self.all_errors[self.is_heard & ~self._is_found] = 0

    def replace(self, outputs: Outputs, errors: Errors, path: str) -> None:
        """Replace the outputs and errors of all of `prepared.chunks`. `path` computed those that were missing."""
        self.rows[self._heard, : self._output_size] = outputs
        is_kept = self._is_found & (errors == self.all_errors).all(axis=1)
        self.has_changed = self.has_changed or int(is_kept.sum()) < self.found_windows
        self.found_windows = int(is_kept.sum())
        if errors[~is_kept].any():
            self._paths.add(path)
        self.all_errors[self.is_heard] = errors[self.is_heard]

    def to_scored(self) -> Scored:
        """Return the scores to store."""
        one, counts = self.prepared, tuple(self.chunk_counts.tolist())
        logits, embeddings = self.rows[:, : self._classes], self.rows[:, self._classes :].astype(np.float16)
        return Scored(
            one.content, one.layout.values, one.value_rate_hz, counts, one.levels_dbfs, logits,
            self._name_mode(self.all_errors), self.all_errors, one.layout.cuts, embeddings,
        )  # fmt: skip
