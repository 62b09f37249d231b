"""Generate sounds that are neither speech nor music: noises, hums, tones, clicks, and imitations of nature.

Each function returns mono 16 kHz values of any level; `make_noise` scales them. The imitations (rain, surf, fire, a
rotor, a saw, a clock) are rough: they add variety to the real recordings, and the teacher labels most of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.signal import butter, sosfilt

from .arrays import Floats

RATE = 16000


@dataclass(frozen=True)
class Noise:
    """A generated waveform in ±1 and the classes that are certainly present."""

    waveform: Floats
    classes: tuple[str, ...]


def colored(length: int, exponent: float, rng: np.random.Generator) -> Floats:
    """Return noise whose power falls with frequency to the given exponent: 0 white, 1 pink, 2 brown."""
    spectrum = np.fft.rfft(rng.standard_normal(length))
    hz = np.maximum(np.fft.rfftfreq(length, 1 / RATE), 20.0)
    return np.fft.irfft(spectrum * hz ** (-exponent / 2), length).astype(np.float32)


def band(waveform: Floats, low_hz: float, high_hz: float, order: int = 2) -> Floats:
    """Apply a Butterworth band-pass filter."""
    sos = butter(order, [low_hz, min(high_hz, 7900.0)], btype="band", fs=RATE, output="sos")
    filtered: Floats = sosfilt(sos, waveform).astype(np.float32)
    return filtered


def slow(length: int, rate_hz: float, rng: np.random.Generator) -> Floats:
    """Return a random envelope in 0…1 that changes about `rate_hz` times per second."""
    points = rng.random(max(4, int(length / RATE * rate_hz) + 3))
    at = np.linspace(0, len(points) - 1, length)
    return np.asarray(np.interp(at, np.arange(len(points)), points), dtype=np.float32)


def impulses(length: int, per_second: float, decay_s: float, rng: np.random.Generator) -> Floats:
    """Return short noise bursts at random times with random levels."""
    out = np.zeros(length, dtype=np.float32)
    for start in rng.integers(0, length, size=max(1, rng.poisson(per_second * length / RATE))):
        size = min(int(5 * decay_s * RATE) + 8, length - start)
        burst = rng.standard_normal(size) * np.exp(-np.arange(size) / (decay_s * RATE))
        out[start : start + size] += rng.pareto(2.0) * burst
    return np.clip(out, -20, 20)


def pulses(length: int, per_second: float, sound: Floats, jitter: float, rng: np.random.Generator) -> Floats:
    """Repeat a short sound at nearly regular intervals."""
    out = np.zeros(length + len(sound), dtype=np.float32)
    time = rng.uniform(0, 1 / per_second)
    while time * RATE < length:
        start = int(time * RATE)
        out[start : start + len(sound)] += rng.uniform(0.7, 1.0) * sound
        time += (
            (1 + jitter * rng.standard_normal()) / per_second
            if jitter < 0.3
            else rng.exponential(1 / per_second) + 0.02
        )
    return out[:length]


def tone(length: int, rng: np.random.Generator) -> Floats:
    """Return a steady, pulsed or gliding tone, pure or with harmonics."""
    hz = np.exp(rng.uniform(np.log(80), np.log(5000)))
    glide = rng.uniform(-0.5, 0.5) if rng.random() < 0.3 else 0.0
    time = np.arange(length) / RATE
    phase = 2 * np.pi * np.cumsum(hz * 2 ** (glide * time)) / RATE
    sound = np.sin(phase)
    if rng.random() < 0.4:
        sound = np.tanh(rng.uniform(1, 6) * sound)
    if rng.random() < 0.4:
        sound = sound * (np.sin(2 * np.pi * rng.uniform(0.5, 8) * time) > rng.uniform(-0.5, 0.8))
    return sound.astype(np.float32)


def make_noise(length: int, rng: np.random.Generator) -> Noise:
    """Return one generated sound of `length` values, peak between -50 and 0 dBFS."""
    kind = rng.choice(["white", "pink", "brown", "band", "silence", "faint", "hum", "tone", "clicks", "clock", "rain",
                       "surf", "wind", "fire", "rotor", "saw", "drops", "engine"],
                      p=[0.1, 0.06, 0.06, 0.06, 0.06, 0.07, 0.06, 0.06, 0.05, 0.08, 0.06, 0.05, 0.03, 0.06, 0.05, 0.05,
                         0.02, 0.02])  # fmt: skip
    classes: tuple[str, ...] = ()
    if kind == "silence":
        return Noise(np.zeros(length, dtype=np.float32), ("Silence",))
    if kind == "faint":  # the hiss of a microphone in a still room, or dither
        level = 10 ** (rng.uniform(-95, -58) / 20)
        return Noise((level * colored_unit(length, rng.choice([0.0, 0.0, 1.0, 2.0]), rng)), ("Silence",))
    if kind == "white":
        sound, classes = colored(length, rng.uniform(-0.2, 0.2), rng), ("White noise", "Noise")
    elif kind == "pink":
        sound, classes = colored(length, rng.uniform(0.7, 1.3), rng), ("Pink noise", "Noise")
    elif kind == "brown":
        sound, classes = colored(length, rng.uniform(1.6, 3.0), rng), ("Noise",)
    elif kind == "band":
        low = np.exp(rng.uniform(np.log(60), np.log(3500)))
        sound, classes = band(colored(length, 0, rng), low, low * rng.uniform(1.3, 4)), ("Noise",)
    elif kind == "hum":
        hz, time = rng.choice([50.0, 60.0, 100.0, 120.0]), np.arange(length) / RATE
        sound = sum(rng.random() / k * np.sin(2 * np.pi * k * hz * time + rng.uniform(0, 6)) for k in range(1, 14))
        sound, classes = sound + 0.02 * colored(length, 0, rng), ("Hum", "Mains hum")
    elif kind == "tone":
        sound, classes = tone(length, rng) + 1e-3 * colored(length, 0, rng), ()
    elif kind == "clicks":
        sound = impulses(length, rng.uniform(0.5, 12), rng.uniform(0.0004, 0.006), rng) + 1e-3 * colored(length, 1, rng)
    elif kind == "clock":
        tick = band(
            rng.standard_normal(int(RATE * rng.uniform(0.02, 0.09))),
            rng.uniform(400, 3000),
            rng.uniform(3500, 7800),
        )
        tick *= np.exp(-np.arange(len(tick)) / (RATE * rng.uniform(0.002, 0.015)))
        sound = pulses(length, rng.choice([1.0, 2.0, 4.0, 5.0, rng.uniform(1, 6)]), tick, 0.003, rng)
        sound, classes = (
            sound + rng.uniform(0, 0.02) * colored_unit(length, 1.0, rng),
            ("Tick", "Clock", "Tick-tock"),
        )
    elif kind == "rain":
        drops = impulses(length, rng.uniform(50, 600), rng.uniform(0.001, 0.004), rng)
        sound = 0.3 * band(drops, 900, 7800) + rng.uniform(0.2, 2) * band(
            colored(length, 0, rng), rng.uniform(200, 1500), 7800
        )
    elif kind == "surf":
        sound = colored_unit(length, rng.uniform(0.3, 1.5), rng) * (
            0.1 + slow(length, rng.uniform(0.15, 0.5), rng) ** 2
        )
    elif kind == "wind":
        sound = band(colored_unit(length, 1.0, rng), 60, rng.uniform(300, 1500)) * (0.2 + slow(length, 1.0, rng))
    elif kind == "fire":
        crack = impulses(length, rng.uniform(4, 40), rng.uniform(0.0008, 0.004), rng)
        sound = 0.25 * band(crack, 700, 7800) + rng.uniform(0.05, 0.6) * colored_unit(length, 1.6, rng)
    elif kind == "rotor":
        blade = band(rng.standard_normal(int(RATE * 0.06)), 40, rng.uniform(300, 1500)) * np.hanning(int(RATE * 0.06))
        sound = pulses(length, rng.uniform(8, 22), blade, 0.01, rng) + rng.uniform(0.02, 0.3) * colored_unit(
            length, 1.5, rng
        )
    elif kind in ("saw", "engine"):
        hz = rng.uniform(70, 220) if kind == "saw" else rng.uniform(15, 60)
        revs = hz * (0.75 + 0.5 * slow(length, rng.uniform(0.5, 3), rng))
        phase = np.cumsum(revs) / RATE
        sound = np.sign((phase % 1) - 0.3) * 0.4 + (phase % 1) - 0.5 + 0.3 * colored_unit(length, 0.5, rng)
        sound = band(sound, 60, rng.uniform(2500, 7800))
    else:
        sound = impulses(length, rng.uniform(1, 6), 0.01, rng) * np.sin(np.arange(length) * rng.uniform(0.2, 0.9))
    peak = 10 ** (rng.uniform(-50, 0) / 20)
    return Noise((peak * sound / (np.abs(sound).max() + 1e-9)).astype(np.float32), classes)


def colored_unit(length: int, exponent: float, rng: np.random.Generator) -> Floats:
    """Return colored noise with a root mean square of one third."""
    sound = colored(length, exponent, rng)
    return np.asarray(sound / (3 * np.sqrt(np.mean(sound**2)) + 1e-12), dtype=np.float32)
