"""Label the recordings of a folder in this process; `FolderRun` is also what a cluster gets to label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from block.folder.listing import FileStamp
from block.folder.location import Location
from block.folder.manifest import Manifest, ManifestReporter
from block.folder.source import Folder
from block.labeling.interfaces import RecordingLabeler, Summary
from block.labeling.patient_pool import PATIENT, STRICT
from block.labeling.progress import Progress
from block.labeling.run import Run
from block.recording import LabeledRecording, RecordingError
from block.score_store import ScoreStore

if TYPE_CHECKING:
    from block.labeling.engine import Engine


@dataclass(frozen=True)
class FolderResult:
    """The result of a run. `labeled` are labels by path: all of them without a score store, else those of a cluster."""

    summary: Summary
    labeled: dict[str, LabeledRecording]


@dataclass(frozen=True)
class FolderRun:
    """The work for an executor: label files of `manifest`, at `location`, and add their scores to `store`.

    `stamps` are those of the files, by path, if the location lists them. `allow_truncated` is as in `Folder`. `fast`
    are other recordings, with scores in the store that aren't exact: they are computed exactly if fast mode falls back.
    """

    location: Location
    manifest: Manifest
    store: ScoreStore | None
    stamps: Mapping[str, FileStamp] | None = None
    allow_truncated: bool = False
    fast: Sequence[int] = ()

    def size(self, recording_id: int) -> int:
        """Return the size of a recording's file in bytes; 0 if unknown."""
        entry = self.manifest.get_entry(recording_id)
        if self.stamps is not None and entry.path in self.stamps:
            return self.stamps[entry.path].size
        try:
            return entry.size if entry.size >= 0 else self.location.read_stamp(entry.path).size
        except (OSError, RecordingError):
            return 0


def label_folder(engine: Engine, run: FolderRun, ids: Sequence[int], progress: Progress) -> FolderResult:
    """Label the recordings `ids` with the model of `engine`. A recording that fails doesn't raise."""
    model_labeler = engine.load_labeler(progress, stored=run.store is not None)
    labeler: RecordingLabeler = model_labeler
    if run.store is not None:
        from block.labeling.cached_labeler import CachedLabeler  # imports torch

        labeler = CachedLabeler(model_labeler, run.store)
    rate_hz = engine.job.checkpoint.front_end.rate_hz
    folder = Folder(run.location, run.manifest, progress.warn_once, run.store is None, rate_hz, run.allow_truncated)
    # Files on a disk may be slow to read, but they don't stall, and runs in one order have the same batches and scores.
    patience = PATIENT if run.location.folder is None else STRICT
    reporter = ManifestReporter(progress, run.manifest)
    at_once = model_labeler.batches_at_once
    start = partial(Run, folder, folder, labeler, reporter, patience=patience, batches_at_once=at_once)
    summary = start().label(ids)
    if labeler.has_fallen_back and run.fast and not (summary.canceled or summary.end_reason):
        progress.say_stored_fast(len(run.fast))
        summary.add(start().label(run.fast))
    for line in labeler.describe_audit():
        progress.say(line)
    if labeler.has_fallen_back:
        progress.say_fast_count("labeled in fast mode before it fell back to exact mode", labeler.fast_ids)
    return FolderResult(summary, folder.labeled)
