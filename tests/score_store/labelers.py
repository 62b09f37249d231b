"""Recordings, and labelers with a small checkpoint, for tests of stored scores."""

from __future__ import annotations

import functools
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile

from block import audio
from block.labeling.labeler import ExactLabeler
from block.labels import parse_labels
from block.model.checkpoint import find_checkpoint
from block.model.classifier import Classifier, Outputs
from block.model.device import choose_device
from block.model.features import FilterBanks
from block.recording import Recording, Waveform, Window
from block.runtime.hashing import compute_sha256
from block.score_store import Key
from block.settings import EXACT, ComputeSettings, DecisionSettings, WindowSettings

LABELS = "Speech (voice, 0.12), Music, Dog (0.3), Whimper"


def sound(seconds: float, rate: int = 16000, identity: int = 1) -> Recording:
    """Return tones that change every second; the third second is nearly silent, the fourth completely."""
    rng = np.random.default_rng(identity)
    time = np.arange(round(seconds * rate)) / rate
    hz = 200 * 2 ** ((np.floor(time) + identity) % 5)
    waveform = 0.3 * np.sin(2 * np.pi * hz * time) + rng.normal(0, 0.02, len(time))
    waveform[2 * rate : 3 * rate] *= 1e-3
    waveform[3 * rate : 4 * rate] = 0
    file = io.BytesIO()
    soundfile.write(file, waveform, rate, format="WAV", subtype="FLOAT")
    data = file.getvalue()
    read = audio.decode(data)
    return Recording(
        identity, f"r{identity}", read.rate_hz, read.positions, read.waveform, ratio=read.ratio,
        content=compute_sha256(data),
    )  # fmt: skip


def decisions(folder: Path, text: str = LABELS, threshold: float = 0.15, **settings: object) -> DecisionSettings:
    labels = parse_labels(text, find_checkpoint(str(folder)).class_names, threshold)
    return DecisionSettings(labels, **settings)  # type: ignore[arg-type]


@functools.cache
def get_classifier(folder: Path) -> Classifier:
    """Return one classifier for all tests; it has no state."""
    return Classifier(find_checkpoint(str(folder)), choose_device(ComputeSettings("cpu")), for_store=True)


@dataclass(frozen=True)
class Counting(ExactLabeler):
    """Count the windows that the model scores; with `memory`, score each distinct span only once."""

    asked: list[int] = field(default_factory=list)
    memory: dict[bytes, Outputs] | None = None

    def compute_outputs(self, items: Sequence[tuple[Waveform, Window]], path: str = EXACT) -> Outputs:
        self.asked.append(len(items))
        if self.memory is None or not items:
            return super().compute_outputs(items, path)
        names = [waveform[span.start : span.end].tobytes() for waveform, span in items]
        for name, item in zip(names, items, strict=True):
            if name not in self.memory:
                self.memory[name] = super().compute_outputs([item], path)
        return np.concatenate([self.memory[name] for name in names])


def make_labeler(
    folder: Path, windows: WindowSettings, settings: DecisionSettings, classifier: Classifier | None = None,
    memory: dict[bytes, Outputs] | None = None,
) -> Counting:  # fmt: skip
    classifier = classifier or get_classifier(folder)
    banks = FilterBanks(classifier.checkpoint.front_end, classifier.device.device)
    return Counting(classifier, banks, windows, settings, warn=lambda text: None, memory=memory)


def key(labeler: ExactLabeler, mode: str = "exact") -> Key:
    return Key.from_checkpoint(labeler.classifier.checkpoint, labeler.windows, "pad", mode, "float32")
