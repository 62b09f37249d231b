"""The part of a folder's job that takes audio and the model. Imports torch once there is something to compute."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from block.folder import decided
from block.folder.manifest import Manifest
from block.folder.source import Folder
from block.folder.told import Told
from block.parties import Summary
from block.recording import LabeledRecording
from block.score_store import ScoreStore
from block.settings import EXACT

if TYPE_CHECKING:
    from block.audited import AuditedLabeler
    from block.engine import Engine
    from block.folder.groups import Journal
    from block.labeler import Labeler
    from block.stored import StoredLabeler


@dataclass(frozen=True)
class Done:
    """What became of a run, and, where no scores are kept, its labels by path."""

    summary: Summary
    labeled: dict[str, LabeledRecording]


@dataclass(frozen=True)
class _ToDo:
    """The recordings to read, and the contents to compute although the store holds them."""

    ids: list[int]
    again: set[str]


@dataclass(frozen=True)
class Work:
    """Computes the scores of `files`, below `root`, that `store` lacks; without one, the labels of all files."""

    root: str
    engine: Engine
    files: Manifest
    store: ScoreStore | None
    journal: Journal
    verbose: bool
    max_hours: float | None

    def done(self) -> Done:
        """Do it. Never raises for what happens to a recording."""
        from block.audited import AuditedLabeler
        from block.folder.groups import GroupedLabeler
        from block.run import Run
        from block.stored import StoredLabeler

        todo, total = self._todo(), len(self.files.entries)
        if len(todo.ids) < total:
            print(f"{total - len(todo.ids)} of {total} recordings are unchanged and have their scores", flush=True)
        if not todo.ids:
            return Done(Summary(), {})
        progress = self.engine.progress(len(todo.ids), self.verbose, self.max_hours)
        progress.failures_in = "failed.csv gets all"
        labeler = self.engine.labeler(progress, stored=self.store is not None)
        used: Labeler | AuditedLabeler | StoredLabeler = labeler
        if self.store is not None and not self._exact:
            used = StoredLabeler(labeler, self.store)
        elif self.store is not None:
            paths = [entry.path for entry in self.files.entries]
            used = GroupedLabeler(labeler, self.store, self.journal, paths, todo.again)
        rate_hz = self.engine.job.checkpoint.front_end.rate_hz
        folder = Folder(self.root, self.files, progress.warn_once, self.store is None, rate_hz)
        summary = Run(folder, folder, used, Told(progress, self.files), folder.stop).label(todo.ids)
        for recording_id in summary.not_reached:
            self.files.fail(self.files.entries[recording_id - 1].path, decided.NO_SCORES)
        if self.store is not None:
            self.store.flush()
            if not summary.not_reached and not self.store.broken:
                self.journal.end()
        if isinstance(labeler, AuditedLabeler):
            for line in labeler.report():
                progress.say(line)
            if labeler.fell_back:
                progress.say(
                    f"labelled the fast way before the fall-back: {len(labeler.fast_ids)} recordings; --mode exact "
                    f"computes all of them exactly"
                )
        progress.finish(summary, None)
        return Done(summary, folder.labeled)

    @property
    def _exact(self) -> bool:
        return self.engine.job.compute.mode == EXACT

    def _todo(self) -> _ToDo:
        """What has to be read, and listened to unless the store knows its content."""
        entries = self.files.entries
        if self.store is None:
            return _ToDo(list(range(1, len(entries) + 1)), set())
        contents = {entry.content for entry in entries if entry.content}
        decisions = self.engine.job.decisions
        held = {one.content: decided.is_enough(one, decisions) for one in self.store.all(contents)}
        # Of all that is stored: what a killed run had learnt of the files may not have come to the manifest.
        partial = self.journal.partial(self.store.contents()) if self._exact else []
        together = {path for group in partial for path in group.paths}
        ids = [
            number
            for number, entry in enumerate(entries, start=1)
            if not held.get(entry.content) or entry.path in together
        ]
        return _ToDo(ids, {content for group in partial for content in group.computed})
