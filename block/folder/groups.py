"""Labels recordings of a folder and writes down which of them it computed together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from block.folder.groups_file import Group, Journal
from block.labeling.cached_labeler import StoredLabeler
from block.labeling.fast_labeler import AuditedLabeler
from block.labeling.labeler import Labeler
from block.recording import LabeledRecording
from block.score_store import Scored, ScoreStore
from block.windows import Prepared


class GroupedLabeler(StoredLabeler):
    """A `StoredLabeler` that writes down what it computes together.

    `paths` are those of the recordings, in the order of their ids from 1. Contents in `again` are computed although
    the store holds them, once.
    """

    def __init__(
        self,
        labeler: Labeler | AuditedLabeler,
        store: ScoreStore,
        journal: Journal,
        paths: Sequence[str],
        again: Iterable[str],
    ) -> None:
        super().__init__(labeler, store)
        self.journal = journal
        self._paths = paths
        self._again = set(again)

    def label(self, batch: Sequence[Prepared]) -> list[LabeledRecording]:
        """As `StoredLabeler.label`."""
        computed = tuple(dict.fromkeys(one.content for one in batch if self._find(one) is None))
        if computed:
            paths = tuple(self._paths[one.recording_id - 1] for one in batch)
            self.journal.note(Group(paths, computed))
        labeled = super().label(batch)
        self._again.difference_update(computed)
        return labeled

    def _find(self, prepared: Prepared) -> Scored | None:
        return None if prepared.content in self._again else super()._find(prepared)
