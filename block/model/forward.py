"""The Audio Spectrogram Transformer's forward pass, written out over the weights of transformers' model.

The same sums as `ASTForAudioClassification`, less what nobody reads: of the last layer only the two tokens that the
classifier looks at are computed, which is exact. The architecture: https://arxiv.org/abs/2104.01778.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from block.model.kmeans import clustered
from block.model.linear import Linear, PlainLinear

READ = 2  # the class token and the distillation token come first and are all that the classifier reads
# Activations of one layer on a CPU, in numbers: with more at a time they no longer fit its cache.
CPU_ACTIVATIONS = 1 << 20
MLP_ROWS = 640  # the same for the MLP of one long window, which may go row by row

MakeLinear = Callable[[Tensor, Tensor | None], Linear]


@dataclass(frozen=True)
class Grid:
    """How input is cut into patches: `rows` of frequency × `columns` of time, `patch` bins and frames each."""

    rows: int
    columns: int
    patch: int
    row_stride: int
    column_stride: int

    def recorded_columns(self, frames: int) -> int:
        """How many columns, from the first, hold at least one of `frames` recorded frames; at least 1."""
        return max(1, min(self.columns, -(-frames // self.column_stride)))

    def frames(self, columns: int) -> int:
        """Frames that the first `columns` columns cover."""
        return (columns - 1) * self.column_stride + self.patch


@dataclass(frozen=True)
class Tokens:
    """Which tokens go through the layers: position embeddings and what each counts for.

    `columns`: so many columns of patches are taken from the input. `positions`, shape `(tokens, hidden)`: position
    embeddings of the two read tokens, the patches taken and the padding, the latter with its patch embedding added.
    `bias`, shape `(tokens,)` or None: what is added to the attention each token gets, before the softmax.
    """

    columns: int
    positions: Tensor
    bias: Tensor | None = None

    @property
    def count(self) -> int:
        return int(self.positions.shape[0])


@dataclass(frozen=True)
class _Layer:
    """`mixed` gives queries, keys and values; in the last layer, where few tokens ask, `query` gives theirs alone."""

    mixed: Linear
    query: Linear | None
    out: Linear
    up: Linear
    down: Linear
    before: torch.nn.LayerNorm
    after: torch.nn.LayerNorm


class Forward:
    """`model`, an `ASTForAudioClassification`, with linear layers made by `make`.

    The model's own weights are used, not copied, where `make` does not copy them.
    """

    def __init__(self, model: Any, make: MakeLinear = PlainLinear) -> None:
        config, body = model.config, model.audio_spectrogram_transformer
        self.grid = Grid(
            (config.num_mel_bins - config.patch_size) // config.frequency_stride + 1,
            (config.max_length - config.patch_size) // config.time_stride + 1,
            config.patch_size, config.frequency_stride, config.time_stride,
        )  # fmt: skip
        self._heads = config.num_attention_heads
        self.wide = config.intermediate_size
        # GELU by another name (a tanh, say) is left to the model's own function.
        self._activation = None if config.hidden_act == "gelu" else body.layers[0].mlp.activation_fn
        embeddings = body.embeddings
        self.projection = embeddings.patch_embeddings.projection
        self._read = torch.cat((embeddings.cls_token[0], embeddings.distillation_token[0])).detach()
        self.positions = embeddings.position_embeddings[0].detach()
        *others, last = body.layers
        self._layers = [_layer(layer, make) for layer in others] + [_last_layer(last, make)]
        self._norm, self._head = body.layernorm, model.classifier
        self._course: Tensor | None = None
        self.all_tokens = Tokens(self.grid.columns, self._with_read(self.positions[READ:]))

    def __call__(self, inputs: Tensor, tokens: Tokens | None = None) -> Tensor:
        """Logits. Shape: `(batch, frames, mel bins)` in, at least as many frames as the tokens' columns cover;
        `(batch, classes)` out. Without `tokens`, all of them.
        """
        tokens = tokens or self.all_tokens
        on_cpu = inputs.device.type == "cpu"
        step = max(1, CPU_ACTIVATIONS // (tokens.count * self.wide)) if on_cpu else len(inputs)
        parts = [self._logits(part, tokens) for part in torch.split(inputs, step)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _with_read(self, patches: Tensor) -> Tensor:
        return torch.cat((self.positions[:READ] + self._read, patches))

    def merged(self, recorded_columns: int, count: int, padding: float) -> Tokens:
        """Tokens where those of padding, behind `recorded_columns`, stand for one another in at most `count` groups.

        `padding` is the input's value in frames that were not recorded, the same in all: such patches differ by their
        position embeddings alone. A group is one token with the mean of these. It gets attention as all its members
        would: the logarithm of their number is added before the softmax (proportional attention of token merging,
        https://arxiv.org/abs/2210.09461). Groups are made of tokens that the layers treat alike, as seen in an input
        that is nothing but padding: closeness is measured over what goes into every layer, normalised as there. With
        as many groups as tokens, and with members that are equal, nothing changes.
        """
        if recorded_columns >= self.grid.columns:
            return self.all_tokens
        rows, columns = self.grid.rows, self.grid.columns
        is_padding = torch.arange(columns, device=self.positions.device).expand(rows, columns) >= recorded_columns
        is_padding = is_padding.flatten()
        if self._course is None:
            self._course = self._course_of(padding)
        group = clustered(self._course[is_padding], count)
        sizes = torch.bincount(group)
        group, sizes = (sizes > 0).cumsum(0)[group] - 1, sizes[sizes > 0]  # groups that stayed empty are left out
        patches = self.positions[READ:].float()
        sums = torch.zeros(len(sizes), patches.shape[1], device=patches.device)
        means = sums.index_add_(0, group, patches[is_padding]) / sizes[:, None]
        positions = torch.cat((patches[~is_padding], means + self._patch(padding)))
        alone = torch.zeros(READ + int((~is_padding).sum()), device=patches.device)
        bias = torch.cat((alone, sizes.log()))
        return Tokens(recorded_columns, self._with_read(positions.to(self.positions.dtype)), bias.to(patches.dtype))

    def _patch(self, padding: float) -> Tensor:
        """The embedding of a patch of padding alone, without its position. Shape: `(hidden,)`, float32."""
        patch: Tensor = self.projection.weight.float().sum(dim=(1, 2, 3)) * padding
        return patch if self.projection.bias is None else patch + self.projection.bias.float()

    def _course_of(self, padding: float) -> Tensor:
        """What goes into each layer for the patches of an input of padding. Shape: `(patches, layers · hidden)`."""
        x = self.all_tokens.positions[None].clone()
        x[:, READ:] += self._patch(padding).to(x.dtype)
        course = []
        for layer in self._layers:
            course.append(layer.before(x)[0, READ:].float())
            if layer is not self._layers[-1]:
                x = self._attend(layer, x, None)
                self._think(layer, x)
        return torch.cat(course, dim=1)

    def _logits(self, inputs: Tensor, tokens: Tokens) -> Tensor:
        x = self._embed(inputs, tokens)
        bias = None if tokens.bias is None else tokens.bias.to(x.dtype).view(1, 1, 1, -1)
        for layer in self._layers:
            x = self._attend(layer, x, bias)
            self._think(layer, x)
        x = self._norm(x)
        logits: Tensor = self._head((x[:, 0] + x[:, 1]) / 2)
        return logits

    def _embed(self, inputs: Tensor, tokens: Tokens) -> Tensor:
        frames = inputs[:, : self.grid.frames(tokens.columns)]
        patches = self.projection(frames[:, None].transpose(2, 3)).flatten(2).transpose(1, 2)
        x = tokens.positions.expand(len(inputs), -1, -1).clone()
        x[:, READ : READ + patches.shape[1]] += patches
        return x

    def _attend(self, layer: _Layer, x: Tensor, bias: Tensor | None) -> Tensor:
        """`x` plus what its tokens hear from all; in the last layer the tokens that are read alone."""
        batch, count, _ = x.shape
        y = _rows(layer.before(x))
        if layer.query is None:
            q, k, v = layer.mixed(y).view(batch, count, 3, self._heads, -1).unbind(2)
        else:
            k, v = layer.mixed(y).view(batch, count, 2, self._heads, -1).unbind(2)
            asking = y.view(batch, count, -1)[:, :READ]
            x, count = x[:, :READ].contiguous(), READ
            q = layer.query(_rows(asking)).view(batch, count, self._heads, -1)
        heard = functional.scaled_dot_product_attention(
            q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), attn_mask=bias
        )
        x += layer.out(_rows(heard.transpose(1, 2))).view(x.shape)
        return x

    def _think(self, layer: _Layer, x: Tensor) -> None:
        """The layer's MLP, added to `x`."""
        rows = _rows(x)
        for part in torch.split(rows, MLP_ROWS) if x.device.type == "cpu" else (rows,):
            y = layer.after(part)
            wide = layer.up(y, gelu=True) if self._activation is None else self._activation(layer.up(y))
            part += layer.down(wide)


def _rows(x: Tensor) -> Tensor:
    """Tokens of all windows one a row, and all that belongs to a token in it. Shape: `(batch, count, …)` in."""
    return x.reshape(x.shape[0] * x.shape[1], -1)


def _layer(layer: Any, make: MakeLinear) -> _Layer:
    attention = layer.attention
    return _Layer(
        mixed=_stacked((attention.q_proj, attention.k_proj, attention.v_proj), make), query=None,
        out=_stacked((attention.o_proj,), make), up=_stacked((layer.mlp.fc1,), make),
        down=_stacked((layer.mlp.fc2,), make), before=layer.layernorm_before, after=layer.layernorm_after,
    )  # fmt: skip


def _last_layer(layer: Any, make: MakeLinear) -> _Layer:
    """What only the tokens that are read go through costs next to nothing and decides most: there nothing is saved."""
    attention = layer.attention
    return _Layer(
        mixed=_stacked((attention.k_proj, attention.v_proj), make), query=_stacked((attention.q_proj,)),
        out=_stacked((attention.o_proj,)), up=_stacked((layer.mlp.fc1,)), down=_stacked((layer.mlp.fc2,)),
        before=layer.layernorm_before, after=layer.layernorm_after,
    )  # fmt: skip


def _stacked(linears: Sequence[torch.nn.Linear], make: MakeLinear = PlainLinear) -> Linear:
    """One linear layer that gives the outputs of all of them side by side."""
    if len(linears) == 1:
        bias = linears[0].bias
        return make(linears[0].weight.detach(), None if bias is None else bias.detach())
    biases = [linear.bias.detach() for linear in linears if linear.bias is not None]
    return make(torch.cat([linear.weight.detach() for linear in linears]), torch.cat(biases) if biases else None)
