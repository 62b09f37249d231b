"""The CPU's features, and what limits oneDNN, decide how attention is computed."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType

import pytest
import torch

from block.model import attention
from block.model.attention import attend_by_head, attend_in_bfloat16, bfloat16_works, heads_work
from block.model.onednn import ISA_VARIABLES, has_avx512_kernels, has_bfloat16_kernels


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
    ("features", "expected"),
    [({"avx512_bf16": True}, True), ({"avx512_bf16": False, "avx2": True}, False), ({}, False)],
)
def test_only_a_cpu_that_multiplies_bfloat16_has_kernels_for_it(
    monkeypatch: pytest.MonkeyPatch, features: dict[str, object], expected: bool
) -> None:
    pretend(monkeypatch, **features)
    assert has_bfloat16_kernels() is expected


@pytest.mark.parametrize("name", ISA_VARIABLES)
@pytest.mark.parametrize(
    ("value", "expected"),
    [("AVX2", False), ("avx512_core", False), ("AVX512_CORE_VNNI", False), ("AVX512_CORE_BF16", True), ("ALL", True)],
)
def test_kernels_limited_below_bfloat16_are_not_used_for_it(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: bool
) -> None:
    pretend(monkeypatch, avx512_bf16=True)
    monkeypatch.setenv(name, value)
    assert has_bfloat16_kernels() is expected


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
    monkeypatch.setattr(attention, "attend_by_head", lambda qkv, bias: attend_by_head(qkv, bias * 0))
    assert not heads_work()


def test_a_pytorch_without_onednns_product_keeps_its_own_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, avx512_f=True)
    monkeypatch.setattr(torch.ops, "mkldnn", None)
    assert not heads_work()
