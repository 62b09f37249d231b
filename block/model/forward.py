"""The forward pass of the Audio Spectrogram Transformer, with the weights of transformers' model.

The result is that of `ASTForAudioClassification`. The last layer computes only the two tokens that the classifier
reads, which changes nothing. The architecture: https://arxiv.org/abs/2104.01778.
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
from block.model.kmeans import cluster_points
from block.model.linear import Linear, PlainLinear

SPECIAL = 2  # the class and distillation tokens, which come first; the classifier reads nothing else
CPU_ACTIVATIONS = 1 << 20  # values in one layer's activations that still fit in a CPU's cache
MLP_ROWS = 640  # the same limit for the MLP, which can be computed row by row

MakeLinear = Callable[[Tensor, Tensor | None], Linear]


@dataclass(frozen=True)
class Grid:
    """How the input is cut into patches: `rows` (frequency) × `columns` (time), each `patch` bins × `patch` frames.

    A column starts `column_stride` frames after the one before.
    """

    rows: int
    columns: int
    patch: int
    column_stride: int

    def count_columns(self, frames: int) -> int:
        """Return the number of columns that contain any of the first `frames` frames, at least 1."""
        return max(1, min(self.columns, -(-frames // self.column_stride)))

    def count_frames(self, columns: int) -> int:
        """Return the number of frames that the first `columns` columns cover."""
        return (columns - 1) * self.column_stride + self.patch


@dataclass(frozen=True)
class Tokens:
    """The tokens that go through the layers: their position embeddings and weights.

    `columns`: number of patch columns taken from the input. `positions`, shape `(tokens, hidden)`: position embeddings
    of the special tokens, of these patches, and of the padding (with its patch embedding added). `bias`, shape
    `(tokens,)` or None: added to the attention that each token gets, before the softmax.
    """

    columns: int
    positions: Tensor
    bias: Tensor | None = None

    @property
    def count(self) -> int:
        return int(self.positions.shape[0])


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


class Forward:
    """The forward pass of `model`, an `ASTForAudioClassification`, with linear layers made by `make_linear`.

    It shares the model's weights unless `make_linear` copies them. With `in_bfloat16`, attention is computed in
    bfloat16, on a CPU, except in the last layer, where it's cheap. With `keep_embeddings`, each row of logits is
    followed by the embedding that the classifier turns into these logits: the mean of the special tokens after the last
    norm, transformers' `pooler_output`.
    """

    def __init__(
        self,
        model: Any,
        make_linear: MakeLinear = PlainLinear,
        *,
        in_bfloat16: bool = False,
        keep_embeddings: bool = False,
    ) -> None:
        config, body = model.config, model.audio_spectrogram_transformer
        self.grid = Grid(
            (config.num_mel_bins - config.patch_size) // config.frequency_stride + 1,
            (config.max_length - config.patch_size) // config.time_stride + 1,
            config.patch_size, config.time_stride,
        )  # fmt: skip
        self._heads = config.num_attention_heads
        head_width = config.hidden_size // config.num_attention_heads
        self.intermediate_size = config.intermediate_size
        # For activations other than exact GELU, use the model's own function.
        self._activation = None if config.hidden_act == "gelu" else body.layers[0].mlp.activation_fn
        embeddings = body.embeddings
        self.projection = embeddings.patch_embeddings.projection
        self._special = torch.cat((embeddings.cls_token[0], embeddings.distillation_token[0])).detach()
        self.positions = embeddings.position_embeddings[0].detach()
        *others, last = body.layers
        self._layers = [_build_layer(layer, make_linear) for layer in others]
        self._layers.append(_build_layer(last, make_linear, is_last=True))
        self._norm, self._head = body.layernorm, model.classifier
        self._in_bfloat16 = in_bfloat16
        self.embedding_size = int(config.hidden_size) if keep_embeddings else 0
        # On GPUs in 16 bits, a mask would keep attention off the flash kernels.
        self.widens_heads = flash_takes(head_width, self.positions.device, self.positions.dtype)
        in_float32 = self.positions.device.type == "cpu" and self.positions.dtype is torch.float32
        self.splits_heads = in_float32 and heads_work()
        self._padding_trace: Tensor | None = None
        self.all_tokens = Tokens(self.grid.columns, self._prepend_special(self.positions[SPECIAL:]))

    def __call__(self, inputs: Tensor, tokens: Tokens | None = None) -> Tensor:
        """Return logits, and embeddings if they are kept. `tokens` default to all tokens, unmerged.

        On a GPU, all inputs go through the network at once. On a CPU, they go in slices whose activations fit the
        cache: one window of the full-size model at a time, two of the embedded one.

        Shape: `(batch, frames, mel bins)` in, with at least the frames of the tokens' columns; `(batch, classes +
        embedding_size)` out.
        """
        tokens = tokens or self.all_tokens
        on_cpu = inputs.device.type == "cpu"
        step = max(1, CPU_ACTIVATIONS // (tokens.count * self.intermediate_size)) if on_cpu else len(inputs)
        return _concatenate([self._compute_outputs(part, tokens) for part in torch.split(inputs, step)])

    def count_values(self) -> int:
        """Return how many values per window are in memory at once, at most, if all windows go through at once.

        These are the residual and its norm, with both sides of the activation in the MLP, or with queries, keys and
        values, attention's result and its projection.
        """
        hidden = self.positions.shape[1]
        return int(self.all_tokens.count * max(2 * hidden + 2 * self.intermediate_size, 7 * hidden))

    def _prepend_special(self, patches: Tensor) -> Tensor:
        return torch.cat((self.positions[:SPECIAL] + self._special, patches))

    def merge_padding(self, recorded_columns: int, count: int, padding: float) -> Tokens:
        """Return tokens with the padding, which starts after `recorded_columns`, merged into at most `count` groups.

        `padding` is the input's value in padded frames. It is the same everywhere, so padding patches differ only in
        their position embeddings. A group becomes one token with the mean of these. The logarithm of the group's size
        is added before the softmax, so the token gets as much attention as its members did (proportional attention,
        from token merging: https://arxiv.org/abs/2210.09461). Groups hold tokens that the layers treat alike: distance
        is measured over the normalized inputs of all layers, for an input that is only padding. With as many groups
        as tokens, or with equal tokens in each group, the result is exact.
        """
        if recorded_columns >= self.grid.columns:
            return self.all_tokens
        rows, columns = self.grid.rows, self.grid.columns
        column = torch.arange(columns, device=self.positions.device).expand(rows, columns).flatten()
        is_padding = column >= recorded_columns
        if self._padding_trace is None:
            self._padding_trace = self._trace_padding(padding)
        group = cluster_points(self._padding_trace[is_padding], count)
        sizes = torch.bincount(group)
        group, sizes = (sizes > 0).cumsum(0)[group] - 1, sizes[sizes > 0]  # drop empty groups
        patches = self.positions[SPECIAL:].float()
        sums = torch.zeros(len(sizes), patches.shape[1], device=patches.device)
        means = sums.index_add_(0, group, patches[is_padding]) / sizes[:, None]
        positions = torch.cat((patches[~is_padding], means + self._embed_padding(padding)))
        unmerged = torch.zeros(SPECIAL + int((~is_padding).sum()), device=patches.device)
        bias = torch.cat((unmerged, sizes.log()))
        return Tokens(
            recorded_columns, self._prepend_special(positions.to(self.positions.dtype)), bias.to(patches.dtype)
        )

    def _embed_padding(self, padding: float) -> Tensor:
        """Return the embedding of a patch of padding, without its position. Shape: `(hidden,)`, float32."""
        patch: Tensor = self.projection.weight.float().sum(dim=(1, 2, 3)) * padding
        return patch if self.projection.bias is None else patch + self.projection.bias.float()

    def _trace_padding(self, padding: float) -> Tensor:
        """Return the normalized inputs of all layers if there is only padding. Shape: `(patches, layers · hidden)`."""
        x = self.all_tokens.positions[None].clone()
        x[:, SPECIAL:] += self._embed_padding(padding).to(x.dtype)
        trace = []
        for layer in self._layers:
            trace.append(layer.norm_before(x)[0, SPECIAL:].float())
            if layer is not self._layers[-1]:
                x = self._attend(layer, x, None)
                self._apply_mlp(layer, x)
        return torch.cat(trace, dim=1)

    def _compute_outputs(self, inputs: Tensor, tokens: Tokens) -> Tensor:
        x = self._embed(inputs, tokens)
        bias = tokens.bias
        for layer in self._layers:
            x = self._attend(layer, x, bias)
            self._apply_mlp(layer, x)
        x = self._norm(x)
        embeddings = (x[:, 0] + x[:, 1]) / 2
        logits: Tensor = self._head(embeddings)
        return torch.cat((logits, embeddings), dim=1) if self.embedding_size else logits

    def _embed(self, inputs: Tensor, tokens: Tokens) -> Tensor:
        frames = inputs[:, : self.grid.count_frames(tokens.columns)]
        patches = self.projection(frames[:, None].transpose(2, 3)).flatten(2).transpose(1, 2)
        x = tokens.positions.expand(len(inputs), -1, -1).clone()
        x[:, SPECIAL : SPECIAL + patches.shape[1]] += patches
        return x

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
    weight = _concatenate([linear.weight.detach() for linear in linears])
    return make_linear(weight, _concatenate(biases) if biases else None)


def _concatenate(tensors: Sequence[Tensor]) -> Tensor:
    return tensors[0] if len(tensors) == 1 else torch.cat(list(tensors))  # torch.cat would copy a single tensor
