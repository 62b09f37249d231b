"""A checkpoint on a device: input tensor in, logits out."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from block.checkpoints import Checkpoint, CheckpointError
from block.settings import ComputeSettings, SettingsError

Logits = npt.NDArray[np.float32]

CPU_BUDGET_BYTES = 4 << 30
CGROUP = Path("/sys/fs/cgroup")
CGROUP_FILES = (  # limit, use and statistics, of control groups version 2 and 1
    (CGROUP / "memory.max", CGROUP / "memory.current", CGROUP / "memory.stat"),
    (
        CGROUP / "memory" / "memory.limit_in_bytes",
        CGROUP / "memory" / "memory.usage_in_bytes",
        CGROUP / "memory" / "memory.stat",
    ),
)
FILL_WINDOWS = {"cpu": 8, "cuda": 64}


@dataclass(frozen=True)
class Device:
    """The device chosen, the dtype of the weights on it, and in words why that device."""

    device: torch.device
    dtype: torch.dtype
    reason: str

    @property
    def dtype_name(self) -> str:
        return str(self.dtype).removeprefix("torch.")


def choose_device(settings: ComputeSettings) -> Device:
    """The device and dtype that `settings` ask for. Raises SettingsError if a CUDA device asked for is not there.

    dtype auto is float32 on a CPU and bfloat16 on CUDA.
    """
    cuda_problem = _cuda_problem()
    if settings.device == "auto":
        device = torch.device("cpu" if cuda_problem else "cuda")
        reason = f"no CUDA device: {cuda_problem}" if cuda_problem else torch.cuda.get_device_name(device)
    elif settings.device == "cpu":
        device, reason = torch.device("cpu"), "as asked for"
    else:
        if cuda_problem:
            raise SettingsError(f"--device is {settings.device}, but there is no CUDA device: {cuda_problem}")
        device = torch.device(settings.device)
        if (device.index or 0) >= torch.cuda.device_count():
            raise SettingsError(f"--device is {settings.device}; CUDA devices here: 0…{torch.cuda.device_count() - 1}")
        reason = f"as asked for, {torch.cuda.get_device_name(device)}"
    dtype_name = settings.dtype
    if dtype_name == "auto":
        dtype_name = "float32" if device.type == "cpu" else "bfloat16"
    return Device(device, getattr(torch, dtype_name), reason)


def _cuda_problem() -> str:
    """Why no CUDA device can be used; empty if one can."""
    if torch.version.cuda is None:
        return "this PyTorch was built without CUDA"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if torch.cuda.is_available():
            return ""
    said = str(caught[-1].message).splitlines()[0] if caught else "no NVIDIA driver or GPU was found"
    return said.strip()


class Classifier:
    """An `ASTForAudioClassification` from a local folder, in evaluation mode on one device.

    `capacity` is how many windows fit in the memory budget of one forward pass; it shrinks after running out of
    memory. `fill` is how many windows a batch shared by several recordings aims for.
    """

    def __init__(self, checkpoint: Checkpoint, device: Device, batch_size: int = 0) -> None:
        self.checkpoint = checkpoint
        self.device = device
        # Exact means exact: no reduced-precision products inside float32.
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        torch.set_float32_matmul_precision("highest")
        self._model = _load(checkpoint, device)
        self.capacity = batch_size or self._capacity()
        self.fill = batch_size or min(self.capacity, FILL_WINDOWS[device.device.type])

    def logits(self, inputs: Tensor) -> Logits:
        """One forward pass. Shape: `(batch, max_frames, mel_bins)` in, `(batch, classes)` out, float32.

        Raises what PyTorch raises; `is_out_of_memory` tells whether the batch was too large.
        """
        with torch.inference_mode():
            logits = self._model(input_values=inputs.to(self.device.device, self.device.dtype)).logits
            return np.asarray(logits.float().cpu().numpy(), dtype=np.float32)

    def free_memory(self) -> None:
        """Give back what PyTorch keeps of the device's memory for later."""
        if self.device.device.type == "cuda":
            torch.cuda.empty_cache()

    def _capacity(self) -> int:
        config: Any = self._model.config
        patches = 1
        for length, step in ((config.num_mel_bins, config.frequency_stride), (config.max_length, config.time_stride)):
            patches *= (length - config.patch_size) // step + 1
        # The widest moment of a layer: residual, normed, query, key, value, attention's output and its copies, then
        # both sides of the MLP's activation; and the front end's frames on the same device.
        per_token = 12 * config.hidden_size + 2 * config.intermediate_size
        item = torch.empty((), dtype=self.device.dtype).element_size()
        per_window = (patches + 2) * per_token * item + config.max_length * 512 * 4 * 6
        if self.device.device.type == "cuda":
            budget = torch.cuda.mem_get_info(self.device.device)[0] // 2
        else:
            budget = min(_available_bytes() // 4, CPU_BUDGET_BYTES)
        return max(1, int(budget // per_window))


def _load(checkpoint: Checkpoint, device: Device) -> torch.nn.Module:
    # Set before the hub's client is first imported: from here on it may not open a connection.
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["TRANSFORMERS_OFFLINE"] = "1"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
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
    # transformers fills weights it does not find with random numbers: the scores would be noise.
    for problem in ("missing_keys", "unexpected_keys"):
        if found := sorted(str(key) for key in info.get(problem, ())):
            raise CheckpointError(
                f"{checkpoint.weights} does not fit its config.json: {problem.replace('_', ' ')} {', '.join(found[:3])}"
                + (f" and {len(found) - 3} more" if len(found) > 3 else "")
            )
    return model  # type: ignore[no-any-return]


def is_out_of_memory(error: BaseException) -> bool:
    """Is `error` one of the many ways in which PyTorch and NumPy say that memory ran out?"""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    text = str(error).lower()
    signs = ("not enough memory", "can't allocate memory", "out of memory", "cublas_status_alloc_failed")
    return any(sign in text for sign in signs)


def _available_bytes() -> int:
    """Memory that this process may still take: the machine's, or less where a control group limits it."""
    available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    try:
        available = _numbers(Path("/proc/meminfo"))["MemAvailable:"] * 1024
        for limit, used, stat in CGROUP_FILES:
            if limit.is_file() and limit.read_text().strip().isdecimal():
                # Files read lately count as used, but make room when asked to.
                idle = _numbers(stat).get("inactive_file", 0)
                available = min(available, int(limit.read_text()) - int(used.read_text()) + idle)
    except (OSError, ValueError, KeyError):
        pass  # not Linux, or no control groups: half of the memory is a safe guess
    return max(available, 0)


def _numbers(path: Path) -> dict[str, int]:
    """The first number of each line of a file of the kernel, by the line's first word."""
    words = (line.split() for line in path.read_text().splitlines())
    return {word[0]: int(word[1]) for word in words if len(word) > 1 and word[1].isdecimal()}
