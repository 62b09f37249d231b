"""Change a waveform but not its classes: speed, room, tone, bandwidth, level, clipping, compression."""

from __future__ import annotations

import io

import numpy as np
import soundfile
import torch
import torchaudio
from scipy.signal import butter, fftconvolve, resample_poly, sosfilt

from .arrays import Floats

RATE = 16000


def resample(waveform: Floats, from_hz: int, to_hz: int = RATE) -> Floats:
    """Resample with a band limit, like the block. Shape: (values,) → (values,)."""
    if from_hz == to_hz:
        return waveform
    values = torch.from_numpy(np.ascontiguousarray(waveform))
    resampled: Floats = torchaudio.functional.resample(values, from_hz, to_hz).numpy()
    return resampled


def change_speed(waveform: Floats, factor: float) -> Floats:
    """Speed up and raise the pitch by a factor between 0.5 and 2, like a tape."""
    changed: Floats = resample_poly(waveform, 100, round(100 * factor)).astype(np.float32)
    return changed


def wander(waveform: Floats, rng: np.random.Generator) -> Floats:
    """Vary speed and pitch by up to a third of an octave, to make a synthesizer livelier."""
    points = max(4, int(len(waveform) / RATE * rng.uniform(0.7, 3)) + 2)
    octaves = np.interp(
        np.arange(len(waveform)), np.linspace(0, len(waveform), points), rng.uniform(-0.33, 0.33, points)
    )
    position = np.cumsum(2**octaves)
    heard = position[position < len(waveform) - 1]
    return np.asarray(np.interp(heard, np.arange(len(waveform)), waveform), dtype=np.float32)


def room(waveform: Floats, rng: np.random.Generator) -> Floats:
    """Add the reverberation of a random room: exponentially decaying noise after the direct sound."""
    decay_s = rng.uniform(0.08, 0.7)
    tail = rng.standard_normal(int(decay_s * RATE)) * np.exp(-6.9 * np.linspace(0, 1, int(decay_s * RATE)))
    tail[: int(0.003 * RATE)] = 0.0
    tail *= rng.uniform(0.1, 0.9) / np.sqrt(np.sum(tail**2))
    tail[0] = 1.0
    heard: Floats = fftconvolve(waveform, tail)[: len(waveform)].astype(np.float32)
    return heard


def equalize(waveform: Floats, rng: np.random.Generator) -> Floats:
    """Apply a smooth random frequency response within about ±10 dB."""
    knots_db = rng.normal(0, 4, size=8)
    spectrum = np.fft.rfft(waveform)
    octave = np.log2(np.maximum(np.fft.rfftfreq(len(waveform), 1 / RATE), 31.25) / 31.25)
    gain = 10 ** (np.interp(octave, np.linspace(0, 8, 8), knots_db) / 20)
    return np.fft.irfft(spectrum * gain, len(waveform)).astype(np.float32)


def narrow(waveform: Floats, rng: np.random.Generator) -> Floats:
    """Limit the bandwidth, as if recorded at 8, 11.025 or 12 kHz or over a telephone."""
    kind = rng.choice(["8", "11", "12", "phone"])
    if kind == "phone":
        sos = butter(4, [300, 3400], btype="band", fs=RATE, output="sos")
        telephone: Floats = sosfilt(sos, waveform).astype(np.float32)
        return telephone
    low = {"8": 8000, "11": 11025, "12": 12000}[str(kind)]
    return resample(resample(waveform, RATE, low), low, RATE)[: len(waveform)]


def compress(waveform: Floats, rng: np.random.Generator) -> Floats:
    """Encode with Ogg Vorbis at a random quality, or round to 8 or 16 bits."""
    clipped = np.clip(waveform, -1, 1)
    if rng.random() < 0.5:
        bits = int(rng.choice([8, 16, 16]))
        return np.asarray(np.round(clipped * 2 ** (bits - 1)) / 2 ** (bits - 1), dtype=np.float32)
    buffer = io.BytesIO()
    soundfile.write(buffer, clipped, RATE, format="OGG", subtype="VORBIS", compression_level=float(rng.uniform(0, 1)))
    buffer.seek(0)
    decoded, _ = soundfile.read(buffer, dtype="float32")
    return np.resize(decoded, len(waveform)).astype(np.float32)


def augment(waveform: Floats, rng: np.random.Generator, speed: float = 0.15) -> Floats:
    """Apply a random chain of the above. `speed` is the standard deviation of the change of speed, in octaves."""
    if speed and rng.random() < 0.7:
        waveform = change_speed(waveform, 2 ** float(np.clip(rng.normal(0, speed), -0.6, 0.6)))
    if rng.random() < 0.5:
        waveform = equalize(waveform, rng)
    if rng.random() < 0.35:
        waveform = room(waveform, rng)
    if rng.random() < 0.15:
        waveform = narrow(waveform, rng)
    if rng.random() < 0.08:
        waveform = np.tanh(waveform / (np.abs(waveform).max() + 1e-9) * rng.uniform(2, 8)).astype(np.float32)
    return waveform


def with_peak(waveform: Floats, dbfs: float) -> Floats:
    """Return `waveform` scaled to a peak of `dbfs` decibels relative to full scale; silence stays silence."""
    peak = float(np.abs(waveform).max()) if len(waveform) else 0.0
    return waveform if peak < 1e-7 else (waveform * (10 ** (dbfs / 20) / peak)).astype(np.float32)
