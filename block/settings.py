"""The settings of a run, validated on creation: windows, decisions, and how the model computes."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from block.labels import LabelOfInterest
from block.windows import MIN_WINDOW_MS

ScoreFunction = Literal["softmax", "sigmoid"]
Fill = Literal["pad", "repeat"]
Boundaries = Literal["grid", "sound"]
ExistingLabels = Literal["replace", "fill-gaps", "keep"]
SCORE_FUNCTIONS: tuple[ScoreFunction, ...] = ("softmax", "sigmoid")
DTYPES = ("auto", "float32", "bfloat16", "float16")
TORCH, OPENVINO = "torch", "openvino"
BACKENDS = (TORCH, OPENVINO)
BACKEND_NAMES = {TORCH: "", OPENVINO: ", OpenVINO"}  # added to the dtype in messages; empty for the default
EXACT, FAST = "exact", "fast"
MODES = (EXACT, FAST)
PAD: Fill = "pad"
REPEAT: Fill = "repeat"
FILLS: tuple[Fill, ...] = (PAD, REPEAT)
GRID: Boundaries = "grid"
SOUND: Boundaries = "sound"
BOUNDARIES: tuple[Boundaries, ...] = (GRID, SOUND)
REPLACE: ExistingLabels = "replace"
FILL_GAPS: ExistingLabels = "fill-gaps"
KEEP: ExistingLabels = "keep"
EXISTING_LABELS: tuple[ExistingLabels, ...] = (REPLACE, FILL_GAPS, KEEP)
DEVICE = re.compile(r"auto|cpu|cuda(:(0|[1-9][0-9]?))?")
MAX_CONTEXT_MS = 10_000  # about what the model can hear
MAX_MEDIAN_MS = 60_000  # the time to filter a recording grows with it
MAX_BATCH_SIZE = 4096  # about 2 GB for the input alone


class SettingsError(ValueError):
    """A setting can't be used. The message says what was given and what was expected."""


@dataclass(frozen=True)
class WindowSettings:
    """Windows of `size_ms` every `stride_ms`, in milliseconds. Size 0 means one window over the whole recording.

    With `boundaries` "sound", windows lie between changes of the sound instead; size and stride are ignored, and 0.
    """

    size_ms: int = 2000
    stride_ms: int = 2000
    boundaries: Boundaries = GRID

    def __post_init__(self) -> None:
        if self.boundaries not in BOUNDARIES:
            raise SettingsError(f"--boundaries is {self.boundaries!r}; expected {' or '.join(BOUNDARIES)}")
        if self.boundaries == SOUND:
            object.__setattr__(self, "size_ms", 0)
            object.__setattr__(self, "stride_ms", 0)
        if self.size_ms == 0:
            return
        if self.size_ms < MIN_WINDOW_MS:
            raise SettingsError(
                f"--win-size-ms is {self.size_ms}; expected 0 (the whole recording) or at least {MIN_WINDOW_MS}"
            )
        if not 0 < self.stride_ms <= self.size_ms:
            raise SettingsError(
                f"--win-stride-ms is {self.stride_ms}; expected 1 to the window size, which is {self.size_ms}"
            )

    def __str__(self) -> str:
        if self.boundaries == SOUND:
            return "between changes of the sound"
        return "whole recording" if self.size_ms == 0 else f"{self.size_ms} ms every {self.stride_ms} ms"


