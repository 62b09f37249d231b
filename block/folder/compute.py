"""The part of a folder's job that takes audio and the model: what there is to do, and who does it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from block.folder import decide
from block.folder.groups_file import Journal
from block.folder.listing import Stamp
from block.folder.location import Place
from block.folder.manifest import Manifest
from block.labeling.interfaces import Summary
from block.labeling.job import Job
from block.labeling.progress import Progress
from block.recording import LabeledRecording
from block.score_store import ScoreStore
from block.settings import EXACT


@dataclass(frozen=True)
class Done:
    """What became of a run, and its labels by path, where no scores are kept or where they came with the scores."""

    summary: Summary
    labeled: dict[str, LabeledRecording]


@dataclass(frozen=True)
class ToDo:
    """The recordings to read, and the contents to compute although the store holds them."""

    ids: list[int]
    again: set[str]


class Crew(Protocol):
    """Who computes: this process, or a cluster. `dtype_name` is what the model's weights are there."""

    @property
    def dtype_name(self) -> str: ...

    def progress(self, total: int, verbose: bool, max_hours: float | None) -> Progress:
        """Who reports a run over `total` recordings."""
        ...

    def compute(self, work: Work, todo: ToDo, progress: Progress) -> Done:
        """Do what is to do. Never raises for what happens to a recording."""
        ...

    def leave(self) -> None:
        """There is nothing more to do."""
        ...


@dataclass(frozen=True)
class Work:
    """Computes the scores of `files`, in `place`, that `store` lacks; without one, the labels of all files.

    `stamps` are those of the files, by path, where their listing came with them.
    """

    place: Place
    job: Job
    crew: Crew
    files: Manifest
    store: ScoreStore | None
    journal: Journal
    verbose: bool
    max_hours: float | None
    stamps: Mapping[str, Stamp] | None = None

    def size(self, recording_id: int) -> int:
        """Bytes of a recording's file; 0 where nothing is known of it."""
        entry = self.files.entry(recording_id)
        if self.stamps is not None and entry.path in self.stamps:
            return self.stamps[entry.path].size
        try:
            return entry.size if entry.size >= 0 else self.place.stamp(entry.path).size
        except OSError:
            return 0

    def done(self) -> Done:
        """Do it. Never raises for what happens to a recording."""
        todo, total = self._todo(), len(self.files.entries)
        if len(todo.ids) < total:
            print(f"{total - len(todo.ids)} of {total} recordings are unchanged and have their scores", flush=True)
        if not todo.ids:
            return Done(Summary(), {})
        progress = self.crew.progress(len(todo.ids), self.verbose, self.max_hours)
        progress.failures_in = "failed.csv gets all"
        done = self.crew.compute(self, todo, progress)
        summary = done.summary
        for recording_id in summary.not_reached:
            self.files.fail(self.files.entries[recording_id - 1].path, decide.NO_SCORES)
        if self.store is not None:
            self.store.flush()
            if not summary.not_reached and not self.store.broken:
                self.journal.end()
        progress.finish(summary, None)
        return done

    @property
    def exact(self) -> bool:
        """Is every window computed in full?"""
        return self.job.compute.mode == EXACT

    def _todo(self) -> ToDo:
        """What has to be read, and listened to unless the store knows its content."""
        entries = self.files.entries
        if self.store is None:
            return ToDo(list(range(1, len(entries) + 1)), set())
        contents = {entry.content for entry in entries if entry.content}
        held = {one.content: decide.is_enough(one, self.job.decisions) for one in self.store.all(contents)}
        # Of all that is stored: what a killed run had learnt of the files may not have come to the manifest.
        partial = self.journal.partial(self.store.contents()) if self.exact else []
        together = {path for group in partial for path in group.paths}
        ids = [
            number
            for number, entry in enumerate(entries, start=1)
            if not held.get(entry.content) or entry.path in together
        ]
        return ToDo(ids, {content for group in partial for content in group.computed})
