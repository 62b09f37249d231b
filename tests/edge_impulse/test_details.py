"""The details file, which explains each label."""

from __future__ import annotations

import json
import math
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from block.commands import label_samples
from block.edge_impulse.details import SCORES_VARIABLE, DetailsReporter
from block.edge_impulse.run_record import RunRecord
from block.labeling.progress import Progress
from block.labels import parse_labels
from block.recording import Evidence, LabeledRecording, RunnerUp, Segment
from block.score_store import Key, ScoreStore
from block.settings import AuditSettings, DecisionSettings, SettingsError, WindowSettings

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


def test_for_the_local_studio_the_file_says_how_to_decide_the_labels_again(tmp_path: Path) -> None:
    path = tmp_path / "details"
    labels = parse_labels("Dog (0.3), Cat", ["Cat", "Dog"], 0.2)
    key = Key("0" * 64, WindowSettings(), "pad", "exact", "float32")
    record = RunRecord(key, DecisionSettings(labels), AuditSettings(), "m", "replace", False)
    details = DetailsReporter(path, Progress(2), print, record)
    details.report_labeled(replace(LABELED, content="1" * 64))
    details.close()
    first, second = read_lines(path)
    assert RunRecord.from_json(first["run"]) == record
    assert (second["sample"], second["content"]) == (7, "1" * 64)


def test_without_pyarrow_the_local_studios_jobs_keep_no_scores_and_say_so_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    key = Key("0" * 64, WindowSettings(), "pad", "exact", "float32")
    monkeypatch.setenv(SCORES_VARIABLE, str(tmp_path))
    with ScoreStore(tmp_path, key, ["Cat"]) as store:
        opened = label_samples.open_store(None, key, ["Cat"], Progress(1))
        assert opened is not None
        assert opened.folder == store.folder
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert label_samples.open_store(None, key, ["Cat"], Progress(1)) is None
    assert capsys.readouterr().out.count("scores aren't kept") == 1
    with pytest.raises(SettingsError, match="needs pyarrow"):
        label_samples.open_store(str(tmp_path), key, ["Cat"], Progress(1))


def test_a_path_that_cannot_be_written_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="can't write --details"):
        DetailsReporter(tmp_path / "no" / "details", Progress(2), print)
