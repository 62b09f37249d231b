"""Linear layers: packed ones equal PyTorch's, and 8-bit ones stay within their rounding error."""

from __future__ import annotations

import pytest
import torch

from block.model.int8_support import INT8_MAX, INT8_NARROW_MAX, find_int8_support
from block.model.linear import Int8Linear, PackedLinear, PlainLinear, packing_works


def sample(rows: int = 37, inputs: int = 96, outputs: int = 40) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    return (
        torch.randn(rows, inputs, generator=generator),
        torch.randn(outputs, inputs, generator=generator) / inputs**0.5,
        torch.randn(outputs, generator=generator),
    )


@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("gelu", [True, False])
@pytest.mark.parametrize("rows", [1, 37])
def test_packed_layers_equal_plain_ones(rows: int, gelu: bool, with_bias: bool) -> None:
    if not packing_works():
        pytest.skip("this PyTorch has no packed layers")
    x, weight, bias = sample(rows)
    given = bias if with_bias else None
    packed, plain = PackedLinear(weight, given, 1214), PlainLinear(weight, given)
    assert (packed(x, gelu) - plain(x, gelu)).abs().max() < 1e-5


@pytest.mark.parametrize("limit", [INT8_MAX, INT8_NARROW_MAX])
def test_the_error_of_int8_layers_is_within_their_rounding(limit: int) -> None:
    if not find_int8_support().limit:
        pytest.skip(find_int8_support().reason)
    if limit > find_int8_support().limit:
        pytest.skip("such products saturate on this CPU")
    x, weight, bias = sample()
    x[3] = 0
    x[4] *= 1000
    exact = x.double() @ weight.double().T + bias
    got = Int8Linear(weight, bias, limit)(x)
    # Half a step of each factor times the other factor, summed over the inputs.
    x_step = x.double().abs().amax(1, keepdim=True) / INT8_MAX
    weight_step = weight.double().abs().amax(1) / limit
    bound = (
        x_step / 2 * weight.double().abs().sum(1)
        + weight_step / 2 * x.double().abs().sum(1, keepdim=True)
        + x.shape[1] * x_step * weight_step / 4
    )
    error = (got - exact).abs()
    assert (error <= bound * (1 + 1e-4) + 1e-5).all()
    assert error.max() > 0
    assert torch.equal(got[3], bias)


def test_a_row_of_an_int8_layer_does_not_depend_on_its_neighbors() -> None:
    if not find_int8_support().limit:
        pytest.skip(find_int8_support().reason)
    x, weight, bias = sample()
    layer = Int8Linear(weight, bias, find_int8_support().limit)
    louder = x.clone()
    louder[1:] *= 50
    assert torch.equal(layer(x)[0], layer(louder)[0])
    assert torch.equal(layer(x)[:1], layer(x[:1]))
