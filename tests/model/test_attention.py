"""A bias in the keys gives what a bias in the mask gives, and the forward pass uses it only where it helps."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from block.model import encoder as encoder_module
from block.model.attention import (
    BFLOAT16_ERROR,
    FLOAT32_ERROR,
    PARTS,
    attend_by_head,
    attend_in_bfloat16,
    attend_with_bias,
    flash_takes,
    split_bias,
)
from block.model.forward import Forward
from block.model.linear import packing_works
from tests.conftest import EMBEDDED
from tests.model.test_forward import load

RECORDED_COLUMNS, GROUPS = 13, 64
PADDING = 0.467


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("width", [64, 32, 24])
def test_a_bias_in_the_keys_gives_what_a_mask_gives(width: int) -> None:
    qkv = draw(2, 50, 3, 4, width)
    bias = torch.tensor([0.0] * 30 + [math.log(size) for size in range(1, 21)])
    q, k, v = qkv.transpose(1, 3).unbind(2)
    expected = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias.view(1, 1, 1, -1)).transpose(1, 2)
    found = attend_with_bias(qkv, bias)
    assert found.shape == (2, 50, 4, width)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    assert (expected - functional.scaled_dot_product_attention(q, k, v).transpose(1, 2)).abs().max() > 0.01


@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("scores_at_once", [1, 50 * 50 * 3, 1 << 30])
def test_attention_in_bfloat16_differs_by_rounding_alone(
    monkeypatch: pytest.MonkeyPatch, scores_at_once: int, has_bias: bool
) -> None:
    monkeypatch.setattr("block.model.attention.CACHED_SCORES", scores_at_once)
    qkv = draw(2, 50, 3, 4, 64)
    bias = torch.tensor([0.0] * 30 + [math.log(size) for size in range(1, 21)]) if has_bias else None
    q, k, v = qkv.transpose(1, 3).unbind(2)
    mask = None if bias is None else bias.view(1, 1, 1, -1)
    expected = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2)
    found = attend_in_bfloat16(qkv, bias)
    assert found.dtype == torch.float32
    assert found.shape == (2, 50, 4, 64)
    assert 0 < (found - expected).abs().max() < BFLOAT16_ERROR
    # A window alone gives what it gives beside another.
    assert torch.equal(attend_in_bfloat16(qkv[1:], bias), found[1:])


@pytest.mark.skipif(not packing_works(), reason="this PyTorch has no oneDNN")
@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("width", [64, 24])
def test_attention_by_head_gives_what_pytorchs_gives(width: int, has_bias: bool) -> None:
    qkv = draw(2, 50, 3, 4, width)
    bias = torch.tensor([0.0] * 30 + [math.log(size) for size in range(1, 21)]) if has_bias else None
    q, k, v = qkv.transpose(1, 3).unbind(2)
    mask = None if bias is None else bias.view(1, 1, 1, -1)
    expected = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2)
    before = qkv.clone()
    found = attend_by_head(qkv, bias)
    assert found.shape == (2, 50, 4, width)
    assert (found - expected).abs().max() < FLOAT32_ERROR
    assert torch.equal(qkv, before)
    # A window alone gives what it gives beside another.
    assert torch.equal(attend_by_head(qkv[1:], bias), found[1:])


@pytest.mark.skipif(not packing_works(), reason="this PyTorch has no oneDNN")
def test_heads_are_computed_one_by_one_only_if_there_are_many_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = []

    def note(qkv: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        counts.append(qkv.shape[1])
        return attend_by_head(qkv, bias)

    monkeypatch.setattr(encoder_module, "attend_by_head", note)
    forward = Forward(load(EMBEDDED))
    inputs = draw(1, 1024, 128)
    with torch.inference_mode():
        forward.encoder.splits_heads = False
        expected = forward(inputs)
        assert not counts
        forward.encoder.splits_heads = True
        found = forward(inputs)
        forward(inputs, forward.merge_padding(RECORDED_COLUMNS, GROUPS, PADDING))
    assert set(counts) == {514}
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_in_16_bits_the_bias_keeps_its_precision(dtype: torch.dtype) -> None:
    bias = torch.arange(1, 1213).log() * 8
    parts = split_bias(bias, dtype)
    assert parts.shape == (1212, PARTS)
    assert parts.dtype == dtype
    assert (parts.float().sum(dim=1) - bias).abs().max() < 1e-5
    assert (bias.to(dtype).float() - bias).abs().max() > 1e-3


def test_the_merged_path_gives_the_same_logits_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def note(*arguments: torch.Tensor) -> torch.Tensor:
        calls.append(len(arguments))
        return attend_with_bias(*arguments)

    monkeypatch.setattr(encoder_module, "attend_with_bias", note)
    forward = Forward(load(EMBEDDED))
    inputs = torch.full((2, 1024, 128), PADDING)
    inputs[:, :200] = draw(2, 200, 128)
    with torch.inference_mode():
        tokens = forward.merge_padding(RECORDED_COLUMNS, GROUPS, PADDING)
        assert tokens.bias is not None
        assert tokens.bias.max() > 1
        masked = forward(inputs, tokens)
        assert not calls
        forward.encoder.widens_heads = True
        widened = forward(inputs, tokens)
        assert calls  # in all layers but the last, which has only two queries
        exact = forward(inputs)
    torch.testing.assert_close(widened, masked, rtol=1e-4, atol=1e-4)
    assert (exact - masked).abs().max() > 1e-3


def test_heads_are_not_widened_on_a_cpu_or_in_float32() -> None:
    assert not flash_takes(64, torch.device("cpu"), torch.bfloat16)
    assert not flash_takes(64, torch.device("cuda"), torch.float32)
    assert not Forward(load(EMBEDDED)).encoder.widens_heads


def test_a_pytorch_that_asks_differently_keeps_the_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cuda, "SDPAParams", None)
    monkeypatch.setattr(torch, "empty", lambda *shape, **options: None)
    assert not flash_takes(64, torch.device("cuda"), torch.bfloat16)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_in_16_bits_flash_attention_takes_the_widened_heads() -> None:
    assert flash_takes(64, torch.device("cuda"), torch.bfloat16)
