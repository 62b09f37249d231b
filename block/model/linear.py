"""Three kinds of linear layers: PyTorch's own, packed for oneDNN, and in 8-bit integers."""

from __future__ import annotations

import functools
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from block.model import onednn
from block.model.int8_support import INT8_MAX, Int8Product

SMALLEST_ROW = 1e-30  # used for the largest magnitude in a row of zeros, to avoid division by 0


class Linear(Protocol):
    """Compute `x·Wᵀ + b`, followed by GELU (with the exact error function) if `gelu`.

    Shape: `(rows, inputs)` in, `(rows, outputs)` out. Up to rounding, a row's result depends only on that row.
    """

    def __call__(self, x: Tensor, gelu: bool = False) -> Tensor: ...


class PlainLinear:
    """PyTorch's own product, in the dtype and on the device of `weight`, shape `(outputs, inputs)`."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self._weight, self._bias = weight, bias

    def __call__(self, x: Tensor, gelu: bool = False) -> Tensor:
        y = functional.linear(x, self._weight, self._bias)
        return functional.gelu(y) if gelu else y


class PackedLinear:
    """The same product in float32 on a CPU, with the weights laid out once for oneDNN's kernels.

    Bias and GELU are applied while a result is in the cache. PyTorch's compiler replaces linear layers by these
    operators when it freezes a model; `packing_works` tells whether they are available.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, rows: int) -> None:
        """`rows` is the number of input rows that the layout is optimized for; any other number works too."""
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight, rows)
        self._bias = bias

    def __call__(self, x: Tensor, gelu: bool = False) -> Tensor:
        return onednn.multiply(x, self._weight, self._bias, gelu)


class Int8Linear:
    """The product in 8-bit integers on a CPU, accumulated exactly in 32 bits.

    Weights are rounded once, with one scale per output. Inputs have one scale per row, so rows don't affect each other:
    `y = acc · (row scale · output scale) + b`. See https://arxiv.org/abs/2206.01861 for both kinds of scales. `limit`
    is the largest integer that a weight is rounded to.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, limit: int) -> None:
        whole, scale = round_weight(weight, limit)
        self._product = Int8Product(whole, scale)
        self._bias = torch.zeros_like(scale) if bias is None else bias

    def __call__(self, x: Tensor, gelu: bool = False) -> Tensor:
        row_scale = x.abs().amax(dim=1, keepdim=True).clamp_min_(SMALLEST_ROW).div_(INT8_MAX)
        y = self._product((x / row_scale).round_().to(torch.int8))
        torch.addcmul(self._bias, y, row_scale, out=y)
        return torch.ops.aten.gelu_(y) if gelu else y  # in place, since memory that isn't in the cache is slow


def round_weight(weight: Tensor, limit: int = INT8_MAX) -> tuple[Tensor, Tensor]:
    """Return a weight in 8-bit integers of at most `limit`, and the scale of each output.

    Shape: `(outputs, inputs)` in, `(outputs, inputs)` and `(outputs,)` out.
    """
    scale = weight.abs().amax(dim=1).clamp_min(SMALLEST_ROW) / limit
    return (weight / scale[:, None]).round_().to(torch.int8), scale


@functools.cache
def packing_works() -> bool:
    """Return True if this PyTorch has oneDNN's packed linear layers and they compute the right results."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    x, weight, bias = _make_sample(16, 64, 32)
    try:
        packed = PackedLinear(weight, bias, len(x))(x, gelu=True)
    except (AttributeError, RuntimeError, NotImplementedError):
        return False
    return torch.allclose(packed, PlainLinear(weight, bias)(x, gelu=True), rtol=1e-4, atol=1e-4)


def _make_sample(rows: int, inputs: int, outputs: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = ((rows, inputs), (outputs, inputs), (outputs,))
    x, weight, bias = (torch.randn(shape, generator=generator) for shape in shapes)
    return x, weight / inputs**0.5, bias
