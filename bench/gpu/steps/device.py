"""What is measured, and its fastest matrix products, which bound everything else."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch

from bench.gpu.facts import Fact
from bench.gpu.subject import Subject

CALLS = 20


def run(subject: Subject) -> Iterator[Fact]:
    """Describe the device, and measure its matrix peak in each dtype."""
    if subject.is_cuda:
        properties = torch.cuda.get_device_properties(subject.device)
        free, total = torch.cuda.mem_get_info(subject.device)
        yield Fact("device.name", "device", properties.name)
        yield Fact("device.capability", "compute capability", f"{properties.major}.{properties.minor}")
        yield Fact("device.processors", "multiprocessors", properties.multi_processor_count)
        yield Fact("device.memory", "memory", total / 2**30, "GiB")
        yield Fact("device.free", "free at the start", free / 2**30, "GiB")
    else:
        yield Fact("device.name", "device", "CPU: the dry form")
    yield Fact("device.half", "dtype of exact mode", subject.half)
    yield Fact("device.cuda", "CUDA of this PyTorch", str(torch.version.cuda))
    for dtype in ("bfloat16", "float16", "float32"):
        flops_s, how = measure_peak(subject, getattr(torch, dtype))
        yield Fact(f"peak.{dtype}", f"fastest matrix product, {dtype} ({how})", flops_s / 1e12, "TFLOP/s")


def measure_peak(subject: Subject, dtype: torch.dtype) -> tuple[float, str]:
    """Return the highest rate of a product, in operations per second, and which one reached it."""
    best, how = 0.0, ""
    generator = torch.Generator(device=subject.device).manual_seed(0)
    with torch.inference_mode():
        for m, k, n in subject.sizes.matrices:
            # Random data: products of zeros take less power and run faster.
            a = torch.randn((m, k), generator=generator, device=subject.device).to(dtype)
            b = torch.randn((k, n), generator=generator, device=subject.device).to(dtype)
            calls = CALLS if subject.is_cuda else 1
            seconds = min(subject.accelerator.time_many(partial(torch.mm, a, b), calls) for _ in range(3))
            if 2 * m * k * n / seconds > best:
                best, how = 2 * m * k * n / seconds, f"{m} × {k} × {n}"
    return best, how
