"""Explain why recordings got their labels, or none: a file of JSON lines that a run appends to.

    {"sample": 17, "segments": [{"startIndex": 0, "endIndex": 31999, "label": "speech", "score": 0.83,
        "runnersUp": [["Music", 0.11], …], "loudnessDbfs": -23.4, "windows": 5, "agreeing": 4,
        "margin": 0.31}, …]}
    {"sample": 18, "error": "the recording is empty: it has 0 values"}

For the local Studio, the first line is `{"run": …}`, a `RunRecord`, and each line with segments also has the `content`
of the recording, so that its scores can be found.

Indices are inclusive, as in Edge Impulse; `loudnessDbfs` is null for digital silence. The local Studio shows these
details next to the labels. No run depends on the file: if writing to it fails, the user is warned once.
"""

from __future__ import annotations

import json
import math
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from block.edge_impulse.run_record import RunRecord
from block.labeling.interfaces import Reporter
from block.recording import Evidence, LabeledRecording
from block.settings import SettingsError

# Environment variables with the path, and with the folder for scores, used if --details or --score-store isn't given.
VARIABLE, SCORES_VARIABLE = "LOCAL_STUDIO_DETAILS", "LOCAL_STUDIO_SCORES"


class DetailsReporter:
    """Writes each recording's result and the reasons for it to the file at `path`, and passes it on to `reporter`.

    With `record`, also write what it takes to decide the labels again.

    Raise SettingsError if the file can't be opened. If writing fails later, call `warn` once and stop writing.
    """

    def __init__(
        self, path: Path, reporter: Reporter, warn: Callable[[str], None], record: RunRecord | None = None
    ) -> None:
        self._path = path
        self._reporter = reporter
        self._warn = warn
        self._record = record
        self._lock = threading.Lock()
        self._is_closed = False
        self.report_skipped = reporter.report_skipped
        self.report_batch = reporter.report_batch
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK, 0o644)
        except OSError as error:
            raise SettingsError(f"can't write --details {path}: {error.strerror or error}") from None
        if record is not None:
            self._write({"run": record.to_json()})

    def report_labeled(self, labeled: LabeledRecording) -> None:
        content = {} if self._record is None else {"content": labeled.content}
        self._write({"sample": labeled.id, **content, "segments": describe_segments(labeled)})
        self._reporter.report_labeled(labeled)

    def report_failed(self, recording_id: int, reason: str, name: str = "") -> None:
        self._write({"sample": recording_id, "error": reason})
        self._reporter.report_failed(recording_id, reason, name)

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            os.close(self._file)

    def _write(self, line: Mapping[str, object]) -> None:
        data = (json.dumps(line) + "\n").encode()
        with self._lock:
            if self._is_closed:
                return
            try:
                if os.write(self._file, data) == len(data):
                    return
                reason = "the disk may be full"
            except OSError as error:
                reason = error.strerror or str(error)
            self._is_closed = True
        self._warn(f"can't write {self._path} any longer: {reason}; continuing without details")


def describe_segments(labeled: LabeledRecording) -> list[dict[str, object]]:
    """Return the segments of a recording with their evidence, as the file has them."""
    evidence: Sequence[Evidence | None] = labeled.evidence or [None] * len(labeled.segments)
    return [
        {
            "startIndex": segment.start,
            "endIndex": segment.end - 1,
            "label": segment.label,
            "score": round(segment.score, 4),
            **({} if one is None else _describe(one)),
        }
        for segment, one in zip(labeled.segments, evidence, strict=True)
    ]


def _describe(evidence: Evidence) -> dict[str, object]:
    loudness = evidence.loudness_dbfs
    return {
        "runnersUp": [[one.name, round(one.score, 4)] for one in evidence.runners_up],
        "loudnessDbfs": round(loudness, 1) if math.isfinite(loudness) else None,
        "windows": evidence.windows,
        "agreeing": evidence.agreeing,
        "margin": round(evidence.margin, 4),
    }
