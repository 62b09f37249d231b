"""Attention with a bias for each key: on GPUs by flash attention, on CPUs by oneDNN's products where these are faster.

Attention adds `bias[k]` to `scale · q·k` before the softmax. A mask would say so, but PyTorch then uses slower kernels.
Instead, heads get a few more values: 1 in the queries, and `bias[k] / scale` in the keys, so that the product of both
contains the bias. See https://arxiv.org/abs/2205.14135 for the kernels.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from block.model import onednn

MORE = 8  # values per head; the kernels want a multiple of 8
PARTS = 3  # of these hold the bias, rounded to 16 bits, and what the rounding left twice over
BFLOAT16_ERROR = 0.05  # of attention over values of a normal distribution; rounding gives at most 0.02
FLOAT32_ERROR = 1e-5  # the same, in float32
MANY_TOKENS = 300  # with fewer, and with two threads, `attend_by_head` isn't faster than PyTorch's attention
CACHED_SCORES = 400_000  # products of queries and keys at once on a CPU: what fits in the cache of a core


def attend_with_bias(qkv: Tensor, bias: Tensor) -> Tensor:
    """Return attention's result, with `bias` added for each key.

    Shape: `(batch, tokens, 3, heads, width)` for queries, keys and values and `(tokens,)` in, `(batch, tokens, heads,
    width)` out.
    """
    width = qkv.shape[-1]
    wide = functional.pad(qkv, (0, MORE))
    wide[:, :, 0, :, width : width + PARTS] = 1
    wide[:, :, 1, :, width : width + PARTS] = split_bias(bias * width**0.5, qkv.dtype)[:, None]
    q, k, v = wide.transpose(1, 3).unbind(2)
    attended = functional.scaled_dot_product_attention(q, k, v, scale=width**-0.5)
    return attended[..., :width].transpose(1, 2)


def attend_by_head(qkv: Tensor, bias: Tensor | None) -> Tensor:
    """Return attention's result as `attend_with_bias` does, in float32 on CPUs, with oneDNN's products.

    PyTorch's attention multiplies small blocks by MKL, which has AVX-512 kernels only for Intel's CPUs. Here, each
    head's products are computed whole, so a window's result doesn't depend on its neighbors in the batch.
    """
    batch, count, _, heads, width = qkv.shape
    q, k, v = qkv.permute(2, 0, 3, 1, 4).contiguous().view(3, batch * heads, count, width)
    q *= width**-0.5
    # Weights of other strides would get oneDNN's reference kernels, which are a thousand times slower.
    v = v.transpose(1, 2).contiguous()
    attended = torch.empty_like(q)
    for queries, keys, values, out in zip(q, k, v, attended, strict=True):
        scores = onednn.multiply(queries, keys, bias)
        torch.softmax(scores, dim=-1, out=scores)
        out.copy_(onednn.multiply(scores, values))
    return attended.view(batch, heads, count, width).transpose(1, 2)


def attend_in_bfloat16(qkv: Tensor, bias: Tensor | None) -> Tensor:
    """Return attention's result as `attend_with_bias` does, in float32, with products and softmax in bfloat16.

    This is for CPUs: a few heads at a time, so that what lies between the two products stays in the cache.
    """
    batch, count, _, heads, width = qkv.shape
    halves = qkv.permute(2, 0, 3, 1, 4).to(torch.bfloat16, memory_format=torch.contiguous_format)
    q, k, v = halves.view(3, batch * heads, count, width)
    mask = (torch.zeros(1) if bias is None else bias).to(torch.bfloat16)
    attended = torch.empty_like(v)
    step = max(1, CACHED_SCORES // count**2)
    for some, keys, values, out in zip(*(torch.split(part, step) for part in (q, k, v, attended)), strict=True):
        scores = torch.baddbmm(mask, some, keys.transpose(1, 2), alpha=width**-0.5)
        torch.bmm(torch.softmax(scores, dim=-1), values, out=out)
    return attended.view(batch, heads, count, width).transpose(1, 2).float()


def split_bias(bias: Tensor, dtype: torch.dtype) -> Tensor:
    """Return `bias` as a sum of `PARTS` values of `dtype`, shape `(tokens, PARTS)`: one alone would round it."""
    parts = []
    rest = bias.float()
    for _ in range(PARTS):
        parts.append(rest.to(dtype))
        rest = rest - parts[-1].float()
    return torch.stack(parts, dim=-1)


def flash_takes(width: int, device: torch.device, dtype: torch.dtype) -> bool:
    """Return True if flash attention takes heads of `width` values, widened for a bias, on this device."""
    if device.type != "cuda" or dtype not in (torch.bfloat16, torch.float16):
        return False
    try:
        heads = torch.empty((1, 1, 16, width + MORE), device=device, dtype=dtype)
        params = torch.backends.cuda.SDPAParams(heads, heads, heads, None, 0.0, False, False)
        return bool(torch.backends.cuda.can_use_flash_attention(params))
    except (AttributeError, RuntimeError, TypeError):  # another PyTorch may have none, or ask differently
        return False


@functools.cache
def heads_work() -> bool:
    """Return True if `attend_by_head` suits this CPU, and its result is right.

    On Intel's CPUs, where MKL has AVX-512 kernels, PyTorch's attention is faster.
    """
    return onednn.has_avx512_kernels() and not onednn.is_intel() and _is_right(attend_by_head, FLOAT32_ERROR)


@functools.cache
def bfloat16_works() -> bool:
    """Return True if `attend_in_bfloat16` suits this CPU, and its result is right."""
    return onednn.has_fast_bfloat16_kernels() and _is_right(attend_in_bfloat16, BFLOAT16_ERROR)


def _is_right(attend: Callable[[Tensor, Tensor | None], Tensor], error: float) -> bool:
    qkv, bias = _make_sample(tokens=50, heads=2, width=64)
    q, k, v = qkv.transpose(1, 3).unbind(2)
    expected = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias.view(1, 1, 1, -1)).transpose(1, 2)
    try:
        return bool((attend(qkv, bias) - expected).abs().max() < error)
    except (AttributeError, RuntimeError, NotImplementedError):
        return False


def _make_sample(tokens: int, heads: int, width: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn((2, tokens, 3, heads, width), generator=generator), torch.arange(1, tokens + 1).log()
