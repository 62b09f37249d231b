"""Measure the machine's peak: its fastest matrix product with the shape of the model's widest linear layer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

ROWS, INPUTS, OUTPUTS = 1214, 768, 3072
CUDA_WINDOWS = 16  # multiply the tokens of 16 windows at once: one doesn't keep a GPU busy
TRIES, SPEND_S = 30, 1.0
TOO_SLOW_S = 0.5  # this slow, it is a loop that replaces an instruction the CPU lacks, not a peak


@dataclass(frozen=True)
class Peak:
    """The most operations per second that `how` reached in products of `dtype`; integer operations for int8."""

    dtype: str
    flops_s: float
    how: str


def measure(device: torch.device) -> dict[str, Peak]:
    """Return the current peaks of `device`, by dtype, without the dtypes that it doesn't support."""
    peaks: dict[str, Peak] = {}
    rows = ROWS * (CUDA_WINDOWS if device.type == "cuda" else 1)
    with torch.inference_mode():
        for dtype, how, product in _products(device, rows):
            seconds = _fastest(product, device)
            if seconds is None:
                continue
            peak = Peak(dtype, 2 * rows * INPUTS * OUTPUTS / seconds, how)
            peaks[dtype] = higher(peaks.get(dtype), peak)
    return peaks


def higher(one: Peak | None, other: Peak) -> Peak:
    """Return the higher of two peaks, or the only one."""
    return one if one is not None and one.flops_s >= other.flops_s else other


def _products(device: torch.device, rows: int) -> Iterator[tuple[str, str, Callable[[], Tensor]]]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn((rows, INPUTS), generator=generator).to(device)
    weight = (torch.randn((OUTPUTS, INPUTS), generator=generator) / INPUTS**0.5).to(device)
    yield "float32", "torch.mm", lambda: torch.mm(x, weight.t())
    if device.type == "cpu":
        from block.model.linear import PackedLinear, packing_works

        if packing_works():
            packed = PackedLinear(weight, None, rows)
            yield "float32", "oneDNN's packed linear", lambda: packed(x)
    for dtype in (torch.bfloat16, torch.float16) if device.type == "cuda" else (torch.bfloat16,):
        a, b = x.to(dtype), weight.to(dtype).t()
        yield str(dtype).removeprefix("torch."), "torch.mm", lambda a=a, b=b: torch.mm(a, b)  # type: ignore[misc]
    whole, whole_weight = (x * 30).to(torch.int8), (weight * 900).to(torch.int8).t()
    yield "int8", "torch._int_mm", lambda: torch._int_mm(whole, whole_weight)


def _fastest(product: Callable[[], Tensor], device: torch.device) -> float | None:
    """Return the seconds of the fastest call; None if the device doesn't support it, or only emulates it."""
    best, spent = float("inf"), 0.0
    for attempt in range(TRIES):
        start = time.perf_counter()
        try:
            product()
        except (RuntimeError, NotImplementedError, AttributeError):
            return None
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds = time.perf_counter() - start
        spent += seconds
        if attempt:  # the first call sets things up
            best = min(best, seconds)
        elif seconds > TOO_SLOW_S * 4:
            return None
        if attempt and spent > SPEND_S:
            break
    return best if best < TOO_SLOW_S else None
