"""Spectrograms for people."""

from __future__ import annotations

import numpy as np
import pytest

from block.spectrogram import compute_mel_levels


def test_levels_fall_with_decibels_from_the_loudest_and_end_70_below_it() -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000)
    levels = compute_mel_levels(np.concatenate([0.5 * tone, 0.05 * tone, 0 * tone]).astype(np.float32), 16000)
    bands, frames = levels.shape
    assert bands == 96
    thirds = [levels[:, at * frames // 6].max() for at in (1, 3, 5)]
    assert thirds == pytest.approx([1, 1 - 20 / 70, 0], abs=0.01)
