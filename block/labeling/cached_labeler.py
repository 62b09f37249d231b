"""A labeler with a score store: what the store holds is not computed again, what is computed is added to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from block.labeling.fast_labeler import AuditedLabeler
from block.labeling.labeler import Labeler
from block.model.checkpoint import CheckpointError
from block.model.classifier import Logits
from block.recording import LabeledRecording, Recording, RunEnded
from block.score_store import Key, Scored, relabel
from block.settings import EXACT, FAST, DecisionSettings
from block.windows import Prepared


class Scores(Protocol):
    """Where scores are found and kept: a `ScoreStore`, or what carries them to one."""

    @property
    def key(self) -> Key: ...
    @property
    def class_names(self) -> tuple[str, ...]: ...
    def find(self, content: str) -> Scored | None: ...
    def add(self, scored: Scored) -> None: ...


class StoredLabeler:
    """Labels recordings as `labeler` does, with the help of a store whose key says how `labeler` computes.

    The store changes no label. In exact mode, windows that it holds are not computed again; in fast mode, recordings
    are taken whole, with the mode that they were computed in. Recordings without `content` are computed and not stored.
    `found_windows` and `computed_windows` count the windows that were heard.
    """

    def __init__(self, labeler: Labeler | AuditedLabeler, store: Scores) -> None:
        mode = EXACT if isinstance(labeler, Labeler) else FAST
        if store.key.mode != mode:
            raise ValueError(f"a store of mode {store.key.mode} for a labeler of mode {mode}")
        self.labeler = labeler
        self.store = store
        self.found_windows = self.computed_windows = 0

    @property
    def fill(self) -> int:
        """As the labeler's."""
        return self.labeler.fill

    @property
    def once_s(self) -> float:
        """As the labeler's."""
        return self.labeler.once_s

    def prepare(self, recording: Recording) -> Prepared:
        """As the labeler's."""
        return self.labeler.prepare(recording)

    def told(self) -> str:
        """What the store was good for, in words."""
        return f"{self.found_windows} windows were there already, {self.computed_windows} were computed"

    def decide(
        self, scored: Scored, decisions: DecisionSettings, recording_id: int = 0, name: str = ""
    ) -> LabeledRecording:
        """The labels that `decisions` make of stored logits; see `relabel.decide`."""
        return relabel.decide(scored, self.store.key.windows, decisions, recording_id, name)

    def label(self, batch: Sequence[Prepared]) -> list[LabeledRecording]:
        """As the labeler's. Raises RecordingError if a recording cannot be labelled; then none is stored.

        Raises RunEnded where the model turns out unusable only now, since it is loaded late.
        """
        try:
            return self._label(batch)
        except CheckpointError as error:
            raise RunEnded(str(error)) from None

    def _label(self, batch: Sequence[Prepared]) -> list[LabeledRecording]:
        pieces = [_Pieces(prepared, self._find(prepared), len(self.store.class_names)) for prepared in batch]
        if isinstance(self.labeler, Labeler):
            labeled = self._by_window(self.labeler, pieces)
        else:
            labeled = self._by_recording(self.labeler, pieces)
        found = sum(one.found_windows for one in pieces)
        self.found_windows += found
        self.computed_windows += sum(one.windows for one in pieces) - found
        return labeled

    def _find(self, prepared: Prepared) -> Scored | None:
        """What the store holds of a recording, if it was cut into the same windows and pieces."""
        scored = self.store.find(prepared.content) if prepared.content else None
        if scored is None or (scored.values, scored.value_rate_hz, scored.windows) != (
            prepared.layout.values, prepared.value_rate_hz, len(prepared.piece_counts)
        ):  # fmt: skip
            return None
        # A window that only one of them left out as silent is the same window all the same.
        same = all(a == b or not a * b for a, b in zip(scored.piece_counts, prepared.piece_counts, strict=True))
        return scored if same else None

    def _by_window(self, labeler: Labeler, batch: Sequence[_Pieces]) -> list[LabeledRecording]:
        """Compute the pieces that are missing, of all recordings together."""
        items = [(one.prepared.waveform, one.prepared.pieces[at]) for one in batch for at in one.missing]
        ends = np.cumsum([len(one.missing) for one in batch])
        if items:
            for one, logits in zip(batch, np.split(labeler.logits_of(items), ends[:-1]), strict=True):
                one.complete(logits)
        labeled = [self._decided(labeler, one, EXACT) for one in batch]
        for one in batch:
            if one.prepared.content and (len(one.missing) or one.scored is None):
                self.store.add(_scored(one.prepared, tuple(one.counts.tolist()), one.logits, EXACT))
        return labeled

    def _by_recording(self, audited: AuditedLabeler, batch: Sequence[_Pieces]) -> list[LabeledRecording]:
        """Compute the recordings of which a piece is missing; which path they take is the audit's matter."""
        rest = [one.prepared for one in batch if one.lacking]
        judged = iter(audited.judge(rest) if rest else [])
        labeled = []
        for one in batch:
            if one.scored is not None and not one.lacking:
                labeled.append(self._decided(audited.labeler, one, one.scored.mode))
                if one.scored.mode != EXACT:
                    audited.fast_ids.append(one.prepared.recording_id)
                continue
            new, one.found_windows = next(judged), 0
            labeled.append(new.labeled)
            if one.prepared.content:
                logits = new.logits.reshape(len(one.prepared.pieces), len(self.store.class_names))
                self.store.add(_scored(one.prepared, one.prepared.piece_counts, logits, new.labeled.mode))
        return labeled

    @staticmethod
    def _decided(labeler: Labeler, one: _Pieces, mode: str) -> LabeledRecording:
        logits = one.logits[one.heard]
        return labeler.decided(one.prepared, labeler.scores(logits, one.prepared.piece_counts), mode, logits)


class _Pieces:
    """The pieces of a recording that are heard now, or were when it was stored: some windows are silent for only one.

    `counts` has an entry a window, `logits` a row a piece; `heard` tells which rows are heard now, `missing` which of
    `prepared.pieces` are not stored; their rows are empty until `complete`. `windows` are heard now,
    `found_windows` of them stored; `lacking` tells whether anything has to be computed.
    """

    def __init__(self, prepared: Prepared, scored: Scored | None, classes: int) -> None:
        self.prepared, self.scored = prepared, scored
        now = np.array(prepared.piece_counts)
        then = np.array(scored.piece_counts) if scored is not None else np.zeros_like(now)
        self.counts = np.maximum(now, then)
        self.heard = np.repeat(now > 0, self.counts)
        self._stored = np.repeat(then > 0, self.counts)
        self.missing = np.flatnonzero(~self._stored[self.heard])
        self.windows = int((now > 0).sum())
        self.found_windows = int(((now > 0) & (then > 0)).sum())
        self.lacking = scored is None or len(self.missing) > 0
        self.logits: Logits = np.empty((len(self.heard), classes), np.float32)
        if scored is not None:
            self.logits[self._stored] = scored.logits

    def complete(self, logits: Logits) -> None:
        """Fill in the rows of what was missing."""
        self.logits[~self._stored] = logits


def _scored(prepared: Prepared, piece_counts: tuple[int, ...], logits: Logits, mode: str) -> Scored:
    return Scored(
        prepared.content, prepared.layout.values, prepared.value_rate_hz, piece_counts, prepared.levels_dbfs,
        logits, mode,
    )  # fmt: skip
