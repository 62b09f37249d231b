"""What a pass takes on a GPU, counted on PyTorch's meta device, which has shapes but no values."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from transformers import ASTConfig, ASTForAudioClassification

from bench.gpu.meter import MemoryMeter
from block.model.checkpoint import FrontEnd
from block.model.classifier import MEMORY_MARGIN
from block.model.features import GPU_WINDOWS, FilterBanks
from block.model.forward import Forward

WINDOWS = 3 * GPU_WINDOWS
TINY = {"hidden_size": 192, "num_hidden_layers": 6, "num_attention_heads": 3, "intermediate_size": 768,
        "frequency_stride": 16, "time_stride": 16}  # fmt: skip


def attend(queries: Tensor, keys: Tensor, values: Tensor, **options: Any) -> Tensor:
    """Allocate what flash attention allocates: its result, laid out token by token, and a sum per query."""
    batch, heads, count, width = queries.shape
    _ = torch.empty((batch, heads, count), device=queries.device)
    return torch.empty((batch, count, heads, width), device=queries.device, dtype=queries.dtype).transpose(1, 2)


@pytest.fixture
def _flash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(functional, "scaled_dot_product_attention", attend)


@pytest.mark.usefixtures("_flash")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("sizes", [{}, TINY, {"intermediate_size": 768}], ids=["full", "tiny", "narrow"])
def test_a_pass_takes_60_to_95_percent_of_what_the_budget_plans_for_it(
    sizes: dict[str, int], dtype: torch.dtype
) -> None:
    with torch.device("meta"):
        model = ASTForAudioClassification(ASTConfig(num_labels=527, **sizes)).to(dtype).eval()
    front_end = FrontEnd()
    with torch.inference_mode():
        forward, banks = Forward(model), FilterBanks(front_end, torch.device("meta"))
        with MemoryMeter() as meter:
            waveforms = torch.zeros((WINDOWS, front_end.limit_values), device="meta")
            forward(banks(waveforms).to(dtype))
    inputs = front_end.limit_values * 4 + front_end.max_frames * front_end.mel_bins * (4 + dtype.itemsize)
    planned = (forward.count_values() * dtype.itemsize + inputs) * MEMORY_MARGIN
    assert 0.60 <= meter.peak_bytes / WINDOWS / planned <= 0.95


def test_a_gpus_front_end_needs_little_more_memory_than_its_result() -> None:
    front_end = FrontEnd()
    banks = FilterBanks(front_end, torch.device("meta"))
    with MemoryMeter() as meter:
        found = banks(torch.zeros((10 * GPU_WINDOWS, front_end.limit_values), device="meta"))
    assert found.shape == (10 * GPU_WINDOWS, front_end.max_frames, front_end.mel_bins)
    waveforms = 4 * front_end.limit_values * 10 * GPU_WINDOWS
    assert meter.peak_bytes <= waveforms + 2 * found.nbytes + 512e6


def test_the_meter_counts_what_is_alive_at_once() -> None:
    x = torch.zeros(1000)
    with MemoryMeter() as meter:
        y = x + 1
        z = y * 2
        del y
        view = z.view(10, 100)
        del z
        view += 1
        assert meter.bytes == 4000
        del view
        assert meter.bytes == 0
    assert meter.peak_bytes == 8000
