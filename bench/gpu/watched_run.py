"""A run over files with a watch on the forward pass: how long the device computes it, and how long the run takes."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.counter import Counter
from bench.gpu.recordings import LabelLines, WavFiles
from bench.gpu.subject import Subject
from block.labeling.labeler import ExactLabeler
from block.labeling.run import Run
from block.model.checkpoint import Checkpoint
from block.model.classifier import Classifier, Logits
from block.model.features import FilterBanks
from block.recording import Waveform, Window
from block.settings import EXACT, DecisionSettings, WindowSettings


@dataclass(frozen=True)
class WatchedRun:
    """A run: its windows, seconds of wall time, and seconds in which the device computed the forward pass."""

    windows: int
    wall_s: float
    forward_s: float

    @property
    def windows_s(self) -> float:
        return self.windows / self.wall_s

    @property
    def outside_share(self) -> float:
        """The share of wall time in which the forward pass wasn't computed."""
        return max(0.0, 1 - self.forward_s / self.wall_s)


class WatchedClassifier:
    """A classifier that notes when passes begin and end on the device, without waiting for them.

    With `is_empty`, passes compute nothing, so that all that is left is what feeds them.
    """

    def __init__(self, classifier: Classifier, is_empty: bool = False) -> None:
        self._classifier, self._is_empty = classifier, is_empty
        self._is_cuda = classifier.device.device.type == "cuda"
        self._events: list[tuple[Any, Any]] = []
        self._seconds = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._classifier, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "capacity":  # lowered after running out of memory
            self._classifier.capacity = value
        else:
            super().__setattr__(name, value)

    def begin(self, inputs: Tensor, recorded: int | None = None, path: str = EXACT) -> Tensor:
        if self._is_empty:
            return torch.zeros((len(inputs), len(self._classifier.checkpoint.class_names)), device=inputs.device)
        if not self._is_cuda:
            started = time.perf_counter()
            logits = self._classifier.begin(inputs, recorded, path)
            self._seconds += time.perf_counter() - started
            return logits
        before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        before.record()
        logits = self._classifier.begin(inputs, recorded, path)
        after.record()
        self._events.append((before, after))
        return logits

    def collect(self, passes: Sequence[Tensor]) -> Logits:
        logits: Logits = self._classifier.collect(passes)
        return logits

    def forward_s(self) -> float:
        """Return the seconds of all passes, which have to be over."""
        return self._seconds + sum(float(before.elapsed_time(after)) for before, after in self._events) / 1000


@dataclass(frozen=True)
class OnePathLabeler(ExactLabeler):
    """A labeler that computes every window by one path, without an audit."""

    path: str = field(default=EXACT, kw_only=True)

    def compute_outputs(self, items: Sequence[tuple[Waveform, Window]], path: str = EXACT) -> Logits:
        return super().compute_outputs(items, self.path)


def make_labeler(
    subject: Subject, classifier: Any, checkpoint: Checkpoint, length_ms: int, path: str = EXACT
) -> ExactLabeler:
    """Return a labeler for windows of `length_ms` next to each other."""
    parts: tuple[Any, ...] = (
        classifier, FilterBanks(checkpoint.front_end, subject.device), WindowSettings(length_ms, length_ms),
        DecisionSettings(subject.run_labels(checkpoint)), lambda text: None,
    )  # fmt: skip
    return ExactLabeler(*parts) if path == EXACT else OnePathLabeler(*parts, path=path)


def run_files(
    subject: Subject, labeler: Any, watched: WatchedClassifier | None, paths: Sequence[Path], recordings: int
) -> WatchedRun:
    """Label `recordings` recordings from files, with the block's own run. Raise RuntimeError if one fails."""
    tally = Counter()
    rate_hz = subject.embedded.front_end.rate_hz
    with (subject.work / "labels.jsonl").open("w", encoding="utf-8") as file:
        started = time.perf_counter()
        source, sink = WavFiles(paths, rate_hz), LabelLines(file)
        summary = Run(source, sink, labeler, tally, batches_at_once=labeler.batches_at_once).label(range(recordings))
        subject.accelerator.synchronize()
        wall_s = time.perf_counter() - started
    if summary.unlabeled or summary.end_reason or not tally.windows:
        raise RuntimeError(f"a recording wasn't labeled: {tally.failure or summary.end_reason or 'no windows'}")
    return WatchedRun(tally.windows, wall_s, watched.forward_s() if watched is not None else 0.0)


def count_recordings(seconds: Sequence[float], length_ms: int, windows: int) -> int:
    """Return how many recordings, of these lengths over and over, have about `windows` windows."""
    per_round = sum(max(1, math.ceil(one * 1000 / length_ms)) for one in seconds)
    return max(1, round(windows / per_round * len(seconds)))
