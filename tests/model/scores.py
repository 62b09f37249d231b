"""Logits of one scores version: python -m tests.model.scores records those of `SCORES_VERSION`, each path's once.

The recordings are made here, so that nothing but the block's own arithmetic affects the logits: resampling, where
windows start at the model's rate, the front end, and the forward pass on each path.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from block import audio
from block.labeling.labeler import ExactLabeler
from block.labels import parse_labels
from block.model.arithmetic import SCORES_VERSION
from block.model.checkpoint import find_checkpoint
from block.model.classifier import Classifier
from block.model.device import choose_device
from block.model.features import FilterBanks
from block.recording import Recording
from block.settings import FILLS, ComputeSettings, DecisionSettings, WindowSettings
from tests.conftest import EMBEDDED
from tests.golden.sounds import wav

FOLDER = Path(__file__).resolve().parent / "scores"
CLASSES = slice(None, None, 8)  # enough of them to notice any change
Logits = npt.NDArray[np.float32]


def compute_logits() -> dict[str, Logits]:
    """Return logits of the embedded checkpoint by path, fill and rate, for every path that this machine has.

    Shape of each: `(windows, classes)`.
    """
    checkpoint, device = find_checkpoint(str(EMBEDDED)), choose_device(ComputeSettings("cpu"))
    classifier = Classifier(checkpoint, device, fast=True)
    banks = FilterBanks(checkpoint.front_end, device.device)
    windows = WindowSettings(900, 700)
    decisions = DecisionSettings(parse_labels("Speech", checkpoint.class_names, 0.2))
    found: dict[str, Logits] = {}
    for fill in FILLS:
        labeler = ExactLabeler(classifier, banks, windows, decisions, lambda text: None, fill=fill)
        for rate_hz in (16000, 44100):
            read = audio.decode(wav(_make_sound(rate_hz), rate_hz))
            prepared = labeler.prepare(
                Recording(1, "one", read.rate_hz, read.positions, read.waveform, ratio=read.ratio)
            )
            items = [(prepared.waveform, chunk) for chunk in prepared.chunks]
            for path in labeler.paths:
                found[f"{path}, {fill}, {rate_hz} Hz"] = labeler.compute_outputs(items, path)[:, CLASSES]
    return found


def _make_sound(rate_hz: int) -> npt.NDArray[np.int16]:
    """Return tones over noise. NumPy never changes the numbers of RandomState."""
    time = np.arange(round(2.5 * rate_hz)) / rate_hz
    hz = 220 * 2 ** ((2 * time).astype(int) % 4)
    sound = 0.2 * np.sin(2 * np.pi * hz * time) + np.random.RandomState(5).normal(0, 0.03, len(time))
    return np.round(32767 * sound).astype(np.int16)


def main() -> None:
    """Record the logits of the current scores version, of all paths that it lacks. The others never change."""
    path = FOLDER / f"{SCORES_VERSION}.npz"
    recorded = dict(np.load(path)) if path.exists() else {}
    found = {name: logits for name, logits in compute_logits().items() if name not in recorded}
    if not found:
        sys.exit(f"{path} already has all paths: if logits changed, raise SCORES_VERSION first")
    FOLDER.mkdir(exist_ok=True)
    np.savez_compressed(path, allow_pickle=False, **recorded, **found)
    print(f"wrote {path}, with new logits of {', '.join(found)}")


if __name__ == "__main__":
    main()
