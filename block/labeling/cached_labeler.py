"""A labeler with a score store: what the store holds is not computed again, what is computed is added to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from block.labeling.fast_labeler import FastLabeler
from block.labeling.interfaces import LabelerWrapper
from block.labeling.labeler import ExactLabeler
from block.labeling.partial_logits import PartialLogits
from block.model.checkpoint import CheckpointError
from block.recording import LabeledRecording, RunEnded
from block.score_store import Key, Scored
from block.windows import PreparedRecording


class ScoreCache(Protocol):
    """Where scores are found and kept: a `ScoreStore`, or what carries them to one."""

    @property
    def key(self) -> Key: ...
    @property
    def class_names(self) -> tuple[str, ...]: ...
    def find(self, content: str) -> Scored | None: ...
    def add(self, scored: Scored) -> None: ...


class CachedLabeler(LabelerWrapper):
    """Labels recordings as `labeler` does, with the help of a store whose key says how `labeler` computes.

    The store changes no label. In exact mode, windows that it holds are not computed again; in fast mode, recordings
    are taken whole, with the mode that they were computed in. Recordings without `content` are computed and not stored.
    `found_windows` and `computed_windows` count the windows that were heard.
    """

    labeler: ExactLabeler | FastLabeler

    def __init__(self, labeler: ExactLabeler | FastLabeler, store: ScoreCache) -> None:
        if store.key.mode != labeler.mode:
            raise ValueError(f"a store of mode {store.key.mode} for a labeler of mode {labeler.mode}")
        super().__init__(labeler)
        self.store = store
        self.found_windows = self.computed_windows = 0

    def describe(self) -> str:
        """Return what the store was good for, in words."""
        return f"{self.found_windows} windows were there already, {self.computed_windows} were computed"

    def label(self, batch: Sequence[PreparedRecording]) -> list[LabeledRecording]:
        """As the labeler's. Raises RecordingError if a recording cannot be labelled; then none is stored.

        Raises RunEnded where the model turns out unusable only now, since it is loaded late.
        """
        known = [PartialLogits(one, self._find(one), len(self.store.class_names)) for one in batch]
        try:
            labeled = self.labeler.complete(known)
        except CheckpointError as error:
            raise RunEnded(str(error)) from None
        for one in known:
            if one.prepared.content and one.lacking:
                self.store.add(one.scored())
        found = sum(one.found_windows for one in known)
        self.found_windows += found
        self.computed_windows += sum(one.windows for one in known) - found
        return labeled

    def _find(self, prepared: PreparedRecording) -> Scored | None:
        """What the store holds of a recording, if it was cut into the same windows and pieces."""
        scored = self.store.find(prepared.content) if prepared.content else None
        if scored is None or (scored.values, scored.value_rate_hz, scored.windows) != (
            prepared.layout.values, prepared.value_rate_hz, len(prepared.chunk_counts)
        ):  # fmt: skip
            return None
        # A window that only one of them left out as silent is the same window all the same.
        same = all(a == b or not a * b for a, b in zip(scored.chunk_counts, prepared.chunk_counts, strict=True))
        return scored if same else None
