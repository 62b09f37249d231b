"""Run a checkpoint on a device: from input tensors to logits, and to embeddings if they are kept."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterable, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from block.model.attention import bfloat16_works
from block.model.checkpoint import Checkpoint
from block.model.device import Device
from block.model.forward import Forward, Tokens
from block.model.int8_support import Int8Support, find_int8_support
from block.model.linear import Int8Linear, Linear, PackedLinear, PlainLinear, packing_works
from block.model.openvino_encoder import OpenVinoEncoder
from block.model.transformers_loader import load_model
from block.runtime.limits import THREADS, count_processors, find_available_bytes
from block.settings import EXACT, OPENVINO, SettingsError

Logits = npt.NDArray[np.float32]
Outputs = npt.NDArray[np.float32]  # each row has the logits of a chunk, then its embedding if embeddings are kept

CPU_BUDGET_BYTES = 4 << 30
# Windows per batch, if the user gives no size. A longer recording is a larger batch.
FILL_WINDOWS = {"cpu": 8, "cuda": 512}
CPU_PASS_WINDOWS = 8
# What kernels use within themselves, and what PyTorch rounds up.
MEMORY_MARGIN = 1.15

MERGED, MERGED_32, MERGED_INT8, MERGED_INT8_16 = "merged", "merged-32", "merged-int8", "merged-int8-16"
# Number of groups that padding tokens are merged into, chosen from the tables in docs/fast-mode.md.
GROUPS = {MERGED: 128, MERGED_32: 32, MERGED_INT8: 64, MERGED_INT8_16: 16}
# Paths with a quarter of the groups, and the path that they equal otherwise.
FEWER_GROUPS = {MERGED_32: MERGED, MERGED_INT8_16: MERGED_INT8}
PACKED_ROWS = 1214  # tokens of the full-size model


class Classifier:
    """An `ASTForAudioClassification` from a local folder, in evaluation mode on one device.

    `paths` are the ways to compute logits on this device, the exact one first, then roughly from slow to fast:

    - `exact`: as transformers computes them, up to rounding.
    - `merged`: with padding tokens merged into groups (`Forward.merge_padding`), in the device's dtype.
    - `merged-int8`: the same with 8-bit integer linear layers, on CPUs that multiply these fast, and with attention in
      bfloat16, where they multiply that fast, too; in OpenVINO, attention stays in float32.
    - `merged-32` and `merged-int8-16`, each after the path that it equals otherwise: with a quarter of the groups.

    `batch_windows` is the target size of a batch, which may mix windows of several recordings. `embedding_size` is the
    number of values in an embedding; 0 if embeddings aren't kept.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        device: Device,
        batch_size: int = 0,
        fast: bool = False,
        for_store: bool = False,
        keep_embeddings: bool = False,
    ) -> None:
        """Load the model. Raise CheckpointError if it can't be loaded, or SettingsError if transformers can't.

        `fast` also prepares the paths other than the exact one. `for_store` delays loading (and its errors) until the
        model is needed, and on a CPU it puts one window into each pass unless `batch_size` is given: rounding in a
        matrix product depends on its size, so the other windows of a pass affect the last bits of the logits, and a
        resumed run would differ from an uninterrupted one. On a GPU small passes would be too slow, so there the last
        bits may differ. With `keep_embeddings`, embeddings follow the logits, which stay the same.
        """
        if sys.flags.optimize > 1:
            raise SettingsError("transformers can't be loaded under python -OO: unset PYTHONOPTIMIZE")
        self.checkpoint = checkpoint
        self.device = device
        self.batch_windows = batch_size or FILL_WINDOWS[device.device.type]
        self.groups = dict(GROUPS)
        self._batch_size, self._fast, self._for_store = batch_size, fast, for_store
        self.embedding_size = checkpoint.model_config.hidden_size if keep_embeddings else 0
        front_end = checkpoint.front_end
        self._padding = -front_end.mean / (2 * front_end.std) if front_end.normalize else 0.0
        self._merged_tokens: dict[tuple[int, int], Tokens] = {}
        self._loading = threading.Lock()
        self._loaded: dict[str, Forward] | None = None
        if not for_store:
            _ = self.capacity

    @property
    def paths(self) -> tuple[str, ...]:
        """Return the paths available on this device."""
        return tuple(self._forwards)

    @property
    def _int8(self) -> Int8Support:
        if self.device.device.type != "cpu":
            return Int8Support(0, "they're only for CPUs")
        if self.device.dtype is not torch.float32:
            return Int8Support(0, f"they need --dtype float32, but the dtype is {self.device.dtype_name}")
        return find_int8_support()

    def explain_missing_paths(self) -> list[str]:
        """Return, as text, which fast paths aren't tried on this device and why."""
        reason = self._int8.reason
        return [f"fast mode doesn't try {MERGED_INT8} and {MERGED_INT8_16}: {reason}"] if reason else []

    @cached_property
    def capacity(self) -> int:
        """The most windows in one forward pass.

        On CUDA, as many as fit in half of the free memory: all windows of most recordings. On a CPU, at most 8, since
        `Forward` computes a pass in slices that fit the cache anyway; only one if `for_store`. `batch_size`
        replaces these limits. Callers set it lower after running out of memory.
        """
        forward = self._forwards[EXACT]  # load the model first: it takes memory
        kind = self.device.device.type
        if self._batch_size or (self._for_store and kind == "cpu"):
            return self._batch_size or 1
        fitting = self._windows_in_memory(forward)
        return fitting if kind == "cuda" else min(fitting, CPU_PASS_WINDOWS)

    @property
    def _forwards(self) -> dict[str, Forward]:
        # Batches may overlap, and the first two must not load the model twice.
        with self._loading:
            if self._loaded is None:
                self._loaded = self._load()
            return self._loaded

    def _load(self) -> dict[str, Forward]:
        device = self.device
        # No reduced-precision products inside float32.
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        torch.set_float32_matmul_precision("highest")
        if device.device.type == "cpu":
            _set_threads()
        else:
            # Only resampling uses them: several recordings at a time, and together they should fill the cores.
            torch.set_num_threads(min(torch.get_num_threads(), max(1, (os.cpu_count() or 1) // THREADS)))
        model = load_model(self.checkpoint, device)
        with torch.inference_mode():
            forwards = {EXACT: self._make_forward(model)}
            if self._fast:
                forwards[MERGED] = forwards[MERGED_32] = forwards[EXACT]
                if limit := self._int8.limit:
                    forwards[MERGED_INT8] = forwards[MERGED_INT8_16] = self._make_forward(model, limit)
        return forwards

    def _make_forward(self, model: Any, int8_limit: int = 0) -> Forward:
        make = partial(Forward, model, keep_embeddings=self.embedding_size > 0)
        if self.device.backend == OPENVINO:
            return make(encode=OpenVinoEncoder(model, int8=int8_limit > 0))
        if int8_limit:
            return make(partial(Int8Linear, limit=int8_limit), in_bfloat16=bfloat16_works())
        return make(self._make_linear)

    def logits(self, inputs: Tensor, recorded: int | None = None, path: str = EXACT) -> Logits:
        """Run one forward pass and return its logits. Shapes and errors as for `begin`; the result is float32."""
        return self.collect([self.begin(inputs, recorded, path)])[:, : len(self.checkpoint.class_names)]

    def begin(self, inputs: Tensor, recorded: int | None = None, path: str = EXACT) -> Tensor:
        """Start one forward pass; on CUDA it runs while the caller prepares the next.

        Shape: `(batch, max_frames, mel_bins)` in, `(batch, classes + embedding_size)` out, on the device. `recorded` is
        the number of frames per window that aren't padding; all paths but the exact one need it. Raise PyTorch's
        errors; use `is_out_of_memory` to see whether the batch was too large.
        """
        with torch.inference_mode():
            tokens = None if recorded is None or path == EXACT else self._choose_tokens(path, recorded)
            return self._forwards[path](inputs.to(self.device.device, self.device.dtype), tokens)

    @staticmethod
    def collect(passes: Sequence[Tensor]) -> Outputs:
        """Wait for the passes and return their outputs, concatenated."""
        with torch.inference_mode():
            return np.asarray(torch.cat(list(passes)).float().cpu().numpy(), dtype=np.float32)

    def count_tokens(self, recorded: int, path: str = EXACT) -> int:
        """Return the number of tokens that go through the layers for a window with `recorded` frames."""
        if path == EXACT:
            return self._forwards[EXACT].all_tokens.count
        with torch.inference_mode():
            return self._choose_tokens(path, recorded).count

    def find_twins(self, recorded: Iterable[int]) -> dict[str, str]:
        """Map each path to the first one that computes the same for windows with these numbers of `recorded` frames.

        Paths with other numbers of groups are the same if there is less padding than groups.
        """
        frames = sorted(set(recorded))
        first: dict[tuple[Forward, tuple[int, ...]], str] = {}
        return {
            path: first.setdefault((forward, tuple(self.count_tokens(one, path) for one in frames)), path)
            for path, forward in self._forwards.items()
        }

    def _choose_tokens(self, path: str, recorded: int) -> Tokens:
        # On every path the weights of the exact one decide which tokens are merged.
        exact = self._forwards[EXACT]
        columns = exact.grid.count_columns(recorded)
        key = (columns, self.groups[path])
        if key not in self._merged_tokens:
            self._merged_tokens[key] = exact.merge_padding(*key, self._padding)
        return self._merged_tokens[key]

    def _make_linear(self, weight: Tensor, bias: Tensor | None) -> Linear:
        if self.device.device.type == "cpu" and self.device.dtype is torch.float32 and packing_works():
            return PackedLinear(weight, bias, PACKED_ROWS)
        return PlainLinear(weight, bias)

    def free_memory(self) -> None:
        """Free the device memory that PyTorch caches."""
        if self.device.device.type == "cuda":
            torch.cuda.empty_cache()

    @property
    def budget_bytes(self) -> int:
        """The memory for one pass: half of what is free on a GPU, a quarter of it on a CPU, now."""
        if self.device.device.type == "cuda":
            return int(torch.cuda.mem_get_info(self.device.device)[0] // 2)
        return min(find_available_bytes() // 4, CPU_BUDGET_BYTES)

    def _windows_in_memory(self, forward: Forward) -> int:
        front_end, item = self.checkpoint.front_end, self.device.dtype.itemsize
        inputs = 4 * front_end.limit_values + (4 + item) * front_end.max_frames * front_end.mel_bins
        per_window = (forward.count_values() * item + inputs) * MEMORY_MARGIN
        return max(1, int(self.budget_bytes // per_window))


def _set_threads() -> None:
    """Limit threads to the container's share of processors; more would only wait for each other."""
    allowed = count_processors()
    if allowed is not None and "OMP_NUM_THREADS" not in os.environ and allowed < torch.get_num_threads():
        torch.set_num_threads(allowed)


def is_out_of_memory(error: BaseException) -> bool:
    """Return True if `error` is an out-of-memory error of PyTorch, NumPy or OpenVINO."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    text = str(error).lower()
    # The last two are libraries of CUDA's: cuBLAS, cuDNN and cuFFT, and cuBLAS where its first call finds no memory.
    signs = (
        "failed to allocate", "bad_alloc", "not enough memory", "can't allocate memory", "out of memory",
        "alloc_failed", "cublas_status_not_initialized",
    )  # fmt: skip
    return any(sign in text for sign in signs)
