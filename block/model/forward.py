"""The forward pass of the Audio Spectrogram Transformer, with the weights of transformers' model.

The result is that of `ASTForAudioClassification`. The architecture: https://arxiv.org/abs/2104.01778.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor

from block.model.encoder import SPECIAL, Encoder, MakeLinear, concatenate
from block.model.kmeans import cluster_points
from block.model.linear import PlainLinear

CPU_ACTIVATIONS = 1 << 20  # values in one layer's activations that still fit in a CPU's cache

# The layers, in PyTorch or another backend; arguments and result are those of `Encoder.__call__`.
Encode = Callable[[Tensor, Tensor | None], Tensor]


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


class Forward:
    """The forward pass of `model`, an `ASTForAudioClassification`, with linear layers made by `make_linear`.

    It shares the model's weights unless `make_linear` copies them. `encode` replaces the layers by those of another
    backend; the other arguments are those of `Encoder`. With `keep_embeddings`, each row of logits is followed by the
    embedding that the classifier turns into these logits: the mean of the special tokens after the last norm,
    transformers' `pooler_output`.
    """

    def __init__(
        self,
        model: Any,
        make_linear: MakeLinear = PlainLinear,
        *,
        in_bfloat16: bool = False,
        encode: Encode | None = None,
        keep_embeddings: bool = False,
    ) -> None:
        config, body = model.config, model.audio_spectrogram_transformer
        self.grid = Grid(
            (config.num_mel_bins - config.patch_size) // config.frequency_stride + 1,
            (config.max_length - config.patch_size) // config.time_stride + 1,
            config.patch_size, config.time_stride,
        )  # fmt: skip
        self.intermediate_size = config.intermediate_size
        embeddings = body.embeddings
        self.projection = embeddings.patch_embeddings.projection
        self._special = torch.cat((embeddings.cls_token[0], embeddings.distillation_token[0])).detach()
        self.positions = embeddings.position_embeddings[0].detach()
        self._make_encoder = partial(Encoder, model, make_linear, in_bfloat16=in_bfloat16)
        self._encode, self._takes_slices = encode or self.encoder, encode is None
        self._norm, self._head = body.layernorm, model.classifier
        self.embedding_size = int(config.hidden_size) if keep_embeddings else 0
        self._padding_trace: Tensor | None = None
        self.all_tokens = Tokens(self.grid.columns, self._prepend_special(self.positions[SPECIAL:]))

    @cached_property
    def encoder(self) -> Encoder:
        """The layers in PyTorch."""
        return self._make_encoder()

    def __call__(self, inputs: Tensor, tokens: Tokens | None = None) -> Tensor:
        """Return logits, and embeddings if they are kept. `tokens` default to all tokens, unmerged.

        On a GPU, and with another `encode`, all inputs go through the network at once. On a CPU, PyTorch gets slices
        whose activations fit the cache: one window of the full-size model at a time, two of the embedded one.

        Shape: `(batch, frames, mel bins)` in, with at least the frames of the tokens' columns; `(batch, classes +
        embedding_size)` out.
        """
        tokens = tokens or self.all_tokens
        step = len(inputs)
        if inputs.device.type == "cpu" and self._takes_slices:
            step = max(1, CPU_ACTIVATIONS // (tokens.count * self.intermediate_size))
        return concatenate([self._compute_outputs(part, tokens) for part in torch.split(inputs, step)])

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
        return self.encoder.trace(x)[SPECIAL:]

    def _compute_outputs(self, inputs: Tensor, tokens: Tokens) -> Tensor:
        x = self._norm(self._encode(self._embed(inputs, tokens), tokens.bias))
        embeddings = (x[:, 0] + x[:, 1]) / 2
        logits: Tensor = self._head(embeddings)
        return torch.cat((logits, embeddings), dim=1) if self.embedding_size else logits

    def _embed(self, inputs: Tensor, tokens: Tokens) -> Tensor:
        frames = inputs[:, : self.grid.count_frames(tokens.columns)]
        patches = self.projection(frames[:, None].transpose(2, 3)).flatten(2).transpose(1, 2)
        x = tokens.positions.expand(len(inputs), -1, -1).clone()
        x[:, SPECIAL : SPECIAL + patches.shape[1]] += patches
        return x
