"""Multiply 8-bit integers in oneDNN, and decide without measuring any time whether this machine has kernels for it."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from torch import Tensor

from block.model import onednn

INT8_MAX = 127
# 7-bit weights: without VNNI, a CPU adds two products of 8-bit values in 16 bits, which would saturate.
INT8_NARROW_MAX = 63
# Added to inputs: oneDNN's fast kernels take unsigned ones. With signed ones, it takes a thousand times as long.
SHIFT = 128


class Int8Product:
    """The product `x·Wᵀ` of 8-bit integers, accumulated exactly in 32 bits, times a scale for each output.

    `weight`, shape `(outputs, inputs)`, is laid out once for oneDNN. PyTorch's compiler uses the same operators for
    quantized models.
    """

    def __init__(self, weight: Tensor, scale: Tensor) -> None:
        self._weight = torch.ops.onednn.qlinear_prepack(weight, None)
        self._scale = scale
        self._zero_points = torch.zeros(len(scale), dtype=torch.int32)

    def __call__(self, x: Tensor) -> Tensor:
        """Return float32, shape `(rows, outputs)`, from int8, shape `(rows, inputs)`. This overwrites `x`."""
        shifted = x.view(torch.uint8).add_(SHIFT)
        y: Tensor = torch.ops.onednn.qlinear_pointwise(
            shifted, 1.0, SHIFT, self._weight, self._scale, self._zero_points, None, 1.0, 0, torch.float32, "none", [],
            "",
        )  # fmt: skip
        return y


@dataclass(frozen=True)
class Int8Support:
    """`limit` is the largest integer that weights may be rounded to; 0 if int8 isn't used, and `reason` says why."""

    limit: int
    reason: str = ""


@functools.cache
def find_int8_support() -> Int8Support:
    """Return whether 8-bit products are used on this machine, and how large their weights may be.

    oneDNN has fast kernels for x86 CPUs with AVX2 or later instruction sets. Otherwise, products of 8-bit integers are
    slower than float32, or even computed by PyTorch's plain loops. The decision depends on the CPU's features and on
    the settings that limit oneDNN, never on the clock, so a busy machine doesn't change it. Then multiply extreme
    values, which reveals saturating arithmetic.
    """
    if missing := _find_missing_kernels():
        return Int8Support(0, missing)
    for limit in (INT8_MAX, INT8_NARROW_MAX):
        extreme = torch.tensor([-INT8_MAX, INT8_MAX], dtype=torch.int8).repeat(32)
        rows = torch.stack([extreme, extreme.flip(0), extreme.abs(), -extreme.abs()])
        weights = (rows.to(torch.int32) * limit // INT8_MAX).to(torch.int8)
        try:
            got = Int8Product(weights, torch.ones(len(weights)))(rows.clone())
        except (AttributeError, RuntimeError, NotImplementedError):
            return Int8Support(0, "this PyTorch can't multiply 8-bit integers on a CPU")
        if torch.equal(got, (rows.int() @ weights.int().t()).float()):
            return Int8Support(limit)
    return Int8Support(0, "this PyTorch multiplies 8-bit integers incorrectly on this CPU")


def _find_missing_kernels() -> str:
    """Return why oneDNN has no fast kernels for 8-bit products here, or "" if it has."""
    if not onednn.is_available():
        return "this PyTorch has no oneDNN, or it is turned off"
    cpu = torch.cpu.get_capabilities()
    if not str(cpu["architecture"]).startswith("x86"):
        return f"fast 8-bit kernels need an x86 CPU, but this one is {cpu['architecture']}"
    if not cpu["avx2"]:
        return "fast 8-bit kernels need AVX2, which this CPU lacks"
    limit = onednn.find_limit()
    return f"fast 8-bit kernels need AVX2, but {limit}" if onednn.is_below(limit, onednn.BELOW_AVX2) else ""
