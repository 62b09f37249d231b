"""Floating-point operations of one window through an Audio Spectrogram Transformer, from its configuration.

A product of `(m × k)` and `(k × n)` is 2·m·k·n operations: a multiplication and an addition each. Normalizations,
activations and softmax are left out; they are below 1 %. The architecture: https://arxiv.org/abs/2104.01778.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

READ_TOKENS = 2  # the class token and the distillation token


@dataclass(frozen=True)
class Shape:
    """The sizes of a model that decide its arithmetic. `patches` is how many a window of full length is cut into."""

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
    """Operations a window, by where they are done: `linear` layers, `attention`'s two products, the `rest`."""

    linear: int
    attention: int
    rest: int

    @property
    def total(self) -> int:
        return self.linear + self.attention + self.rest


def shape(config: Mapping[str, Any]) -> Shape:
    """The sizes that a `config.json` speaks of; transformers' defaults stand for what it leaves out."""
    patch = int(config.get("patch_size", 16))
    rows = (int(config.get("num_mel_bins", 128)) - patch) // int(config.get("frequency_stride", 10)) + 1
    columns = (int(config.get("max_length", 1024)) - patch) // int(config.get("time_stride", 10)) + 1
    return Shape(
        int(config.get("hidden_size", 768)), int(config.get("intermediate_size", 3072)),
        int(config.get("num_hidden_layers", 12)), patch, rows * columns, len(config.get("id2label", {})),
    )  # fmt: skip


def flops(model: Shape, tokens: int | None = None, prunes: bool = False) -> Flops:
    """Operations of one window with so many tokens, all of a padded window's if not given.

    In every layer each token goes through four linear layers of hidden × hidden (query, key, value, output) and two
    of hidden × intermediate; attention multiplies queries with keys and scores with values, tokens² · hidden each.
    The rest are the patch embedding and the classifier. With `prunes`, as this block does it, the last layer gives
    keys and values for all tokens and everything else for the two that the classifier reads.
    """
    tokens = model.tokens if tokens is None else tokens
    keys_values = 2 * model.hidden**2
    others = 2 * model.hidden**2 + 2 * model.hidden * model.intermediate
    asking = model.layers * tokens  # so many tokens, over all layers, ask and are thought about
    if prunes:
        asking += READ_TOKENS - tokens
    return Flops(
        linear=2 * (model.layers * tokens * keys_values + asking * others),
        attention=2 * 2 * asking * tokens * model.hidden,
        rest=2 * (tokens - READ_TOKENS) * model.patch**2 * model.hidden + 2 * model.hidden * model.classes,
    )
