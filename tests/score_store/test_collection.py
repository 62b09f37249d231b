"""Many recordings decided at once have the labels that each gets by itself, to the last bit."""

from __future__ import annotations

import random
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from block.labels import LabelOfInterest
from block.score_store import Scored
from block.score_store.collection import ScoredCollection
from block.score_store.relabel import WindowScores, decide
from block.settings import DecisionSettings, WindowSettings
from block.windows import lay_out_windows_ms

GRID_WINDOWS = WindowSettings(1000, 300)
SOUND_WINDOWS = WindowSettings(boundaries="sound")
CLASSES = 6
# The first two have one name, and the last is the best of three classes.
LABELS = (
    LabelOfInterest(0, "a", "animal", 0.3, "a"),
    LabelOfInterest(1, "b", "animal", 0.5, "b"),
    LabelOfInterest(2, "c", "c", 0.2, "c", (2, 3, 4)),
)


def make_recordings(rng: np.random.Generator, windows: WindowSettings, count: int = 40) -> list[Scored]:
    found = []
    for number in range(count):
        rate = Fraction(16000, int(rng.integers(1, 4)))
        values = int(rng.integers(500, 5000)) * int(rate) // 1000
        cuts = None
        if windows.boundaries == "sound":
            cuts = tuple(sorted({int(one) for one in rng.integers(1, values, size=int(rng.integers(0, 8)))}))
            size = len(cuts) + 1
        else:
            size = len(lay_out_windows_ms(values, rate, windows.size_ms, windows.stride_ms).windows)
        chunks = tuple(rng.integers(0, 3, size=size).tolist())  # 0: silent
        logits = rng.normal(-0.5, 2, size=(sum(chunks), CLASSES)).astype(np.float32)
        levels = np.where(np.array(chunks) > 0, -20, -np.inf).astype(np.float32)
        found.append(Scored(f"{number:064x}", values, rate, chunks, levels, logits, cuts=cuts))
    return found


def make_settings(rng: random.Random) -> DecisionSettings:
    labels = tuple(replace(label, threshold=rng.choice([0, 0.1, 0.25, 0.5, rng.random(), 1])) for label in LABELS)
    merge = rng.random() < 0.8
    return DecisionSettings(
        labels, score_function="sigmoid", silence_dbfs=-60, hysteresis=rng.choice([1, 1, 0.8, 0.3]),
        median_ms=rng.choice([0, 0, 700, 2500]), merge=merge,
        min_segment_ms=rng.choice([0, 400, 1500]) * merge, min_event_ms=rng.choice([0, 700]) * merge,
        min_gap_ms=rng.choice([0, 900]) * merge,
    )  # fmt: skip


@pytest.mark.parametrize("windows", [GRID_WINDOWS, SOUND_WINDOWS], ids=str)
@pytest.mark.parametrize("seed", range(5))
def test_labels_are_those_of_relabel_whatever_was_decided_before(windows: WindowSettings, seed: int) -> None:
    rng, recordings = random.Random(seed), make_recordings(np.random.default_rng(seed), windows)
    first = make_settings(rng)
    collection = ScoredCollection([WindowScores.of(one, windows, first) for one in recordings])
    for _ in range(12):
        settings = make_settings(rng)
        moved = replace(settings, labels=(replace(settings.labels[0], threshold=rng.random()), *settings.labels[1:]))
        for wanted in (settings, moved):  # one slider moves after another setting did
            expected = [decide(one, windows, wanted).segments for one in recordings]
            assert list(collection.decide(wanted)) == expected


def test_recordings_that_keep_their_labels_keep_their_segments() -> None:
    recordings = make_recordings(np.random.default_rng(1), GRID_WINDOWS)
    settings = DecisionSettings(LABELS, score_function="sigmoid", silence_dbfs=-60)
    collection = ScoredCollection([WindowScores.of(one, GRID_WINDOWS, settings) for one in recordings])
    before = list(collection.decide(settings))
    after = collection.decide(replace(settings, labels=(replace(LABELS[0], threshold=0.36), *LABELS[1:])))
    changed = [one is not other for one, other in zip(before, after, strict=True)]
    assert 0 < sum(changed) < len(recordings) / 2
    assert all(one == other for one, other, new in zip(before, after, changed, strict=True) if not new)


def test_no_recordings_have_no_labels() -> None:
    assert list(ScoredCollection([]).decide(DecisionSettings(LABELS))) == []
