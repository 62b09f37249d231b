"""A labeler with a score store: what the store has is not computed again, and what is computed is added to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from block.labeling.interfaces import LabelerWrapper, RecordingLabeler
from block.labeling.partial_logits import PartialLogits
from block.model.checkpoint import CheckpointError
from block.recording import LabeledRecording, RunEnded
from block.score_store import Key, Scored
from block.windows import PreparedRecording


class CompletingLabeler(RecordingLabeler, Protocol):
    """A labeler that can start from logits that are partly known. `mode` is how it computes the others."""

    @property
    def mode(self) -> str: ...
    def complete(self, batch: Sequence[PartialLogits]) -> list[LabeledRecording]:
        """Compute what is missing, and label. Raises RecordingError if one of the batch cannot be labeled."""
        ...


class ScoreCache(Protocol):
    """Where scores are found and kept: a `ScoreStore`, or what carries them to one."""

    @property
    def key(self) -> Key: ...
    @property
    def class_names(self) -> tuple[str, ...]: ...
    def find(self, content: str) -> Scored | None: ...
    def add(self, scored: Scored) -> None: ...


class CachedLabeler(LabelerWrapper):
    """Label recordings as `labeler` does, with the help of a store whose key says how `labeler` computes.

    The store never changes a label. In exact mode it saves single windows; in fast mode, whole recordings, which keep
    the mode they were computed in. Recordings without `content` are computed and not stored. `found_windows` and
    `computed_windows` count the windows that were not silent.
    """

    labeler: CompletingLabeler

    def __init__(self, labeler: CompletingLabeler, store: ScoreCache) -> None:
        if store.key.mode != labeler.mode:
            raise ValueError(f"a store of mode {store.key.mode} for a labeler of mode {labeler.mode}")
        super().__init__(labeler)
        self.store = store
        self.found_windows = self.computed_windows = 0

    def describe_reuse(self) -> str:
        """Return a line about how many windows the store saved."""
        return f"{self.found_windows} windows were there already, {self.computed_windows} were computed"

    def label(self, batch: Sequence[PreparedRecording]) -> list[LabeledRecording]:
        """Label as `labeler` does. Raises RecordingError if one of the batch cannot be labeled; then none is stored.

        Raises RunEnded if the model, which is loaded when the first window has to be computed, cannot be used.
        """
        partials = [PartialLogits(one, len(self.store.class_names), self._find(one)) for one in batch]
        try:
            labeled = self.labeler.complete(partials)
        except CheckpointError as error:
            raise RunEnded(str(error)) from None
        for partial in partials:
            if partial.prepared.content and partial.is_incomplete:
                self.store.add(partial.to_scored())
            self.found_windows += partial.found_windows
            self.computed_windows += partial.windows - partial.found_windows
        return labeled

    def _find(self, prepared: PreparedRecording) -> Scored | None:
        """Return what the store has of a recording, if it was cut into the same windows and chunks."""
        scored = self.store.find(prepared.content) if prepared.content else None
        if scored is None or (scored.values, scored.value_rate_hz, scored.windows) != (
            prepared.layout.values, prepared.value_rate_hz, len(prepared.chunk_counts)
        ):  # fmt: skip
            return None
        # A window that was silent for only one of them has no chunks there, and is the same window all the same.
        same = all(a == b or not a * b for a, b in zip(scored.chunk_counts, prepared.chunk_counts, strict=True))
        return scored if same else None
