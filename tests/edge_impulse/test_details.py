"""The details file, which explains each label."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest

from block.edge_impulse.details import DetailsReporter
from block.labeling.progress import Progress
from block.recording import Evidence, LabeledRecording, RunnerUp, Segment
from block.settings import SettingsError

SPEECH_EVIDENCE = Evidence((RunnerUp("Music", 0.123456),), -23.44, 5, 4, 0.25)
LABELED = LabeledRecording(
    7, "a", 100, 1.0, (Segment(0, 60, "speech", 0.9), Segment(60, 100, "other", 0.1)), 5,
    evidence=(SPEECH_EVIDENCE, Evidence((), -math.inf, 1, 1)),
)  # fmt: skip


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_labels_evidence_and_failures_are_written_as_they_arrive(tmp_path: Path) -> None:
    path = tmp_path / "details"
    details = DetailsReporter(path, Progress(2), print)
    details.report_labeled(LABELED)
    details.report_failed(8, "it is empty")
    first, second = read_lines(path)
    assert first == {
        "sample": 7,
        "segments": [
            {"startIndex": 0, "endIndex": 59, "label": "speech", "score": 0.9, "runnersUp": [["Music", 0.1235]],
             "loudnessDbfs": -23.4, "windows": 5, "agreeing": 4, "margin": 0.25},
            {"startIndex": 60, "endIndex": 99, "label": "other", "score": 0.1, "runnersUp": [],
             "loudnessDbfs": None, "windows": 1, "agreeing": 1, "margin": 1.0},
        ],
    }  # fmt: skip
    assert second == {"sample": 8, "error": "it is empty"}
    details.close()


def test_a_full_disk_gives_only_one_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    warnings: list[str] = []
    details = DetailsReporter(tmp_path / "details", Progress(2), warnings.append)

    def fail_with_full_disk(file: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", fail_with_full_disk)
    details.report_labeled(LABELED)
    details.report_failed(8, "it is empty")
    monkeypatch.undo()
    details.close()
    assert len(warnings) == 1
    assert "No space left on device" in warnings[0]


def test_a_path_that_cannot_be_written_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="can't write --details"):
        DetailsReporter(tmp_path / "no" / "details", Progress(2), print)
