"""Scores of fast mode in a folder's store: which are computed again, and what relabel says about the others."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

from block.folder.decide import find_score_needs
from block.folder.executor import FolderRun, label_folder
from block.folder.location import LocalFolder
from block.folder.manifest import FileEntry, Manifest
from block.folder.output_folder import OLD_OPTIONS, RunFile, find_old_options, load_run
from block.labeling.fast_labeler import FastLabeler
from block.labeling.progress import Progress
from block.labels import LabelOfInterest
from block.runtime.hashing import compute_sha256
from block.score_store import Key, Scored, ScoreStore
from block.settings import AuditSettings, DecisionSettings, WindowSettings
from tests.folder.conftest import tones
from tests.labeling.test_fast_labeler import stub
from tests.score_store.scores import add_embeddings, content

NAMES = ("dog", "rain", "c", "d")
WINDOWS = WindowSettings(1000, 1000)
KEY = Key("0" * 64, WINDOWS, "pad", "fast", "float32")
INF = float("inf")


def decisions(threshold: float) -> DecisionSettings:
    labels = tuple(LabelOfInterest(at, name, name, threshold, name) for at, name in enumerate(NAMES[:2]))
    return DecisionSettings(labels, score_function="sigmoid")


def make_scored(number: int, *errors: float) -> Scored:
    """Return a recording with a window for each error, all with a score of 0.5 for the first label."""
    logits = np.tile(np.array([0, -9, -9, -9], np.float32), (len(errors), 1))
    return Scored(
        content(number), 16000 * len(errors), Fraction(16000), (1,) * len(errors), np.zeros(len(errors), np.float32),
        logits, "fast merged" if any(errors) else "exact", np.array([errors, errors], np.float32).T,
    )  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> ScoreStore:
    made = ScoreStore(tmp_path / "scores", KEY, NAMES)
    for one in (make_scored(1, 0.0, 0.0), make_scored(2, 0.0, 0.02, 0.0), make_scored(3, INF, 0.0, INF)):
        made.add(one)
    made.flush()
    return ScoreStore(tmp_path / "scores", KEY, NAMES)


def manifest(tmp_path: Path) -> Manifest:
    return Manifest(tmp_path / "manifest.json", [FileEntry(f"{at}.wav", content=content(at)) for at in range(1, 5)])


def test_recordings_with_scores_too_close_to_the_threshold_or_of_unknown_error_are_read_again(
    tmp_path: Path, store: ScoreStore
) -> None:
    far = find_score_needs(manifest(tmp_path), store, decisions(0.6))
    assert (far.unscored, far.fast) == ([3, 4], [2])
    close = find_score_needs(manifest(tmp_path), store, decisions(0.51))
    assert (close.unscored, close.fast) == ([2, 3, 4], [])
    assert close.describe()[0].startswith(
        "3 windows of 2 recordings have scores from fast mode that are so close to a threshold or another label, or of "
        "unknown error, that exact mode may give another label; to compute these windows exactly, run label again"
    )
    same = find_score_needs(manifest(tmp_path), store, decisions(0.6), trusts_unknown=True)
    assert (same.unscored, same.fast) == ([4], [2, 3])
    assert same.describe() == []


def test_recordings_without_embeddings_are_read_again_only_if_embeddings_are_kept(
    tmp_path: Path, store: ScoreStore
) -> None:
    store.add(add_embeddings(make_scored(1, 0.0, 0.0)))
    without = find_score_needs(manifest(tmp_path), store, decisions(0.6), trusts_unknown=True)
    kept = find_score_needs(manifest(tmp_path), store, decisions(0.6), trusts_unknown=True, needs_embeddings=True)
    assert (without.unscored, kept.unscored) == ([4], [2, 3, 4])


def test_errors_come_back_from_the_store_and_better_scores_replace_worse_ones(
    tmp_path: Path, store: ScoreStore
) -> None:
    assert store.find(content(2)).errors.tolist() == [[0, 0], [np.float32(0.02)] * 2, [0, 0]]  # type: ignore[union-attr]
    known, exact = make_scored(3, 0.1, 0.0, 0.1), make_scored(3, 0.0, 0.0, 0.0)
    for better, worse in ((known, make_scored(3, INF, 0.0, 0.1)), (exact, known)):
        store.add(better)
        store.add(worse)
        store.flush()
        again = ScoreStore(tmp_path / "scores", KEY, NAMES).find(content(3))
        assert again is not None
        assert np.array_equal(again.errors, better.errors)
        assert again.mode == better.mode


def test_run_json_remembers_the_options_of_scores_without_errors(tmp_path: Path) -> None:
    assert find_old_options(tmp_path, KEY) is None
    run = RunFile("audio", "m", NAMES, KEY, {"min-confidence": 0.3}, True)
    run.save(tmp_path)
    assert json.loads((tmp_path / "run.json").read_text())[OLD_OPTIONS] is None
    assert find_old_options(tmp_path, KEY) is None
    # Block 0.1.0 wrote no such key.
    content = json.loads((tmp_path / "run.json").read_text())
    del content[OLD_OPTIONS]
    (tmp_path / "run.json").write_text(json.dumps(content))
    assert find_old_options(tmp_path, KEY) == {"min-confidence": 0.3}
    assert find_old_options(tmp_path, replace(KEY, dtype="bfloat16")) is None
    replace(load_run(tmp_path), options={"min-confidence": 0.7}).save(tmp_path)
    assert find_old_options(tmp_path, KEY) == {"min-confidence": 0.3}


def test_after_a_fall_back_recordings_that_were_not_read_are_computed_exactly(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    audio = tmp_path / "audio"
    audio.mkdir()
    soundfile.write(audio / "a.wav", tones(3, 16000), 16000)
    for number, name in enumerate("bc"):
        soundfile.write(audio / f"{name}.wav", tones(500, 16000, number), 16000)
    stored = replace(make_scored(1, 0.01, 0.01, 0.01), content=compute_sha256((audio / "a.wav").read_bytes()))
    scores = ScoreStore(tmp_path / "scores", KEY, NAMES)
    scores.add(stored)
    files = Manifest(tmp_path / "manifest.json", [FileEntry(f"{name}.wav") for name in "abc"])
    noises = iter(range(10**6))
    labeler = stub(noise=lambda window: 1e-4 if next(noises) < 560 else -30.0, slow_s=2e-3)

    class Engine:
        job = SimpleNamespace(checkpoint=SimpleNamespace(front_end=labeler.filter_banks.front_end))

        def load_labeler(self, progress: Any, **options: Any) -> FastLabeler:
            return FastLabeler(labeler, AuditSettings(), progress.say)

    run = FolderRun(LocalFolder(str(audio)), files, scores, fast=[1])
    result = label_folder(Engine(), run, [2, 3], Progress(2))  # type: ignore[arg-type]
    assert "computing 1 recording exactly whose stored scores are from fast mode" in capsys.readouterr().out
    assert result.summary.labeled == [2, 3, 1]
    again = scores.find(stored.content)
    assert again is not None
    assert again.mode == "exact"
