"""The table of how close fast paths get: which windows it draws, and what it says of a path."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from block.model.checkpoint import find_checkpoint
from block.model.classifier import MERGED, Classifier
from block.model.device import choose_device
from block.settings import ComputeSettings
from tests.conftest import EMBEDDED

soundfile = pytest.importorskip("soundfile")
from bench.closeness import Closeness, draw_windows  # noqa: E402


def test_one_window_of_each_long_enough_recording_is_drawn_the_same_for_a_seed(tmp_path: Path) -> None:
    for number, seconds in enumerate((3, 0.5, 2)):
        sound = np.random.default_rng(number).normal(0, 0.1, round(16000 * seconds))
        soundfile.write(tmp_path / f"{number}.wav", sound, 16000)
    drawn = [draw_windows(tmp_path, 1, 10, seed) for seed in (0, 0, 1)]
    assert [len(window) for window in drawn[0]] == [16000, 16000]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])


def test_more_groups_come_closer_and_as_many_as_padding_tokens_are_exact() -> None:
    generator = np.random.default_rng(0)
    windows = [generator.normal(0, 0.1, 16000).astype(np.float32) for _ in range(3)]
    classifier = Classifier(find_checkpoint(str(EMBEDDED)), choose_device(ComputeSettings("cpu")), fast=True)
    closeness = Closeness(classifier, windows)
    few, many = (closeness.try_path(MERGED, groups)[0].tally.largest_error for groups in (2, 456))
    assert closeness.count_tokens(MERGED) == 514
    assert many < 1e-5 < few


def test_labels_that_a_run_would_recompute_count_as_different(monkeypatch: pytest.MonkeyPatch) -> None:
    windows = [np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32)] * 2
    classifier = Classifier(find_checkpoint(str(EMBEDDED)), choose_device(ComputeSettings("cpu")), fast=True)
    closeness = Closeness(classifier, windows)
    given = iter((["Dog", "Rain"], ["Dog", "other"], *[["Dog", "Dog"]] * 2))
    monkeypatch.setattr("block.decisions.decide_windows", lambda *arguments: next(given))
    trial, same = closeness.try_path(MERGED, 128)
    assert (same, trial.tally.agreed) == (0.5, 2)
