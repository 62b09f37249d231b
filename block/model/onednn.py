"""What limits oneDNN's kernels on this CPU: its features, and environment variables. Nothing here measures time."""

from __future__ import annotations

import os

import torch

# The environment variables that limit oneDNN's kernels; the first one that is set counts.
ISA_VARIABLES = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
BELOW_AVX2 = ("sse41", "avx")
BELOW_BFLOAT16 = (*BELOW_AVX2, "avx2", "avx2_vnni", "avx2_vnni_2", "avx512_core", "avx512_core_vnni")


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


def has_bfloat16_kernels() -> bool:
    """Return True if this CPU multiplies bfloat16 in hardware and oneDNN may use that."""
    cpu = torch.cpu.get_capabilities()
    return bool(is_available() and cpu.get("avx512_bf16") and not is_below(find_limit(), BELOW_BFLOAT16))
