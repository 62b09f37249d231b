"""Cut windows of real recordings for the checkpoint with strong positions, with the block's front end."""

from __future__ import annotations

import numpy as np
import soundfile
import torch
import torch.nn.functional as F
import torchaudio
from transformers import ASTForAudioClassification

from block.model.features import FilterBanks

from .network import ROWS
from .sources import Clip
from .windows import PATCH

RATE = 16000
LONGEST_S = 15  # used of each recording
KINDS = {"esc10": 0.5, "effect": 0.32, "digit": 0.1, "scene": 0.08}  # shares of the training windows


def embedded(model: ASTForAudioClassification, patches: torch.Tensor) -> torch.Tensor:
    """Return patch embeddings before positions are added. Shape: (patches, 16 bins · 16 frames) → (patches, width)."""
    project = model.audio_spectrogram_transformer.embeddings.patch_embeddings.projection
    return F.linear(patches, project.weight.flatten(1), project.bias)


def content(inputs: torch.Tensor, values: list[int]) -> torch.Tensor:
    """Return the patches without padding. Shape: (windows, 1024, 128) → (patches, 16 bins · 16 frames)."""
    columns = [(1 + (count - 400) // 160) // PATCH for count in values]
    kept = [
        window[: PATCH * count].view(count, PATCH, ROWS, PATCH) for window, count in zip(inputs, columns, strict=True)
    ]
    return torch.cat(kept).permute(0, 2, 3, 1).reshape(-1, PATCH * PATCH)


def load(clip: Clip) -> torch.Tensor:
    """Return the start of a recording at 16 kHz, at its own level. Shape: (values,)."""
    with soundfile.SoundFile(clip.path) as file:
        waveform, rate_hz = file.read(LONGEST_S * file.samplerate, dtype="float32", always_2d=True), file.samplerate
    resampled: torch.Tensor = torchaudio.functional.resample(torch.from_numpy(waveform.mean(axis=1)), rate_hz, RATE)
    return resampled


def tensors(banks: FilterBanks, waveforms: list[torch.Tensor]) -> torch.Tensor:
    """Return the block's input tensors of waveforms of any length. Shape: (waveforms, 1024, 128)."""
    return torch.cat([banks(waveform[None]) for waveform in waveforms])


class Windows:
    """Random training windows of the recordings, as waveforms and as the block's input tensors."""

    def __init__(self, clips: list[Clip], banks: FilterBanks, seed: int) -> None:
        self._sounds = {kind: [load(clip) for clip in clips if clip.kind == kind] for kind in KINDS}
        self._banks, self._rng = banks, np.random.default_rng(seed)
        self._limit = banks.front_end.limit_values

    def _sound(self, values: int) -> torch.Tensor:
        """Return a random cut; short recordings are joined with others of their kind."""
        rng, cut = self._rng, torch.zeros(0)
        sounds = self._sounds[str(rng.choice(list(KINDS), p=list(KINDS.values())))]
        while len(cut) < values:
            sound = sounds[rng.integers(len(sounds))]
            start = int(rng.integers(0, max(1, len(sound) - (values - len(cut)) + 1)))
            cut = torch.cat([cut, sound[start : start + values - len(cut)]])
        return cut * 10 ** (float(rng.uniform(-20, 6)) / 20)

    def waveform(self) -> torch.Tensor:
        """Return a window of 0.5 to 10.24 s, often 2 s; a third of them have two sounds at once."""
        rng = self._rng
        values = 2 * RATE if rng.random() < 0.3 else int(RATE / 2 * (2 * self._limit / RATE) ** rng.random())
        mixed = self._sound(values)
        return (mixed + self._sound(values) if rng.random() < 0.33 else mixed).clamp(-1, 1)

    def draw(self, count: int) -> tuple[torch.Tensor, list[int]]:
        """Return input tensors, (count, 1024, 128), and the number of values of each window."""
        waveforms = [self.waveform() for _ in range(count)]
        return tensors(self._banks, waveforms), [len(w) for w in waveforms]
