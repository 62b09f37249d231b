"""Measure what `--boundaries sound` makes of sound files, and what it costs beside the model.

    python -m bench.boundaries [FILE …] [--model NAME|DIR] [--rounds N]

Prints, for silence, noise and each file, into how many stretches it is cut and how long they are. Then it cuts a
minute of noise with changes, scores a window of 2 s exactly, each `--rounds` times in turn, and prints the medians. The
model is one of full size with random weights, unless `--model` names another.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from bench.inputs import full_size_checkpoint
from bench.scenes import RATE_HZ, read_mono
from block.boundaries import find_boundaries
from block.model.checkpoint import EMBEDDED, Checkpoint, find_checkpoint
from block.model.classifier import Classifier
from block.model.device import choose_device
from block.model.features import FilterBanks
from block.recording import Waveform
from block.settings import ComputeSettings

STEADY_S, MINUTE_S, WINDOW_S = 30, 60, 2


@dataclass(frozen=True)
class Stretches:
    """Into which stretches a sound is cut: their lengths in seconds, in order."""

    name: str
    lengths_s: tuple[float, ...]

    def __str__(self) -> str:
        return (
            f"{self.name:<32} {sum(self.lengths_s):7.1f} s {len(self.lengths_s):5d} "
            f"{statistics.median(self.lengths_s):8.2f} s {min(self.lengths_s):8.2f} s"
        )


@dataclass(frozen=True)
class Costs:
    """Seconds to cut a second of audio, and to score a second of it exactly in windows of 2 s."""

    cut_s: float
    score_s: float

    def __str__(self) -> str:
        return (
            f"to cut a second of audio: {self.cut_s * 1000:.1f} ms; to score it exactly in windows of {WINDOW_S} s: "
            f"{self.score_s * 1000:.0f} ms; share: {self.cut_s / self.score_s * 100:.2f} %"
        )


def cut(name: str, waveform: Waveform) -> Stretches:
    """Return the stretches of a waveform at 16 kHz."""
    edges = [0, *find_boundaries(waveform, RATE_HZ), len(waveform)]
    return Stretches(name, tuple(float(length) / RATE_HZ for length in np.diff(edges)))


def make_steady() -> dict[str, Waveform]:
    """Return silence and noise, 30 s each, by name."""
    noise = np.random.default_rng(0).normal(0, 0.1, STEADY_S * RATE_HZ).astype(np.float32)
    quiet = noise * np.float32(0.01)
    return {"silence": np.zeros_like(noise), "white noise, -20 dBFS": noise, "white noise, -60 dBFS": quiet}


def make_changing() -> Waveform:
    """Return a minute of noise whose level changes every second."""
    draw = np.random.default_rng(0)
    levels = np.repeat(10 ** draw.uniform(-3, -0.5, MINUTE_S), RATE_HZ)
    return (draw.normal(0, 1, MINUTE_S * RATE_HZ) * levels).astype(np.float32)


def measure_costs(checkpoint: Checkpoint, rounds: int) -> Costs:
    """Measure both in turn, so that a busy machine slows down both."""
    device = choose_device(ComputeSettings("cpu", "float32"))
    classifier, banks = Classifier(checkpoint, device, 1), FilterBanks(checkpoint.front_end, device.device)
    waveform = make_changing()
    window = torch.from_numpy(waveform[: WINDOW_S * RATE_HZ])[None]
    cutting, scoring = [], []
    for _ in range(rounds + 1):
        cutting.append(_time(lambda: find_boundaries(waveform, RATE_HZ)) / MINUTE_S)
        scoring.append(_time(lambda: classifier.logits(banks(window))) / WINDOW_S)
    # The first round warms up.
    return Costs(statistics.median(cutting[1:]), statistics.median(scoring[1:]))


def _time(act: Callable[[], object]) -> float:
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def main(argv: Sequence[str] | None = None) -> int:
    """Print stretches and costs. Return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.boundaries", description="Measure --boundaries sound.")
    parser.add_argument("files", type=Path, nargs="*", metavar="FILE", help="sound files to cut")
    parser.add_argument("--model", metavar="NAME|DIR", help="default: full size, with random weights")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="default: %(default)s")
    options = parser.parse_args(argv)
    print(f"{'sound':<32} {'length':>9} {'cut to':>5} {'median':>10} {'shortest':>9}")
    for name, waveform in make_steady().items():
        print(cut(name, waveform))
    for path in options.files:
        print(cut(path.name, read_mono(path)), flush=True)
    with tempfile.TemporaryDirectory(prefix="block-bench-") as scratch:
        embedded = find_checkpoint(EMBEDDED)
        full = (
            full_size_checkpoint(Path(scratch), embedded) if options.model is None else find_checkpoint(options.model)
        )
        print(measure_costs(full, options.rounds))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
