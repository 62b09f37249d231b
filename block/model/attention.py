"""Attention with a bias for each key, in the kernels that take no bias: flash attention, on GPUs in 16 bits.

Attention adds `bias[k]` to `scale · q·k` before the softmax. A mask would say so, but PyTorch then uses slower kernels.
Instead, heads get a few more values: 1 in the queries, and `bias[k] / scale` in the keys, so that the product of both
contains the bias. See https://arxiv.org/abs/2205.14135 for the kernels.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

MORE = 8  # values per head; the kernels want a multiple of 8
PARTS = 3  # of these hold the bias, rounded to 16 bits, and what the rounding left twice over


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
