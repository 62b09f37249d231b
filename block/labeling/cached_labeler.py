"""A labeler with a score store: it reuses stored scores and stores the scores it computes."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Protocol

from block.formatting import count
from block.labeling.interfaces import LabelerWrapper, RecordingLabeler
from block.labeling.partial_logits import PartialLogits
from block.recording import LabeledRecording
from block.score_store import Key, Scored
from block.windows import PreparedRecording


class CompletingLabeler(RecordingLabeler, Protocol):
    """A labeler that can complete partial logits. `mode` is how it computes them."""

    @property
    def mode(self) -> str: ...
    @property
    def batches_at_once(self) -> int: ...
    @property
    def embedding_size(self) -> int: ...
    def complete(self, batch: Sequence[PartialLogits]) -> list[LabeledRecording]:
        """Compute missing logits, and label. Raise RecordingError if any recording of the batch can't be labeled."""
        ...


class ScoreCache(Protocol):
    """Find and store scores: a `ScoreStore`, or a stand-in that forwards them to one."""

    @property
    def key(self) -> Key: ...
    @property
    def class_names(self) -> tuple[str, ...]: ...
    def find(self, content: str) -> Scored | None: ...
    def add(self, scored: Scored) -> None: ...


class CachedLabeler(LabelerWrapper):
    """Label recordings as `labeler` does, using a store for scores that are computed the same way.

    The store never changes a label: stored scores of a fast path are recomputed where their error could change one.
    Recordings without `content` are computed but not stored. `found_windows` and `computed_windows` count windows that
    aren't silent.
    """

    labeler: CompletingLabeler

    def __init__(self, labeler: CompletingLabeler, store: ScoreCache) -> None:
        if store.key.mode != labeler.mode:
            raise ValueError(f"the store has mode {store.key.mode}; expected the labeler's mode, {labeler.mode}")
        super().__init__(labeler)
        self.store = store
        self.found_windows = self.computed_windows = 0
        self._lock = threading.Lock()  # batches may overlap

    def describe_reuse(self) -> str:
        """Return how many windows were reused and computed, as text."""
        return f"{count(self.found_windows, 'window')} reused, {self.computed_windows:,} computed"

    def label(self, batch: Sequence[PreparedRecording]) -> list[LabeledRecording]:
        """Label as `labeler` does. If a recording can't be labeled, raise RecordingError and store nothing.

        The model is loaded when the first window has to be computed. Raise CheckpointError or SettingsError if it can't
        be used.
        """
        with self._lock:
            classes, size = len(self.store.class_names), self.labeler.embedding_size
            partials = [PartialLogits(one, classes, self._find(one), size) for one in batch]
        labeled = self.labeler.complete(partials)
        with self._lock:
            for partial in partials:
                if partial.prepared.content and partial.has_changed:
                    self.store.add(partial.to_scored())
                self.found_windows += partial.found_windows
                self.computed_windows += partial.windows - partial.found_windows
        return labeled

    def _find(self, prepared: PreparedRecording) -> Scored | None:
        """Return the stored scores of a recording if its windows and chunks were the same."""
        scored = self.store.find(prepared.content) if prepared.content else None
        if scored is None or (scored.values, scored.value_rate_hz, scored.windows, scored.cuts) != (
            prepared.layout.values, prepared.value_rate_hz, len(prepared.chunk_counts), prepared.layout.cuts
        ):  # fmt: skip
            return None
        # A window may be silent, without chunks, in only one of them. It is still the same window.
        same = all(a == b or not a * b for a, b in zip(scored.chunk_counts, prepared.chunk_counts, strict=True))
        return scored if same else None
