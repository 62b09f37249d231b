"""YAMNet as the teacher: its log-mel front end, and its logits and embedding for every patch of a waveform."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .arrays import Floats

RATE_HZ = 16000
HOP = 160  # values between frames
PATCH_FRAMES = 96
PATCH_HOP_FRAMES = 48


@dataclass(frozen=True)
class PatchScores:
    """The teacher's output for each patch; patch p covers frames 48·p … 48·p + 95 (10 ms per frame)."""

    logits: Floats  # (patches, 521), float32
    embedding: Floats  # (patches, 1024), float32, not negative


def mel_weights(bands: int = 64, low_hz: float = 125.0, high_hz: float = 7500.0) -> Floats:
    """Return triangular filters on the HTK mel scale, peak 1, as TensorFlow builds them. Shape: (257, bands)."""

    def mel(hz: Floats | float) -> Floats:
        found: Floats = 1127.0 * np.log1p(np.asarray(hz) / 700.0)
        return found

    edges = np.linspace(mel(low_hz), mel(high_hz), bands + 2)
    bins = mel(np.linspace(0.0, RATE_HZ / 2, 257))[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    weights = np.maximum(0.0, np.minimum(rising, falling))
    weights[0] = 0.0  # the DC bin belongs to no band
    return np.asarray(weights, dtype=np.float32)


def spectra(waveform: Floats, weights: Floats) -> Floats:
    """Return ln(mel + 0.001) of a 16 kHz waveform, padded to at least one patch. Shape: (values,) → (frames, 64)."""
    least = 400 + HOP * (PATCH_FRAMES - 1)
    if len(waveform) < least:
        waveform = np.pad(waveform, (0, least - len(waveform)))
    frames = np.lib.stride_tricks.sliding_window_view(waveform, 400)[::HOP]
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)).astype(np.float32)
    magnitude = np.abs(np.fft.rfft(frames * window, 512)).astype(np.float32)
    return np.log(magnitude @ weights + 0.001)


class Teacher:
    """YAMNet in its int8 TFLite form, which takes one patch of spectra at a time."""

    def __init__(self, model: Path) -> None:
        from ai_edge_litert.interpreter import Interpreter

        # Preserve all tensors to read the logits and the embedding: the sigmoid outputs are rounded to 1/256, which
        # loses what the teacher knows about unlikely classes.
        self._interpreter = Interpreter(str(model), num_threads=1, experimental_preserve_all_tensors=True)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        tensors = self._interpreter.get_tensor_details()
        self._logits = next(t for t in tensors if t["name"].endswith("fc/BiasAdd") and len(t["shape"]) == 2)
        self._embedding = next(t for t in tensors if t["name"].endswith("reduce_mean") and len(t["shape"]) == 4)
        self._weights = mel_weights()

    def _value(self, tensor: dict[str, Any]) -> Floats:
        scale, zero = tensor["quantization"]
        value: Floats = (self._interpreter.get_tensor(tensor["index"]).astype(np.float32).ravel() - zero) * scale
        return value

    def __call__(self, waveform: Floats) -> PatchScores:
        """Score a mono 16 kHz waveform in ±1, in patches that overlap by half."""
        log_mel = spectra(waveform, self._weights)
        logits, embeddings = [], []
        for start in range(0, len(log_mel) - PATCH_FRAMES + 1, PATCH_HOP_FRAMES):
            self._interpreter.set_tensor(self._input, log_mel[None, start : start + PATCH_FRAMES])
            self._interpreter.invoke()
            logits.append(self._value(self._logits))
            embeddings.append(self._value(self._embedding))
        return PatchScores(np.stack(logits), np.stack(embeddings))
