"""Describe the machine that was measured, without host or user names."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path

PACKAGES = ("torch", "torchaudio", "transformers", "numpy", "onnxruntime", "openvino", "onnx", "matplotlib")
INSTALL = "pip install -r locked/openvino.txt -r locked/bench.txt"
CPU_INFO, CPU_TIMES = Path("/proc/cpuinfo"), Path("/proc/stat")
# Of CPUs, as torch.cpu.get_capabilities names them: those that fast paths use.
FEATURES = ("avx2", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16")
MUCH = 0.1  # share of the cores' time taken by other processes, from which results are unreliable


def versions() -> dict[str, str]:
    """Return the version of each package in use that is installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


class OtherProcesses:
    """How busy other processes have kept the machine since this was created. Known only on Linux."""

    def __init__(self) -> None:
        self._before = _busy_s()

    def share(self) -> float | None:
        """Return the share of all cores' time, 0…1, that other processes took; None if unknown."""
        now = _busy_s()
        if self._before is None or now is None:
            return None
        total, busy, own = (after - before for after, before in zip(now, self._before, strict=True))
        return min(1.0, max(0.0, (busy - own) / total)) if total > 0 else None


def _busy_s() -> tuple[float, float, float] | None:
    """Return seconds of all cores since boot: in total, busy, and busy for this process and its children."""
    try:
        numbers = [int(word) for word in CPU_TIMES.read_text().split("\n", 1)[0].split()[1:9]]
    except (OSError, ValueError):
        return None
    times = os.times()
    second = os.sysconf("SC_CLK_TCK")
    total, idle = sum(numbers) / second, (numbers[3] + numbers[4]) / second
    return total, total - idle, times.user + times.system + times.children_user + times.children_system


def describe() -> dict[str, object]:
    """Return the processor, the cores that this process may use, its features, threads, GPU and versions."""
    import torch

    machine: dict[str, object] = {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "instruction_set": torch.backends.cpu.get_cpu_capability(),
        "features": [name for name in FEATURES if torch.cpu.get_capabilities().get(name)],
        "torch_threads": torch.get_num_threads(),
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": versions(),
    }
    if torch.version.cuda is not None and torch.cuda.is_available():
        machine["gpu"] = torch.cuda.get_device_name()
    return machine


def _cpu_model() -> str:
    try:
        for line in CPU_INFO.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
