"""oneDNN's product, and what limits its kernels: the CPU's features, and environment variables, never a measurement."""

from __future__ import annotations

import os

import torch
from torch import Tensor

# The environment variables that limit oneDNN's kernels; the first one that is set counts.
ISA_VARIABLES = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
BELOW_AVX2 = ("sse41", "avx")
BELOW_AVX512 = (*BELOW_AVX2, "avx2", "avx2_vnni", "avx2_vnni_2")
BELOW_BFLOAT16 = (*BELOW_AVX512, "avx512_core", "avx512_core_vnni")
BELOW_AMX = (*BELOW_BFLOAT16, "avx512_core_bf16", "avx512_core_fp16", "avx10_1_512", "avx10_2_512")


def multiply(x: Tensor, weight: Tensor, bias: Tensor | None = None, gelu: bool = False) -> Tensor:
    """Return `x·weightᵀ + bias`, followed by exact GELU if `gelu`, in float32 on a CPU, without gradients.

    Shape: `(rows, inputs)` in, `(rows, outputs)` out. `weight` is contiguous, `(outputs, inputs)`, or reordered by
    oneDNN. PyTorch's compiler uses this operator; one that lacks it raises AttributeError.
    """
    y: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "gelu" if gelu else "none", [], "none")
    return y


def is_available() -> bool:
    """Return True if this PyTorch has oneDNN and uses it."""
    mkldnn = torch.backends.mkldnn
    return bool(mkldnn.is_available() and mkldnn.enabled)  # type: ignore[no-untyped-call]


def find_limit() -> str:
    """Return which environment variable limits the kernels and to what, as `NAME is VALUE`; empty if none does."""
    return next((f"{name} is {value}" for name in ISA_VARIABLES if (value := os.environ.get(name))), "")


def is_below(limit: str, values: tuple[str, ...]) -> bool:
    """Return True if `limit`, as from `find_limit`, is one of `values`."""
    return limit.lower().rpartition(" ")[2] in values


def has_avx512_kernels() -> bool:
    """Return True if this CPU has AVX-512 and oneDNN may use it."""
    return _has_kernels("avx512_f", BELOW_AVX512)


def has_fast_bfloat16_kernels() -> bool:
    """Return True if this CPU multiplies bfloat16 faster than float32 and oneDNN may use that.

    CPUs with AMX do. So do CPUs with AVX-512 BF16 that aren't Intel's: a Xeon without AMX multiplied bfloat16 at half
    the rate of float32.
    """
    if _has_kernels("amx_bf16", BELOW_AMX):
        return True
    return _has_kernels("avx512_bf16", BELOW_BFLOAT16) and not is_intel()


def is_intel() -> bool:
    """Return True if this CPU is known to be Intel's.

    PyTorch starts the name of an x86 CPU with its vendor, as in `Intel Xeon` or `AMD EPYC`, unless it knows no vendor.
    """
    return str(torch.cpu.get_capabilities().get("cpu_name", "")).startswith("Intel ")


def _has_kernels(feature: str, below: tuple[str, ...]) -> bool:
    return bool(is_available() and torch.cpu.get_capabilities().get(feature) and not is_below(find_limit(), below))
