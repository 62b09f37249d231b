"""Draw training windows from the stored tracks, with random cuts, levels, spectral tilts, shifts and masks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from .arrays import Bools, Floats
from .labels import Labels
from .targets import Target, TargetMaker

FLOOR = -15.9424  # log of float32's epsilon, Kaldi's value for digital silence
MEAN, STD = -4.2677393, 4.5689974
PATCH = 16
PATCH_HOP_FRAMES = 48
PATCH_FRAMES = 96

# Lengths of windows as columns of 16 frames, and their shares. There are few shapes because a CPU
# prepares kernels for each shape, which costs as much as running them. 13 columns are 2 s, 7 are 1 s, 32 are 5 s.
COLUMNS_DRAWN = {2: 0.05, 3: 0.03, 4: 0.04, 7: 0.14, 10: 0.08, 13: 0.33, 20: 0.09, 32: 0.16, 46: 0.04, 64: 0.04}


@dataclass(frozen=True)
class Batch:
    """Windows of one length. `pixels`: (windows, 16·columns, 128), normalized; for the rest see `Target`."""

    pixels: torch.Tensor
    presence: torch.Tensor
    share: torch.Tensor
    absent: torch.Tensor
    embedding: torch.Tensor  # (windows, 1024), the teacher's, each value standardized


class Tracks:
    """All stored tracks in memory."""

    def __init__(self, folder: Path, labels: Labels, pattern: str = "train-*.npz") -> None:
        parts = [np.load(file) for file in sorted(folder.glob(pattern)) if ".part" not in file.name]
        if not parts:
            raise FileNotFoundError(f"no tracks {pattern} in {folder}")

        def joined(name: str) -> npt.NDArray[Any]:
            return np.concatenate([part[name] for part in parts])

        self.mel: Floats = joined("mel")
        self.logits: Floats = joined("logits")
        self.embedding: Floats = joined("embedding")
        self.active: Bools = joined("active")
        self.truth: Bools = joined("truth")
        self.clean: Bools = joined("clean")
        self.offsets = np.cumsum([0] + [n for part in parts for n in np.diff(part["offsets"])])
        self.patch_offsets = np.cumsum([0] + [n for part in parts for n in np.diff(part["patch_offsets"])])
        self._targets = TargetMaker(labels)
        some = self.embedding[::7].astype(np.float32)
        self._center, self._spread = some.mean(axis=0), some.std(axis=0) + 0.02

    def __len__(self) -> int:
        return len(self.truth)

    def cut(self, track: int, start: int, frames: int) -> tuple[Floats, Target, Floats]:
        """Return frames of a track, their target and the teacher's mean embedding."""
        first, last = self.offsets[track], self.offsets[track + 1]
        mel = self.mel[first + start : min(first + start + frames, last)].astype(np.float32)
        active = self.active[first + start : first + start + len(mel)]
        patches = self.patch_offsets[track + 1] - self.patch_offsets[track]
        low = int(np.clip(round((start - PATCH_FRAMES / 3) / PATCH_HOP_FRAMES), 0, patches - 1))
        high = int(np.clip(round((start + len(mel) - 2 * PATCH_FRAMES / 3) / PATCH_HOP_FRAMES), low, patches - 1))
        rows = slice(self.patch_offsets[track] + low, self.patch_offsets[track] + high + 1)
        taught = 1 / (1 + np.exp(-self.logits[rows].astype(np.float32)))
        heard = active.sum(axis=0)
        enough = (heard >= 25) | (heard >= 0.12 * len(mel))
        sure = (self.truth[track] & enough[:, None]).any(axis=0)
        # For cuts with only a moment of a sound, rely on the teacher.
        certain = bool((enough | (heard < 3)).all())
        target = self._targets(
            0.5 * taught.max(axis=0) + 0.5 * taught.mean(axis=0), sure, bool(self.clean[track]), certain
        )
        return mel, target, (self.embedding[rows].mean(axis=0, dtype=np.float32) - self._center) / self._spread


def change_level(mel: Floats, rng: np.random.Generator) -> Floats:
    """Apply a gain of -48 to +6 dB and a smooth spectral tilt, and add faint noise to some windows."""
    decibels = rng.uniform(-20, 6) if rng.random() < 0.7 else rng.uniform(-48, -20)
    gain = decibels * np.log(10) / 10
    tilt = np.interp(np.arange(128), np.linspace(0, 127, 6), rng.normal(0, 0.5, 6)) if rng.random() < 0.5 else 0.0
    silent = mel < FLOOR + 0.5
    out = np.maximum(mel + gain + tilt, FLOOR)
    out[silent] = FLOOR
    if rng.random() < 0.35:
        level = rng.uniform(-15, -7) + rng.uniform(-1.5, 2.5) * np.linspace(0, 1, 128)
        out = np.logaddexp(out, level + np.log(rng.gamma(3.0, 1 / 3.0, size=out.shape))).astype(np.float32)
    return np.asarray(out, dtype=np.float32)


def stretch(mel: Floats, rng: np.random.Generator) -> Floats:
    """Shift by up to three mel bins, and mask up to 12 % of the bins or frames."""
    shift = int(rng.integers(-3, 4))
    out = mel.copy()
    if shift > 0:
        out[:, shift:] = mel[:, :-shift]
    elif shift < 0:
        out[:, :shift] = mel[:, -shift:]
    fill = float(np.median(mel))
    if rng.random() < 0.4:
        width = int(rng.integers(1, 16))
        at = int(rng.integers(0, 128 - width))
        out[:, at : at + width] = fill
    if rng.random() < 0.3 and len(mel) > 60:
        width = int(rng.integers(1, len(mel) // 8))
        at = int(rng.integers(0, len(mel) - width))
        out[at : at + width] = fill
    if rng.random() < 0.08:  # as if recorded at a low rate: nothing above a cutoff
        out[:, int(rng.integers(80, 122)) :] = rng.uniform(FLOOR, FLOOR + 3)
    return out


def draw_columns(rng: np.random.Generator) -> int:
    """Return a random length for a batch's windows, in columns of patches."""
    return int(rng.choice(list(COLUMNS_DRAWN), p=list(COLUMNS_DRAWN.values())))


def draw(tracks: Tracks, rng: np.random.Generator, columns: int, tokens: int, change: float = 0.95) -> Batch:
    """Return a batch of windows that end in the last of `columns` columns, with about `tokens` patches in all.

    The share `change` of them gets random changes of level, tone and so on.
    """
    count = max(4, tokens // (8 * columns + 18))
    pixels = np.zeros((count, columns * PATCH, 128), dtype=np.float32)
    targets, embeddings = [], []
    for row in range(count):
        track = int(rng.integers(len(tracks)))
        frames = int(rng.integers(PATCH * (columns - 1) + 1, PATCH * columns + 1))
        length = int(tracks.offsets[track + 1] - tracks.offsets[track])
        start = int(rng.integers(0, max(1, length - frames + 1)))
        mel, target, embedding = tracks.cut(track, start, frames)
        mel = stretch(change_level(mel, rng), rng) if rng.random() < change else mel
        pixels[row, : len(mel)] = mel
        targets.append(target)
        embeddings.append(embedding)
    return Batch(
        torch.from_numpy((pixels - MEAN) / (2 * STD)),
        torch.from_numpy(np.stack([t.presence for t in targets])),
        torch.from_numpy(np.stack([t.share for t in targets])),
        torch.from_numpy(np.stack([t.absent for t in targets])),
        torch.from_numpy(np.stack(embeddings)),
    )
