"""What the steps of one worker share: the device, the checkpoints with their models, recordings, and the time left."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from bench import inputs
from bench.contenders import Field
from bench.flops import Shape, count_flops, read_shape
from bench.gpu.accelerator import Accelerator
from bench.gpu.recordings import DEMO, find_wavs
from bench.gpu.sizes import Sizes
from block.decisions import apply_score_function
from block.labels import LabelOfInterest, parse_labels
from block.model.checkpoint import EMBEDDED, Checkpoint, find_checkpoint
from block.model.classifier import Classifier, Logits
from block.model.device import Device

MIN_CONFIDENCE = 0.2
RUN_LABELS = 3  # labels of interest in runs over files
HALVES = ("bfloat16", "float16")


@dataclass
class Subject:
    """The device and everything that is measured on it. Nothing is loaded before a step asks for it.

    `audio` is the folder of the user's recordings, None for the demo's; `model` a checkpoint whose logits are known,
    None without one, and `clip` the recording for it. Files that are made go to `work`. `ends_at` is the time on
    `time.monotonic` when the step should be done.
    """

    device: torch.device
    sizes: Sizes
    work: Path
    audio: Path | None = None
    model: str | None = None
    clip: Path | None = None
    ends_at: float = float("inf")
    _classifiers: dict[tuple[str, str, bool], Classifier] = field(default_factory=dict)

    @cached_property
    def accelerator(self) -> Accelerator:
        return Accelerator(self.device)

    @property
    def is_cuda(self) -> bool:
        return self.device.type == "cuda"

    @property
    def half(self) -> str:
        """The dtype of exact mode on this GPU; the dry form takes bfloat16 as well."""
        if self.is_cuda and torch.cuda.get_device_capability(self.device)[0] < 8:
            return "float16"
        return "bfloat16"

    def left_s(self) -> float:
        """Return the seconds that the step has left."""
        return self.ends_at - time.monotonic()

    @cached_property
    def embedded(self) -> Checkpoint:
        return find_checkpoint(EMBEDDED)

    @cached_property
    def large(self) -> Checkpoint:
        """The checkpoint of the full size, with seeded random weights: speed and memory don't depend on them."""
        return inputs.full_size_checkpoint(self.work, self.embedded, self.sizes.large_model)

    @cached_property
    def large_shape(self) -> Shape:
        return read_shape(json.loads((self.large.folder / "config.json").read_text(encoding="utf-8")))

    @property
    def window_flops(self) -> int:
        """The operations of one padded window of the large model, as transformers computes it."""
        return count_flops(self.large_shape).total

    @cached_property
    def recordings(self) -> list[Path]:
        """Real recordings: the user's or the demo's."""
        return find_wavs(self.audio or DEMO)

    @property
    def source(self) -> str:
        """Where the real recordings are from, as text."""
        return f"{len(self.recordings)} recordings, {'given' if self.audio else 'of the demo'}"

    @cached_property
    def generated(self) -> list[Path]:
        """Generated recordings, 16-bit WAV at 16 and 44.1 kHz."""
        folder = self.work / "recordings"
        folder.mkdir(exist_ok=True)
        return inputs.make_recordings(folder, self.sizes.recordings_s)

    def on(self, dtype: str, device: str = "") -> Device:
        """Return the device under test, or another one, with that dtype."""
        return Device(torch.device(device) if device else self.device, getattr(torch, dtype), "under test")

    def classifier(self, checkpoint: Checkpoint, dtype: str, *, cpu: bool = False) -> Classifier:
        """Return the model on the device under test, or on the CPU. It stays loaded for later steps."""
        key = (checkpoint.name, dtype, cpu)
        if key not in self._classifiers:
            self._classifiers[key] = Classifier(checkpoint, self.on(dtype, "cpu" if cpu else ""), fast=True)
        return self._classifiers[key]

    def forget_models(self) -> None:
        """Free the memory of all models."""
        self._classifiers.clear()
        self.accelerator.free_cache()

    def pipeline(self, dtype: str) -> Field:
        """Return the field of contenders for transformers' pipeline on the large model."""
        return Field(self.large, self.on(dtype), self.work / "unused.onnx")

    def run_labels(self, checkpoint: Checkpoint) -> tuple[LabelOfInterest, ...]:
        """Return labels of interest for a run over files."""
        usual = tuple(name for name in ("Speech", "Music", "Dog") if name in checkpoint.class_names)
        names = usual or checkpoint.class_names[:RUN_LABELS]
        return parse_labels("\n".join(names), checkpoint.class_names, MIN_CONFIDENCE)


def decide(logits: Logits) -> list[int]:
    """Return the class that each window gets, by softmax at a threshold of 0.2; −1 for none."""
    scores = apply_score_function(logits, "softmax")
    return [int(one) for one in np.where(scores.max(axis=1) >= MIN_CONFIDENCE, scores.argmax(axis=1), -1)]


def share_equal(one: Sequence[object], other: Sequence[object]) -> float:
    """Return the share of positions where two sequences of equal length agree; 1 if they are empty."""
    pairs = list(zip(one, other, strict=True))
    return sum(a == b for a, b in pairs) / len(pairs) if pairs else 1.0
