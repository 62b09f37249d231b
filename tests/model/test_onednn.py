"""The CPU's features, and what limits oneDNN, decide how attention is computed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType

import pytest
import torch

from block.model import attention
from block.model.attention import attend_by_head, attend_in_bfloat16, bfloat16_works, heads_work
from block.model.onednn import ISA_VARIABLES, has_avx512_kernels, has_fast_bfloat16_kernels, is_intel

CPU_INFO = Path("/proc/cpuinfo")
# Names of CPUs and their features, as torch.cpu.get_capabilities gives them.
CPUS: dict[str, dict[str, object]] = {
    "Intel with AVX2": {"cpu_name": "Intel Xeon E5-2696 v4", "avx2": True},
    "Intel with AVX-512": {"cpu_name": "Intel Xeon Platinum 8180", "avx512_f": True},
    "Intel with BF16": {"cpu_name": "Intel Xeon", "avx512_f": True, "avx512_bf16": True},
    "Intel with AMX": {"cpu_name": "Intel Xeon", "avx512_f": True, "avx512_bf16": True, "amx_bf16": True},
    "AMD with AVX2": {"cpu_name": "AMD EPYC 7763", "avx2": True},
    "AMD with BF16": {"cpu_name": "AMD EPYC", "avx512_f": True, "avx512_bf16": True},
    "unknown vendor": {"cpu_name": "KaiXian", "avx512_f": True, "avx512_bf16": True},
    "unknown vendor with AMX": {"cpu_name": "KaiXian", "avx512_f": True, "avx512_bf16": True, "amx_bf16": True},
    "empty name": {"cpu_name": "", "avx512_f": True, "avx512_bf16": True},
    "no name": {"avx512_f": True, "avx512_bf16": True},
    "no features": {},
}


@pytest.fixture(autouse=True)
def _without_limits(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ISA_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for works in (bfloat16_works, heads_work):
        works.cache_clear()
    yield
    for works in (bfloat16_works, heads_work):
        works.cache_clear()


def pretend(monkeypatch: pytest.MonkeyPatch, **features: object) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: MappingProxyType(features))
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)


@pytest.mark.parametrize(
    ("cpu", "by_head", "in_bfloat16"),
    [
        ("Intel with AVX2", False, False),
        ("Intel with AVX-512", False, False),
        ("Intel with BF16", False, False),
        ("Intel with AMX", False, True),
        ("AMD with AVX2", False, False),
        ("AMD with BF16", True, True),
        ("unknown vendor", True, True),
        ("unknown vendor with AMX", True, True),
        ("empty name", True, True),
        ("no name", True, True),
        ("no features", False, False),
    ],
)
def test_the_vendor_and_the_features_of_a_cpu_decide_how_attention_is_computed(
    monkeypatch: pytest.MonkeyPatch, cpu: str, by_head: bool, in_bfloat16: bool
) -> None:
    pretend(monkeypatch, **CPUS[cpu])
    monkeypatch.setattr(attention, "_is_right", lambda attend, error: True)
    assert heads_work() is by_head
    assert bfloat16_works() is in_bfloat16


@pytest.mark.parametrize("name", ISA_VARIABLES)
@pytest.mark.parametrize(
    ("cpu", "value", "expected"),
    [
        ("AMD with BF16", "AVX2", False),
        ("AMD with BF16", "avx512_core", False),
        ("AMD with BF16", "AVX512_CORE_VNNI", False),
        ("AMD with BF16", "AVX512_CORE_BF16", True),
        ("AMD with BF16", "AVX512_CORE_AMX", True),
        ("AMD with BF16", "ALL", True),
        ("Intel with BF16", "AVX512_CORE_AMX", False),
        ("Intel with AMX", "AVX2", False),
        ("Intel with AMX", "AVX512_CORE_BF16", False),
        ("Intel with AMX", "avx512_core_fp16", False),
        ("Intel with AMX", "AVX10_1_512", False),
        ("Intel with AMX", "AVX10_2_512", False),
        ("Intel with AMX", "AVX512_CORE_AMX", True),
        ("Intel with AMX", "AVX512_CORE_AMX_FP16", True),
        ("Intel with AMX", "AVX10_1_512_AMX", True),
        ("Intel with AMX", "DEFAULT", True),
        ("unknown vendor with AMX", "AVX512_CORE_BF16", True),
        ("unknown vendor with AMX", "AVX512_CORE", False),
    ],
)
def test_a_limit_excludes_kernels_for_bfloat16(
    monkeypatch: pytest.MonkeyPatch, name: str, cpu: str, value: str, expected: bool
) -> None:
    pretend(monkeypatch, **CPUS[cpu])
    monkeypatch.setenv(name, value)
    assert has_fast_bfloat16_kernels() is expected


def test_pytorch_starts_the_name_of_this_cpu_with_its_vendor() -> None:
    if not CPU_INFO.exists() or not torch.cpu.get_capabilities().get("cpu_name"):
        pytest.skip("this CPU has no name")
    assert is_intel() is ("GenuineIntel" in CPU_INFO.read_text())


def test_attention_in_bfloat16_is_not_used_if_its_result_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, avx512_bf16=True)
    assert bfloat16_works()
    bfloat16_works.cache_clear()
    monkeypatch.setattr(attention, "attend_in_bfloat16", lambda qkv, bias: attend_in_bfloat16(qkv, bias * 0))
    assert not bfloat16_works()


@pytest.mark.parametrize(
    ("features", "value", "expected"),
    [
        ({"avx512_f": True}, "", True),
        ({"avx512_f": True}, "AVX512_CORE", True),
        ({"avx512_f": True}, "AVX2", False),
        ({"avx512_f": False, "avx2": True}, "", False),
        ({}, "", False),
    ],
)
def test_heads_are_computed_one_by_one_only_with_avx512(
    monkeypatch: pytest.MonkeyPatch, features: dict[str, object], value: str, expected: bool
) -> None:
    pretend(monkeypatch, **features)
    monkeypatch.setenv(ISA_VARIABLES[0], value)
    assert has_avx512_kernels() is expected
    assert expected or not heads_work()


def test_heads_are_not_computed_one_by_one_if_the_result_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, avx512_f=True)
    assert heads_work()
    heads_work.cache_clear()
    monkeypatch.setattr(attention, "attend_by_head", lambda qkv, bias: attend_by_head(qkv, bias * 0))
    assert not heads_work()


def test_a_pytorch_without_onednns_product_keeps_its_own_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, avx512_f=True)
    monkeypatch.setattr(torch.ops, "mkldnn", None)
    assert not heads_work()
