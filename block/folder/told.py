"""Who is told what became of the recordings of a folder: whoever reports the run, and the manifest."""

from __future__ import annotations

from dataclasses import dataclass

from block.folder.listing import shown
from block.folder.manifest import Manifest
from block.labeling.interfaces import Reporter
from block.recording import LabeledRecording


@dataclass(frozen=True)
class Told:
    """Tells `to` what became of each recording, and the manifest why one could not be had."""

    to: Reporter
    files: Manifest

    def labeled(self, labeled: LabeledRecording) -> None:
        self.to.labeled(labeled)

    def failed(self, recording_id: int, reason: str) -> None:
        path = self.files.entries[recording_id - 1].path
        self.files.fail(path, reason)
        self.to.failed(recording_id, f"{shown(path)}: {reason}")

    def skipped(self, recording_id: int, reason: str) -> None:
        self.to.skipped(recording_id, reason)

    def batch_done(self, recordings: int, windows: int, once_s: float) -> None:
        self.to.batch_done(recordings, windows, once_s)
