"""Choose the device that the model runs on, the dtype of its weights there, and what computes its layers."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch

from block.model.openvino_encoder import import_openvino
from block.runtime.imports import describe_import_error, describe_install
from block.settings import OPENVINO, TORCH, ComputeSettings, SettingsError, check_backend


@dataclass(frozen=True)
class Device:
    """A device, the dtype of the weights on it, a text with the reason for the choice, and what computes the layers."""

    device: torch.device
    dtype: torch.dtype
    reason: str
    backend: str = TORCH

    @property
    def dtype_name(self) -> str:
        return str(self.dtype).removeprefix("torch.")


def choose_device(settings: ComputeSettings) -> Device:
    """Return the device, dtype and backend that `settings` ask for.

    dtype `auto` means float32 on a CPU and bfloat16 on CUDA, or float16 on a GPU too old for bfloat16. Raise
    SettingsError if that CUDA device is missing, or if the backend can't compute there.
    """
    cuda_problem = _find_cuda_problem()
    if settings.device == "auto":
        device = torch.device("cpu" if cuda_problem else "cuda")
        reason = f"no CUDA device: {cuda_problem}" if cuda_problem else torch.cuda.get_device_name(device)
    elif settings.device == "cpu":
        device, reason = torch.device("cpu"), "as requested"
    else:
        if cuda_problem:
            raise SettingsError(f"--device is {settings.device}, but there is no CUDA device: {cuda_problem}")
        device = torch.device(settings.device)
        if (device.index or 0) >= torch.cuda.device_count():
            raise SettingsError(f"--device is {settings.device}; expected at most cuda:{torch.cuda.device_count() - 1}")
        reason = f"as requested, {torch.cuda.get_device_name(device)}"
    dtype_name = settings.dtype
    if dtype_name == "auto":
        dtype_name = "float32" if device.type == "cpu" else _choose_half(device)
    check_backend(settings.backend, device.type, dtype_name)
    if settings.backend == OPENVINO:
        _check_openvino()
    return Device(device, getattr(torch, dtype_name), reason, settings.backend)


def _check_openvino() -> None:
    try:
        import_openvino()
    except Exception as error:  # a broken package can raise anything
        raise SettingsError(
            f"--backend openvino needs OpenVINO, which can't be imported ({describe_import_error(error)}); "
            f"{describe_install('openvino')}"
        ) from None


def _choose_half(device: torch.device) -> str:
    """Return the 16-bit type that this GPU supports: bfloat16 from compute capability 8.0 on, else float16."""
    return "bfloat16" if torch.cuda.get_device_capability(device)[0] >= 8 else "float16"


def _find_cuda_problem() -> str:
    """Return why CUDA can't be used, or "" if it can."""
    if torch.version.cuda is None:
        return "this PyTorch was built without CUDA"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if torch.cuda.is_available():
            return ""
    problem = str(caught[-1].message).splitlines()[0] if caught else "no NVIDIA driver or GPU was found"
    return problem.strip()