@dataclass(frozen=True)
class DecisionSettings:
    """How logits become labels.

    `labels` are the labels of interest in the user's order. A score that equals its threshold, in 0…1, reaches it.
    Segments shorter than `min_segment_ms` join their longer neighbor; 0 keeps all. Windows with an RMS level below
    `silence_dbfs`, in dB relative to full scale, are silent and not scored.

    A label begins and ends at `hysteresis`, 0…1, times its threshold if it reaches the threshold in between; 1 turns
    this off. Scores are medians over `median_ms`. Segments of a label of interest shorter than `min_event_ms` get
    `other_label`; segments of `other_label` shorter than `min_gap_ms` between two with one label get that label.
    """

    labels: tuple[LabelOfInterest, ...]
    other_label: str = "other"
    score_function: ScoreFunction = "softmax"
    merge: bool = True
    min_segment_ms: int = 0
    silence_dbfs: float | None = None
    hysteresis: float = 1.0
    median_ms: int = 0
    min_event_ms: int = 0
    min_gap_ms: int = 0

    def __post_init__(self) -> None:
        for name in ("min_segment_ms", "min_event_ms", "min_gap_ms"):
            option, ms = f"--{name.replace('_', '-')}", getattr(self, name)
            if ms < 0:
                raise SettingsError(f"{option} is {ms}; expected 0 or more")
            if ms and not self.merge:
                raise SettingsError(f"{option} merges short segments, but --no-merge forbids merging; use only one")
        if not 0 < self.hysteresis <= 1:
            raise SettingsError(f"--hysteresis is {self.hysteresis:g}; expected more than 0, and at most 1 (off)")
        if not 0 <= self.median_ms <= MAX_MEDIAN_MS:
            raise SettingsError(f"--median-ms is {self.median_ms}; expected 0 (off) to {MAX_MEDIAN_MS}")
        if self.silence_dbfs is not None and not (math.isfinite(self.silence_dbfs) and self.silence_dbfs <= 0):
            raise SettingsError(f"--silence-dbfs is {self.silence_dbfs:g}; expected at most 0 (full scale); try -60")


@dataclass(frozen=True)
class ComputeSettings:
    """Where and how the model runs. `device` is auto, cpu, cuda or cuda:N.

    `batch_size` is the most windows in one forward pass; 0 leaves that to the device, as `Classifier.capacity` says.
    `fill` says how to fill the model's input after a shorter window: with zeros, or by repeating the window. The model
    hears up to `context_ms` of what surrounds a window, on both sides, as part of it. With `keep_embeddings`, stored
    scores come with the model's embeddings. `backend` computes the model's layers.
    """

    device: str = "auto"
    dtype: str = "auto"
    batch_size: int = 0
    mode: str = "exact"
    fill: Fill = PAD
    context_ms: int = 0
    keep_embeddings: bool = False
    backend: str = TORCH

    def __post_init__(self) -> None:
        if not DEVICE.fullmatch(self.device):
            raise SettingsError(f"--device is {self.device!r}; expected auto, cpu, cuda or cuda:N")
        if not 0 <= self.batch_size <= MAX_BATCH_SIZE:
            raise SettingsError(f"--batch-size is {self.batch_size}; expected 0 (automatic) to {MAX_BATCH_SIZE}")
        if self.fill not in FILLS:
            raise SettingsError(f"--fill is {self.fill!r}; expected {' or '.join(FILLS)}")
        if not 0 <= self.context_ms <= MAX_CONTEXT_MS:
            raise SettingsError(f"--context-ms is {self.context_ms}; expected 0 (off) to {MAX_CONTEXT_MS}")

    @property
    def filling(self) -> str:
        """What the model's input has besides the window, as text: `fill`, and the context if there is any."""
        return f"{self.fill}, {self.context_ms} ms of context" if self.context_ms else self.fill


def check_backend(backend: str, device: str, dtype: str) -> None:
    """Raise SettingsError if `backend` doesn't compute on that type of device, or not in that dtype."""
    if backend == OPENVINO and (device != "cpu" or dtype not in ("auto", "float32")):
        raise SettingsError(f"--backend openvino needs --device cpu and --dtype float32; got {device} and {dtype}")


@dataclass(frozen=True)
class AuditSettings:
    """Return to exact mode once the fast path surely agrees less than `min_agreement`, 0…1. `seed` draws windows."""

    min_agreement: float = 0.99
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.min_agreement <= 1:
            raise SettingsError(f"--min-agreement is {self.min_agreement:g}; expected a number from 0 to 1")
