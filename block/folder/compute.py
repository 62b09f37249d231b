"""The part of a folder's job that takes audio and the model: what there is to do, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from block.folder import decide
from block.folder.listing import FileStamp
from block.folder.location import Location
from block.folder.manifest import Manifest
from block.labeling.interfaces import Summary
from block.labeling.job import Job
from block.recording import LabeledRecording
from block.score_store import ScoreStore


@dataclass(frozen=True)
class FolderResult:
    """What became of a run, and its labels by path, where no scores are kept or where they came with the scores."""

    summary: Summary
    labeled: dict[str, LabeledRecording]


@dataclass(frozen=True)
class FolderRun:
    """To compute the scores of `files`, in `location`, that `store` lacks; without one, the labels of all files.

    `stamps` are those of the files, by path, where their listing came with them.
    """

    location: Location
    job: Job
    files: Manifest
    store: ScoreStore | None
    stamps: Mapping[str, FileStamp] | None = None

    def size(self, recording_id: int) -> int:
        """Bytes of a recording's file; 0 where nothing is known of it."""
        entry = self.files.get_entry(recording_id)
        if self.stamps is not None and entry.path in self.stamps:
            return self.stamps[entry.path].size
        try:
            return entry.size if entry.size >= 0 else self.location.read_stamp(entry.path).size
        except OSError:
            return 0

    def ids(self) -> list[int]:
        """The recordings that have to be read, and listened to unless the store knows their content."""
        entries = self.files.entries
        if self.store is None:
            return list(range(1, len(entries) + 1))
        contents = {entry.content for entry in entries if entry.content}
        held = {one.content: decide.is_enough(one, self.job.decisions) for one in self.store.all(contents)}
        return [number for number, entry in enumerate(entries, start=1) if not held.get(entry.content)]
