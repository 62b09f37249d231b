"""Why recordings have their labels, or none: a file of JSON lines that a run appends to.

    {"sample": 17, "segments": [{"startIndex": 0, "endIndex": 31999, "label": "speech", "score": 0.83,
        "runnersUp": [["Music", 0.11], …], "loudnessDbfs": -23.4, "windows": 5, "agreeing": 4,
        "margin": 0.31}, …]}
    {"sample": 18, "error": "the recording is empty: it has 0 values"}

Indices are inclusive, as in Edge Impulse; `loudnessDbfs` is null for digital silence. The local Studio shows all this
by the labels. No run depends on the file: if it cannot be written any more, that is told of once.
"""

from __future__ import annotations

import json
import math
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from block.labeling.interfaces import Reporter
from block.recording import Evidence, LabeledRecording
from block.settings import SettingsError

VARIABLE = "LOCAL_STUDIO_DETAILS"  # names the file, where no option does


class DetailsWriter:
    """The file at `path`. Raises SettingsError where it cannot be written; `warn` is told if that comes later."""

    def __init__(self, path: Path, warn: Callable[[str], None]) -> None:
        self.path = path
        self._warn = warn
        self._lock = threading.Lock()
        self._broken = False
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK, 0o644)
        except OSError as error:
            raise SettingsError(f"--details {path} cannot be written: {error.strerror or error}") from None

    def labeled(self, labeled: LabeledRecording) -> None:
        """A recording got its labels."""
        evidence: Sequence[Evidence | None] = labeled.evidence or [None] * len(labeled.segments)
        segments = [
            {
                "startIndex": segment.start,
                "endIndex": segment.end - 1,
                "label": segment.label,
                "score": _rounded(segment.score),
                **({} if spoke is None else _spoken(spoke)),
            }
            for segment, spoke in zip(labeled.segments, evidence, strict=True)
        ]
        self._write({"sample": labeled.id, "segments": segments})

    def failed(self, recording_id: int, reason: str) -> None:
        """A recording got none."""
        self._write({"sample": recording_id, "error": reason})

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._broken = True
            os.close(self._file)

    def _write(self, line: Mapping[str, object]) -> None:
        data = (json.dumps(line) + "\n").encode()
        with self._lock:
            if self._broken:
                return
            try:
                if os.write(self._file, data) == len(data):
                    return
                reason = "the disk may be full"
            except OSError as error:
                reason = error.strerror or str(error)
            self._broken = True
        self._warn(f"{self.path} cannot be written any more: {reason}; going on without details")


@dataclass(frozen=True)
class DetailsReporter:
    """Tells `to` what became of each recording, and `details` why."""

    to: Reporter
    details: DetailsWriter

    def report_labeled(self, labeled: LabeledRecording) -> None:
        self.details.labeled(labeled)
        self.to.report_labeled(labeled)

    def report_failed(self, recording_id: int, reason: str) -> None:
        self.details.failed(recording_id, reason)
        self.to.report_failed(recording_id, reason)

    def report_skipped(self, recording_id: int, reason: str) -> None:
        self.to.report_skipped(recording_id, reason)

    def report_batch(self, recordings: int, windows: int, startup_s: float) -> None:
        self.to.report_batch(recordings, windows, startup_s)


def _spoken(spoke: Evidence) -> dict[str, object]:
    loudness = spoke.loudness_dbfs
    return {
        "runnersUp": [[one.name, _rounded(one.score)] for one in spoke.runners_up],
        "loudnessDbfs": round(loudness, 1) if math.isfinite(loudness) else None,
        "windows": spoke.windows,
        "agreeing": spoke.agreeing,
        "margin": _rounded(spoke.margin),
    }


def _rounded(score: float) -> float:
    return round(score, 4)
