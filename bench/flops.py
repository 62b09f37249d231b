"""Count the floating-point operations of one window in an Audio Spectrogram Transformer, from its configuration.

A product of `(m × k)` and `(k × n)` takes 2·m·k·n operations: multiplications and additions. Normalization, activations
and softmax are left out; they take less than 1 %. The architecture: https://arxiv.org/abs/2104.01778.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

READ_TOKENS = 2  # the class token and the distillation token


@dataclass(frozen=True)
class Shape:
    """The sizes of a model that determine its arithmetic. `patches` is the number of patches in a padded window."""

    hidden: int
    intermediate: int
    layers: int
    patch: int
    patches: int
    classes: int

    @property
    def tokens(self) -> int:
        """Tokens of a padded window: 1214 for the full-size model."""
        return self.patches + READ_TOKENS


@dataclass(frozen=True)
class Flops:
    """Operations per window, by part: the `linear` layers, the two products of `attention`, and the `rest`."""

    linear: int
    attention: int
    rest: int

    @property
    def total(self) -> int:
        return self.linear + self.attention + self.rest


def read_shape(config: Mapping[str, Any]) -> Shape:
    """Return the sizes in a `config.json`, with transformers' defaults for those it leaves out."""
    patch = int(config.get("patch_size", 16))
    rows = (int(config.get("num_mel_bins", 128)) - patch) // int(config.get("frequency_stride", 10)) + 1
    columns = (int(config.get("max_length", 1024)) - patch) // int(config.get("time_stride", 10)) + 1
    return Shape(
        int(config.get("hidden_size", 768)), int(config.get("intermediate_size", 3072)),
        int(config.get("num_hidden_layers", 12)), patch, rows * columns, len(config.get("id2label", {})),
    )  # fmt: skip


def count_flops(model: Shape, tokens: int | None = None, prunes: bool = False) -> Flops:
    """Return the operations of one window with `tokens` tokens, by default those of a padded window.

    In every layer, each token goes through four linear layers of hidden × hidden (query, key, value, output) and two of
    hidden × intermediate; attention multiplies queries by keys and scores by values, tokens² · hidden each. The rest is
    the patch embedding and the classifier. With `prunes`, as in this block, the last layer computes keys and values for
    all tokens, and everything else only for the two that the classifier reads.
    """
    tokens = model.tokens if tokens is None else tokens
    keys_values = 2 * model.hidden**2
    others = 2 * model.hidden**2 + 2 * model.hidden * model.intermediate
    queries = model.layers * tokens  # the tokens, over all layers, for which everything is computed
    if prunes:
        queries += READ_TOKENS - tokens
    return Flops(
        linear=2 * (model.layers * tokens * keys_values + queries * others),
        attention=2 * 2 * queries * tokens * model.hidden,
        rest=2 * (tokens - READ_TOKENS) * model.patch**2 * model.hidden + 2 * model.hidden * model.classes,
    )
