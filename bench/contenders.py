"""The contenders: transformers' pipeline, its model exported to other runtimes, and this block's own paths.

Every contender gets the waveforms of windows at the model's rate, and leaves scores or logits in this process's memory.
None of them decodes, resamples or writes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench import exported
from bench.plan import BenchError
from block.model.checkpoint import Checkpoint
from block.model.classifier import Classifier
from block.model.device import Device
from block.model.features import FilterBanks
from block.recording import Waveform
from block.settings import EXACT

TRANSFORMERS = "transformers"
INCLUDES = {
    TRANSFORMERS: "the audio-classification pipeline: its features, forward, softmax, sorted labels",
    "onnxruntime": "the block's features, forward of the exported model",
    "openvino": "the block's features, forward of the exported model",
    EXACT: "the block's features and forward",
}
FAST_INCLUDES = "the block's features and forward, padding merged"


@dataclass(frozen=True)
class Contender:
    """A way to compute scores of windows, `batch` windows at a time."""

    kind: str
    batch: int
    run: Callable[[Sequence[Waveform]], None]

    @property
    def includes(self) -> str:
        return INCLUDES.get(self.kind, FAST_INCLUDES)


def computes_padding(kind: str) -> bool:
    """Return True if a contender computes all padding, and so does the same work for any window length."""
    return kind in INCLUDES


class Field:
    """The contenders of one checkpoint on one device. What they share is loaded once, on first use.

    `export_to` is the path of the model exported to ONNX, which may exist already. With `fast`, the block's fast paths
    are included.
    """

    def __init__(self, checkpoint: Checkpoint, device: Device, export_to: Path, fast: bool = True) -> None:
        self.checkpoint = checkpoint
        self.device = device
        self.export_to = export_to
        self._fast = fast

    @cached_property
    def classifier(self) -> Classifier:
        return Classifier(self.checkpoint, self.device, fast=self._fast)

    @cached_property
    def filter_banks(self) -> FilterBanks:
        return FilterBanks(self.checkpoint.front_end, self.device.device)

    @property
    def paths(self) -> tuple[str, ...]:
        """The block's own paths, exact first."""
        return self.classifier.paths

    def contender(self, kind: str, batch: int) -> Contender:
        """Return the contender of that kind. Raise BenchError if it can't run here."""
        if kind == TRANSFORMERS:
            return Contender(kind, batch, self._run_pipeline(batch))
        if kind in exported.NEEDS:
            return Contender(kind, batch, self._run_exported(kind, batch))
        if kind not in self.paths:
            raise BenchError(f"{kind} isn't one of this block's paths here: {', '.join(self.paths)}")
        return Contender(kind, batch, self._run_own(kind, batch))

    def _run_own(self, path: str, batch: int) -> Callable[[Sequence[Waveform]], None]:
        def run(windows: Sequence[Waveform]) -> None:
            for stack in _stacks(windows, batch):
                inputs = self.filter_banks(stack)
                self.classifier.logits(inputs, self.checkpoint.front_end.count_frames(stack.shape[1]), path)

        return run

    def _run_exported(self, kind: str, batch: int) -> Callable[[Sequence[Waveform]], None]:
        if missing := exported.find_missing(kind):
            raise BenchError(f"{kind}: {', '.join(missing)} not installed")
        if self.device.device.type != "cpu":
            raise BenchError(f"{kind}: measured only on a CPU")
        try:
            if not self.export_to.is_file():
                front_end = self.checkpoint.front_end
                exported.export(self._pipe.model, self.export_to, front_end.max_frames, front_end.mel_bins)
            forward = exported.FORWARDS[kind](self.export_to, torch.get_num_threads())
        except Exception as error:  # other versions of these packages may fail in any way; the others still run
            lines = str(error).strip().splitlines() or [""]
            raise BenchError(f"{kind}: {type(error).__name__}: {lines[0]}") from error

        def run(windows: Sequence[Waveform]) -> None:
            for stack in _stacks(windows, batch):
                forward(self.filter_banks(stack))

        return run

    @cached_property
    def _pipe(self) -> Any:
        os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"
        from transformers import ASTFeatureExtractor, ASTForAudioClassification, pipeline
        from transformers.utils import logging

        logging.set_verbosity_error()
        logging.disable_progress_bar()
        folder = self.checkpoint.folder
        model = ASTForAudioClassification.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=self.device.dtype, attn_implementation="sdpa"
        )
        extractor = ASTFeatureExtractor.from_pretrained(folder, local_files_only=True)
        return pipeline(
            "audio-classification", model=model.eval(), feature_extractor=extractor, device=self.device.device,
            dtype=self.device.dtype,
        )  # fmt: skip

    def _run_pipeline(self, batch: int) -> Callable[[Sequence[Waveform]], None]:
        pipe = self._pipe

        def run(windows: Sequence[Waveform]) -> None:
            pipe(list(windows), top_k=None, batch_size=batch)

        return run


def _stacks(windows: Sequence[Waveform], batch: int) -> list[Tensor]:
    return [torch.from_numpy(np.stack(windows[at : at + batch])) for at in range(0, len(windows), batch)]
