"""Synthetic clips, settings and annotations, for tests that need no model and no audio."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from block.evaluation.annotations import Annotation, Annotations
from block.evaluation.ground_truth import GroundTruth, LabelResolver, read_ground_truth
from block.evaluation.predictions import Clip
from block.labels import parse_labels
from block.settings import DecisionSettings, WindowSettings
from block.windows import lay_out_windows_ms
from tests.conftest import NAMES

RATE_HZ = 1000


def make_clip(logits: npt.ArrayLike, seconds: float = 2.0, windows: WindowSettings = WindowSettings(0, 0)) -> Clip:
    """Return a clip with one chunk per window. Shape of `logits`: `(windows, classes)`."""
    layout = lay_out_windows_ms(round(seconds * RATE_HZ), Fraction(RATE_HZ), windows.size_ms, windows.stride_ms)
    found = np.atleast_2d(np.asarray(logits, np.float32))
    assert len(found) == len(layout.windows)
    return Clip(Fraction(RATE_HZ), layout, (1,) * len(found), found)


def make_settings(text: str = "Speech, Music, Dog", threshold: float = 0.5, **other: object) -> DecisionSettings:
    """Return settings for labels of interest among the tests' class names, with sigmoid by default."""
    labels = parse_labels(text, NAMES, threshold)
    return DecisionSettings(labels, **{"score_function": "sigmoid", **other})  # type: ignore[arg-type]


def make_truth(
    rows: Sequence[tuple[object, ...]], decisions: DecisionSettings, exhaustive: bool = False
) -> GroundTruth:
    """Return the ground truth of rows with file and label, or with file, start, end and label."""
    strong = any(len(row) == 4 for row in rows)
    made = tuple(
        Annotation(f"made, line {at}", str(row[0]), str(row[-1]), *(row[1:3] if len(row) == 4 else ()))
        for at, row in enumerate(rows, start=2)
    )
    resolver = LabelResolver(decisions.labels, NAMES, decisions.other_label)
    return read_ground_truth(Annotations("made", strong, made), resolver, exhaustive)


def make_clips(
    count: int, decisions: DecisionSettings, seed: int = 0, spread: float = 1.5
) -> tuple[list[Clip], list[tuple[str, str]]]:
    """Return clips and their annotations: each has at most one label of interest, and logits that depend on it."""
    rng = np.random.default_rng(seed)
    clips, rows = [], []
    for at in range(count):
        logits = rng.normal(-2, spread, len(NAMES))
        chosen = int(rng.integers(len(decisions.labels) + 1))
        if chosen < len(decisions.labels):
            label = decisions.labels[chosen]
            logits[label.index] += 4
            rows.append((f"clip {at}.wav", label.class_name))
        else:
            rows.append((f"clip {at}.wav", ""))
        clips.append(make_clip(logits))
    return clips, rows
