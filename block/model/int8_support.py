"""Decide whether this machine multiplies 8-bit integers with kernels made for it, without measuring any time."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass

import torch

INT8_MAX = 127
# 7-bit weights: without VNNI, a CPU adds two products of 8-bit values in 16 bits, which would saturate.
INT8_NARROW_MAX = 63
# The environment variables that limit oneDNN's kernels; the first one that is set counts. Values below AVX2:
ISA_VARIABLES = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
NARROW_ISAS = ("sse41", "avx")


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
            got = torch._int_mm(rows, weights.t())
        except (AttributeError, RuntimeError, NotImplementedError):
            return Int8Support(0, "this PyTorch can't multiply 8-bit integers on a CPU")
        if torch.equal(got, (rows.int() @ weights.int().t()).to(got.dtype)):
            return Int8Support(limit)
    return Int8Support(0, "this PyTorch multiplies 8-bit integers incorrectly on this CPU")


def _find_missing_kernels() -> str:
    """Return why oneDNN has no fast kernels for 8-bit products here, or "" if it has."""
    mkldnn = torch.backends.mkldnn
    if not (mkldnn.is_available() and mkldnn.enabled):  # type: ignore[no-untyped-call]
        return "this PyTorch has no oneDNN, or it is turned off"
    cpu = torch.cpu.get_capabilities()
    if not str(cpu["architecture"]).startswith("x86"):
        return f"fast 8-bit kernels need an x86 CPU, but this one is {cpu['architecture']}"
    if not cpu["avx2"]:
        return "fast 8-bit kernels need AVX2, which this CPU lacks"
    for name in ISA_VARIABLES:
        if value := os.environ.get(name):
            return f"fast 8-bit kernels need AVX2, but {name} is {value}" if value.lower() in NARROW_ISAS else ""
    return ""
