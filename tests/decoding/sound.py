"""The sound that every file of the collection holds, and its values as bytes."""

from __future__ import annotations

from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
Coding = Literal["u8", "s8", "s16", "s24", "s32", "f32", "f64"]
Order = Literal["<", ">"]
BITS: dict[Coding, int] = {"u8": 8, "s8": 8, "s16": 16, "s24": 24, "s32": 32, "f32": 32, "f64": 64}
SECONDS = 1.611  # not a whole number of frames of any codec


def count_values(rate_hz: int) -> int:
    """Return how many values per channel the sound has."""
    return int(rate_hz * SECONDS)


@cache
def make_sound(rate_hz: int, channels: int = 1) -> Values:
    """Return one tone per channel and noise, within ±0.6, shape `(values, channels)`.

    The first quarter has hardly any noise, so that an encoder of variable bit rate begins with far smaller frames than
    it needs later. The sound neither begins nor ends in silence, so that a missing part is noticed.
    """
    time = np.arange(count_values(rate_hz))[:, None] / rate_hz
    tones = 0.3 * np.sin(2 * np.pi * (300 + 170 * np.arange(channels)) * time)
    noise = np.random.default_rng(17).uniform(-0.3, 0.3, (len(time), channels))
    sound: Values = tones + noise * np.where(time < SECONDS / 4, 0.001, 1)
    return sound


def encode_pcm(sound: Values, coding: Coding = "s16", order: Order = "<") -> bytes:
    """Return the values of `sound` as bytes, channels interleaved."""
    width = BITS[coding] // 8
    if coding in ("f32", "f64"):
        return bytes(sound.astype(f"{order}f{width}").tobytes())
    whole = np.round(sound * 2 ** (8 * width - 1)).astype(np.int64)
    if coding == "u8":
        return bytes((whole + 128).astype("u1").tobytes())
    raw = whole.astype(f"{order}i8").view("u1").reshape(-1, 8)
    return bytes((raw[:, :width] if order == "<" else raw[:, 8 - width :]).tobytes())
