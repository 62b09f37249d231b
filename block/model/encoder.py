"""The layers of the Audio Spectrogram Transformer in PyTorch, with the weights of transformers' model.

The last layer computes only the two tokens that the classifier reads, which changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from block.model.attention import (
    MANY_TOKENS,
    attend_by_head,
    attend_in_bfloat16,
    attend_with_bias,
    flash_takes,
    heads_work,
)
from block.model.linear import Linear, PlainLinear

SPECIAL = 2  # the class and distillation tokens, which come first; the classifier reads nothing else
MLP_ROWS = 640  # on a CPU, the MLP is computed row by row: activations of so many rows fit in the cache

MakeLinear = Callable[[Tensor, Tensor | None], Linear]


@dataclass(frozen=True)
class _Layer:
    """The parts of a layer. `qkv` gives queries, keys and values; in the last layer `query` gives the queries."""

    qkv: Linear
    query: Linear | None
    out: Linear
    up: Linear
    down: Linear
    norm_before: torch.nn.LayerNorm
    norm_after: torch.nn.LayerNorm


class Encoder:
    """The layers of `model`, an `ASTForAudioClassification`, with linear layers made by `make_linear`.

    It shares the model's weights unless `make_linear` copies them. With `in_bfloat16`, attention is computed in
    bfloat16, on a CPU, except in the last layer, where it's cheap.
    """

    def __init__(self, model: Any, make_linear: MakeLinear = PlainLinear, *, in_bfloat16: bool = False) -> None:
        config, (*others, last) = model.config, model.audio_spectrogram_transformer.layers
        self._heads = config.num_attention_heads
        # For activations other than exact GELU, use the model's own function.
        self._activation = None if config.hidden_act == "gelu" else last.mlp.activation_fn
        self._layers = [_build_layer(layer, make_linear) for layer in others]
        self._layers.append(_build_layer(last, make_linear, is_last=True))
        self._in_bfloat16 = in_bfloat16
        weight = last.layernorm_before.weight
        # On GPUs in 16 bits, a mask would keep attention off the flash kernels.
        self.widens_heads = flash_takes(config.hidden_size // self._heads, weight.device, weight.dtype)
        self.splits_heads = weight.device.type == "cpu" and weight.dtype is torch.float32 and heads_work()

    def __call__(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """Return the special tokens after the last layer. This overwrites `x`.

        Shape: `(batch, tokens, hidden)` for the embedded tokens in, `(batch, SPECIAL, hidden)` out; `bias`,
        `(tokens,)`, is added to the attention that each token gets, before the softmax.
        """
        for layer in self._layers:
            x = self._attend(layer, x, bias)
            self._apply_mlp(layer, x)
        return x

    def trace(self, x: Tensor) -> Tensor:
        """Return the normalized inputs of all layers, side by side, in float32. This overwrites `x`.

        Shape: `(1, tokens, hidden)` in, `(tokens, layers · hidden)` out.
        """
        inputs = []
        for layer in self._layers:
            inputs.append(layer.norm_before(x)[0].float())
            if layer is not self._layers[-1]:
                x = self._attend(layer, x, None)
                self._apply_mlp(layer, x)
        return torch.cat(inputs, dim=1)

    def _attend(self, layer: _Layer, x: Tensor, bias: Tensor | None) -> Tensor:
        """Return `x` plus the layer's self-attention; in the last layer, only for the special tokens."""
        batch, count, _ = x.shape
        y = _flatten_tokens(layer.norm_before(x))
        if layer.query is None:
            attended = self._attend_to_all(layer.qkv(y).view(batch, count, 3, self._heads, -1), bias)
        else:
            k, v = layer.qkv(y).view(batch, count, 2, self._heads, -1).unbind(2)
            queried = y.view(batch, count, -1)[:, :SPECIAL]
            x = x[:, :SPECIAL].contiguous()
            q = layer.query(_flatten_tokens(queried)).view(batch, SPECIAL, self._heads, -1)
            attended = _attend_with_mask(q, k, v, bias)
        x += layer.out(_flatten_tokens(attended)).view(x.shape)
        return x

    def _attend_to_all(self, qkv: Tensor, bias: Tensor | None) -> Tensor:
        if self._in_bfloat16:
            return attend_in_bfloat16(qkv, bias)
        if bias is not None and self.widens_heads:
            return attend_with_bias(qkv, bias)
        if self.splits_heads and qkv.shape[1] >= MANY_TOKENS:
            return attend_by_head(qkv, bias)
        q, k, v = qkv.unbind(2)
        return _attend_with_mask(q, k, v, bias)

    def _apply_mlp(self, layer: _Layer, x: Tensor) -> None:
        """Add the layer's MLP to `x`, in place."""
        rows = _flatten_tokens(x)
        for part in torch.split(rows, MLP_ROWS) if x.device.type == "cpu" else (rows,):
            y = layer.norm_after(part)
            wide = layer.up(y, gelu=True) if self._activation is None else self._activation(layer.up(y))
            part += layer.down(wide)


def _attend_with_mask(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
    """Return attention's result. Shape of each, and of the result: `(batch, tokens, heads, width)`."""
    mask = None if bias is None else bias.to(q.dtype).view(1, 1, 1, -1)
    return functional.scaled_dot_product_attention(
        q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), attn_mask=mask
    ).transpose(1, 2)


def _flatten_tokens(x: Tensor) -> Tensor:
    """Return one row per token. Shape: `(batch, count, …)` in, `(batch · count, features)` out."""
    return x.reshape(x.shape[0] * x.shape[1], -1)


def _build_layer(layer: Any, make_linear: MakeLinear, is_last: bool = False) -> _Layer:
    attention, mlp = layer.attention, layer.mlp
    query, key_and_value = (attention.q_proj,), (attention.k_proj, attention.v_proj)
    # In the last layer only the special tokens go through these: precision matters most here and costs almost nothing.
    make_rest = PlainLinear if is_last else make_linear
    return _Layer(
        qkv=_stack_linears(key_and_value if is_last else query + key_and_value, make_linear),
        query=_stack_linears(query, make_rest) if is_last else None,
        out=_stack_linears((attention.o_proj,), make_rest),
        up=_stack_linears((mlp.fc1,), make_rest),
        down=_stack_linears((mlp.fc2,), make_rest),
        norm_before=layer.layernorm_before,
        norm_after=layer.layernorm_after,
    )


def _stack_linears(linears: Sequence[torch.nn.Linear], make_linear: MakeLinear) -> Linear:
    """Return one linear layer with the outputs of all `linears` side by side."""
    biases = [linear.bias.detach() for linear in linears if linear.bias is not None]
    weight = concatenate([linear.weight.detach() for linear in linears])
    return make_linear(weight, concatenate(biases) if biases else None)


def concatenate(tensors: Sequence[Tensor]) -> Tensor:
    """Return `torch.cat(tensors)`, without copying a single tensor."""
    return tensors[0] if len(tensors) == 1 else torch.cat(list(tensors))
