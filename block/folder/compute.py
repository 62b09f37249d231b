"""The part of a folder's job that takes audio and the model: what there is to do, and who does it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from block.folder import decide
from block.folder.listing import Stamp
from block.folder.location import Place
from block.folder.manifest import Manifest
from block.labeling.interfaces import Summary
from block.labeling.job import Job
from block.labeling.progress import Progress
from block.recording import LabeledRecording
from block.score_store import ScoreStore


@dataclass(frozen=True)
class Done:
    """What became of a run, and its labels by path, where no scores are kept or where they came with the scores."""

    summary: Summary
    labeled: dict[str, LabeledRecording]


class Crew(Protocol):
    """Who computes: this process, or a cluster. `dtype_name` is what the model's weights are there."""

    @property
    def dtype_name(self) -> str: ...

    def progress(self, total: int, verbose: bool, max_hours: float | None) -> Progress:
        """Who reports a run over `total` recordings."""
        ...

    def compute(self, work: Work, ids: Sequence[int], progress: Progress) -> Done:
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
        ids, total = self._ids(), len(self.files.entries)
        if len(ids) < total:
            print(f"{total - len(ids)} of {total} recordings are unchanged and have their scores", flush=True)
        if not ids:
            return Done(Summary(), {})
        progress = self.crew.progress(len(ids), self.verbose, self.max_hours)
        progress.failures_in = "failed.csv gets all"
        done = self.crew.compute(self, ids, progress)
        summary = done.summary
        for recording_id in summary.not_reached:
            self.files.fail(self.files.entries[recording_id - 1].path, decide.NO_SCORES)
        if self.store is not None:
            self.store.flush()
        progress.finish(summary, None)
        return done

    def _ids(self) -> list[int]:
        """The recordings that have to be read, and listened to unless the store knows their content."""
        entries = self.files.entries
        if self.store is None:
            return list(range(1, len(entries) + 1))
        contents = {entry.content for entry in entries if entry.content}
        held = {one.content: decide.is_enough(one, self.job.decisions) for one in self.store.all(contents)}
        return [number for number, entry in enumerate(entries, start=1) if not held.get(entry.content)]
