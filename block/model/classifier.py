"""A checkpoint on a device: input tensor in, logits out."""

from __future__ import annotations

import getpass
import math
import os
import tempfile
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from block.model.checkpoint import Checkpoint, CheckpointError
from block.model.device import Device
from block.model.forward import Forward, Tokens
from block.model.linear import Int8Linear, Linear, PackedLinear, PlainLinear, find_int8_limit, packing_works
from block.runtime.limits import count_processors, find_available_bytes
from block.settings import EXACT

Logits = npt.NDArray[np.float32]

CPU_BUDGET_BYTES = 4 << 30
# A GPU is kept busy by several passes in a row: while it computes one, the next is put together.
FILL_WINDOWS = {"cpu": 8, "cuda": 512}
PASS_WINDOWS = {"cpu": 8, "cuda": 64}

MERGED, MERGED_INT8 = "merged", "merged-int8"
# Groups that the tokens of padding are merged to, chosen by the tables in docs/fast-mode.md.
GROUPS = {MERGED: 128, MERGED_INT8: 64}
PACKED_ROWS = 1214  # tokens of the full-size model


class Classifier:
    """An `ASTForAudioClassification` from a local folder, in evaluation mode on one device.

    `paths` are the ways to its logits that this device offers, the exact one first, then the faster the later:

    - `exact`: what transformers computes, within rounding.
    - `merged`: the tokens of padding merged in groups (`Forward.merge_padding`), in the device's dtype.
    - `merged-int8`: the same, with the linear layers in 8-bit integers; on a CPU that multiplies these fast.

    `batch_windows` is how many windows a batch shared by several recordings aims for.
    """

    def __init__(
        self, checkpoint: Checkpoint, device: Device, batch_size: int = 0, fast: bool = False, steady: bool = False
    ) -> None:
        """Load the model. Raise CheckpointError if that is impossible.

        `fast` also makes ready what the paths other than the exact one need. `steady` is for scores that are kept: the
        first use of the model loads it, and raises that error; and on a CPU a pass holds one window unless `batch_size`
        says otherwise. How a product of matrices is rounded depends on its size, so what else is in a pass shows in
        the last bits of the logits: a run that goes on from stored scores would not end with the bits of one that was
        never interrupted. A GPU is too slow with small passes; there the last bits may differ.
        """
        self.checkpoint = checkpoint
        self.device = device
        self.batch_windows = batch_size or FILL_WINDOWS[device.device.type]
        self.groups = dict(GROUPS)
        self._batch_size, self._fast, self._steady = batch_size, fast, steady
        front_end = checkpoint.front_end
        self._padding = -front_end.mean / (2 * front_end.std) if front_end.normalize else 0.0
        self._merged_tokens: dict[tuple[int, int], Tokens] = {}
        if not steady:
            _ = self.capacity

    @property
    def is_loaded(self) -> bool:
        """Return True if the model has been needed."""
        return "_forwards" in vars(self)

    @property
    def paths(self) -> tuple[str, ...]:
        """Return the paths that this device offers."""
        return tuple(self._forwards)

    @cached_property
    def capacity(self) -> int:
        """The most windows in one forward pass: as many as fit in memory, and no more than keep the device busy.

        Set it lower after running out of memory.
        """
        forward = self._forwards[EXACT]  # loaded first: it takes memory
        kind = self.device.device.type
        if self._batch_size or (self._steady and kind == "cpu"):
            return self._batch_size or 1
        return min(self._windows_in_memory(forward), PASS_WINDOWS[kind])

    @cached_property
    def _forwards(self) -> dict[str, Forward]:
        device = self.device
        # Exact means exact: no reduced-precision products inside float32.
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        torch.set_float32_matmul_precision("highest")
        if device.device.type == "cpu":
            _set_threads()
        model = _load(self.checkpoint, device)
        with torch.inference_mode():
            exact = Forward(model, self._make_linear)
            forwards = {EXACT: exact}
            if self._fast:
                forwards[MERGED] = exact
                limit = find_int8_limit() if device.device.type == "cpu" and device.dtype is torch.float32 else 0
                if limit:
                    forwards[MERGED_INT8] = Forward(model, lambda weight, bias: Int8Linear(weight, bias, limit))
        return forwards

    def logits(self, inputs: Tensor, recorded: int | None = None, path: str = EXACT) -> Logits:
        """Run one forward pass and wait for it. Shapes and errors: as `begin`, float32 out."""
        return self.collect([self.begin(inputs, recorded, path)])

    def begin(self, inputs: Tensor, recorded: int | None = None, path: str = EXACT) -> Tensor:
        """Start one forward pass; on CUDA it goes on while the caller prepares the next.

        Shape: `(batch, max_frames, mel_bins)` in, `(batch, classes)` out, on the device. `recorded` is how many
        frames of each window were recorded and not padded; every path but the exact one needs it. Raises what
        PyTorch raises; `is_out_of_memory` says whether the batch was too large.
        """
        with torch.inference_mode():
            tokens = None if recorded is None or path == EXACT else self._choose_tokens(path, recorded)
            return self._forwards[path](inputs.to(self.device.device, self.device.dtype), tokens)

    @staticmethod
    def collect(passes: Sequence[Tensor]) -> Logits:
        """Wait for passes and return their logits, one behind the other."""
        with torch.inference_mode():
            return np.asarray(torch.cat(list(passes)).float().cpu().numpy(), dtype=np.float32)

    def count_tokens(self, recorded: int, path: str = EXACT) -> int:
        """Return how many tokens go through the layers for a window with `recorded` frames."""
        if path == EXACT:
            return self._forwards[EXACT].all_tokens.count
        with torch.inference_mode():
            return self._choose_tokens(path, recorded).count

    def _choose_tokens(self, path: str, recorded: int) -> Tokens:
        # For every path, the exact path's weights decide which tokens are merged.
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
        """Free the device memory that PyTorch keeps for later."""
        if self.device.device.type == "cuda":
            torch.cuda.empty_cache()

    def _windows_in_memory(self, forward: Forward) -> int:
        # The widest moment of a layer: residual, normed, query, key, value, attention's output and its copies, then
        # both sides of the MLP's activation; and the front end's frames on the same device.
        per_token = 12 * forward.positions.shape[1] + 2 * forward.intermediate_size
        item = torch.empty((), dtype=self.device.dtype).element_size()
        frames = self.checkpoint.front_end.max_frames
        per_window = forward.all_tokens.count * per_token * item + frames * 512 * 4 * 6
        if self.device.device.type == "cuda":
            budget = torch.cuda.mem_get_info(self.device.device)[0] // 2
        else:
            budget = min(find_available_bytes() // 4, CPU_BUDGET_BYTES)
        return max(1, int(budget // per_window))


def _set_threads() -> None:
    """Use no more threads than a container's share of processors: they would wait for one another."""
    allowed = count_processors()
    if allowed is not None and "OMP_NUM_THREADS" not in os.environ and allowed < torch.get_num_threads():
        torch.set_num_threads(allowed)


def _set_compile_cache() -> None:
    """Name a folder for what torch compiles, which is nothing here, if torch would not find one on import.

    To find one, torch needs a user's name and a folder for temporary files. A container may have neither.
    """
    try:
        getpass.getuser()
        tempfile.gettempdir()
    except (OSError, KeyError, ImportError):
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", os.path.dirname(__file__))


def _load(checkpoint: Checkpoint, device: Device) -> Any:
    # Before the hub's client is first imported: from here on it must not open a connection.
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["TRANSFORMERS_OFFLINE"] = "1"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    _set_compile_cache()
    from transformers import ASTForAudioClassification
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        model, info = ASTForAudioClassification.from_pretrained(
            checkpoint.folder,
            local_files_only=True,
            use_safetensors=True,
            dtype=device.dtype,
            attn_implementation="sdpa",
            output_loading_info=True,
        )
        model = model.eval().to(device.device)
    except Exception as error:  # whatever a strange config.json makes transformers do
        said = f"{type(error).__name__}: {error}".strip().splitlines()[0]
        raise CheckpointError(f"{checkpoint.folder} cannot be loaded on {device.device}: {said}") from error
    # transformers fills missing weights with random numbers: the scores would be noise.
    for problem in ("missing_keys", "unexpected_keys"):
        if found := sorted(str(key) for key in info.get(problem, ())):
            raise CheckpointError(
                f"{checkpoint.weights} does not fit its config.json: {problem.replace('_', ' ')} {', '.join(found[:3])}"
                + (f" and {len(found) - 3} more" if len(found) > 3 else "")
            )
    for name, weights in model.state_dict().items():
        if not math.isfinite(weights.sum(dtype=torch.float64)):
            raise CheckpointError(f"{checkpoint.weights} holds values that are not finite numbers, first in {name}")
    return model


def is_out_of_memory(error: BaseException) -> bool:
    """Return True if `error` is an out-of-memory error of PyTorch or NumPy."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    text = str(error).lower()
    signs = ("not enough memory", "can't allocate memory", "out of memory", "cublas_status_alloc_failed")
    return any(sign in text for sign in signs)
