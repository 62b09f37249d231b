"""What benchmarks keep of a run."""

from __future__ import annotations

from block.labeling.interfaces import Batch
from block.recording import LabeledRecording


class Counter:
    """A reporter that counts windows and seconds of audio, and keeps the first failure."""

    def __init__(self) -> None:
        self.windows = 0
        self.audio_s = 0.0
        self.failure = ""

    def report_labeled(self, labeled: LabeledRecording) -> None:
        self.windows += labeled.windows
        self.audio_s += labeled.seconds

    def report_failed(self, recording_id: int, reason: str, name: str = "") -> None:
        self.failure = self.failure or reason

    def report_skipped(self, recording_id: int, reason: str) -> None:
        self.failure = self.failure or reason

    def report_batch(self, batch: Batch, startup_s: float) -> None:
        pass
