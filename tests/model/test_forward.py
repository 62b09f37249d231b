"""The forward pass equals transformers', and merging padding is exact in the cases where it should be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from block.model.forward import CPU_ACTIVATIONS, Forward, Grid
from block.model.linear import Linear, PackedLinear, packing_works
from tests.conftest import EMBEDDED

PADDING = 0.467


def relative_error(logits: Tensor, expected: Tensor) -> float:
    """Return the largest difference relative to the largest logit, because random weights give large logits."""
    return float((logits - expected).abs().max() / (1 + expected.abs().max()))


def make_packed(weight: Tensor, bias: Tensor | None) -> Linear:
    return PackedLinear(weight, bias, 200)


def load(folder: Path, **changes: object) -> Any:
    from transformers import ASTForAudioClassification

    return ASTForAudioClassification.from_pretrained(folder, attn_implementation="sdpa", **changes).eval()


def inputs(batch: int, recorded: int, frames: int = 1024) -> Tensor:
    x = torch.randn(batch, frames, 128, generator=torch.Generator().manual_seed(batch + recorded))
    x[:, recorded:] = PADDING
    return x


@pytest.fixture
def model(make_checkpoint: Callable[..., Path]) -> Any:
    return load(make_checkpoint(frequency_stride=10, time_stride=10, hidden_size=48, num_attention_heads=3))


@pytest.mark.parametrize(
    "config",
    [
        {"frequency_stride": 10, "time_stride": 10, "num_attention_heads": 4},
        {"qkv_bias": False, "num_hidden_layers": 1},
        {"hidden_act": "gelu_new", "num_hidden_layers": 3},
        {"max_length": 512, "hidden_size": 64},
    ],
)
def test_logits_equal_transformers_for_any_configuration(make_checkpoint: Callable[..., Path], config: Any) -> None:
    model = load(make_checkpoint(**config))
    x = inputs(5, 300, model.config.max_length)
    with torch.inference_mode():
        expected = model(x).logits
        for make in [make_packed] if packing_works() else []:
            assert relative_error(Forward(model, make)(x), expected) < 1e-5
        assert relative_error(Forward(model)(x), expected) < 1e-5
    assert expected.std(dim=0).max() > 1e-3, "inputs that all get the same logits test nothing"


def test_logits_of_the_embedded_checkpoint_equal_transformers() -> None:
    model = load(EMBEDDED)
    x = inputs(3, 198, model.config.max_length)
    with torch.inference_mode():
        assert (Forward(model)(x) - model(x).logits).abs().max() < 1e-4


def test_a_batch_too_large_for_the_cache_is_computed_in_parts_with_the_same_result(model: Any) -> None:
    forward = Forward(model)
    x = inputs(1 + CPU_ACTIVATIONS // (forward.all_tokens.count * model.config.intermediate_size), 500)
    with torch.inference_mode():
        together = forward(x)
        assert relative_error(together, torch.cat([forward(one) for one in x.split(1)])) < 1e-5


@pytest.mark.parametrize("recorded", [1, 10, 11, 98, 198, 1000, 1014, 1024])
def test_as_many_groups_as_tokens_change_nothing(model: Any, recorded: int) -> None:
    forward = Forward(model)
    x = inputs(2, recorded)
    with torch.inference_mode():
        tokens = forward.merge_padding(forward.grid.count_columns(recorded), 2000, PADDING)
        assert tokens.count == forward.all_tokens.count
        assert relative_error(forward(x, tokens), forward(x)) < 2e-5


@pytest.mark.parametrize("groups", [12, 100])
def test_merging_equal_padding_tokens_is_exact(model: Any, groups: int) -> None:
    # With position embeddings that are constant in time, the padding tokens of a row are equal in every layer.
    positions = model.audio_spectrogram_transformer.embeddings.position_embeddings
    with torch.no_grad():
        positions.normal_(std=0.5, generator=torch.Generator().manual_seed(1))
        grid = positions[0, 2:].view(12, 101, -1)
        grid[:] = grid[:, :1].clone()
    forward = Forward(model)
    x = inputs(2, 198)
    with torch.inference_mode():
        columns = forward.grid.count_columns(198)
        tokens = forward.merge_padding(columns, groups, PADDING)
        assert tokens.count <= 2 + 12 * 20 + groups
        assert relative_error(forward(x, tokens), forward(x)) < 2e-5
        # Without the logarithm of the count it is not exact.
        without = type(tokens)(tokens.columns, tokens.positions)
        assert relative_error(forward(x, without), forward(x)) > 1e-3


@pytest.mark.parametrize("frames", [1, 9, 10, 11, 198, 1015, 1024])
def test_a_column_counts_as_recorded_when_it_holds_a_recorded_frame(frames: int) -> None:
    grid = Grid(rows=12, columns=101, patch=16, column_stride=10)
    holds = [column * 10 < frames for column in range(101)]
    assert grid.count_columns(frames) == sum(holds)
    assert grid.count_frames(grid.count_columns(frames)) <= 1024


def test_more_groups_are_more_accurate_and_groups_are_reproducible() -> None:
    model = load(EMBEDDED)
    x = inputs(4, 198, model.config.max_length)
    with torch.inference_mode():
        forward = Forward(model)
        columns = forward.grid.count_columns(198)
        errors = [
            relative_error(forward(x, forward.merge_padding(columns, count, PADDING)), forward(x))
            for count in (4, 32, 256)
        ]
        again = Forward(model).merge_padding(columns, 32, PADDING)
        tokens = forward.merge_padding(columns, 32, PADDING)
    assert errors[0] > 2 * errors[1] > 4 * errors[2] > 0
    assert torch.equal(again.positions, tokens.positions)
    assert tokens.bias is not None
    # Every padding token is in exactly one group, so the weights add up to their number.
    assert round(float(tokens.bias[-32:].exp().sum())) == forward.grid.rows * (forward.grid.columns - columns)
