"""Features computed on the GPU, against transformers' feature extractor."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch

from bench.gpu.facts import Fact, check
from bench.gpu.recordings import cut_windows, stack
from bench.gpu.subject import Subject
from block.model.features import FilterBanks
from block.model.transformers_loader import load_extractor

LIMIT, RMSE_LIMIT = 1e-3, 1e-5
MOST, LARGE = 48, 512


def run(subject: Subject) -> Iterator[Fact]:
    """Compare features of real recordings at each window length, and time them."""
    front_end = subject.embedded.front_end
    extractor = load_extractor(subject.embedded)
    banks = FilterBanks(front_end, subject.device)
    for length_ms in subject.sizes.lengths_ms:
        values = length_ms * front_end.rate_hz // 1000
        windows = cut_windows(subject.recordings, values, values, front_end.rate_hz, MOST)
        if not windows:
            yield Fact(f"features.{length_ms}", f"features of {length_ms / 1000:g} s", "no recording is that long")
            continue
        with torch.inference_mode():
            found = banks(stack(windows)).cpu().double()
            expected = extractor(windows, sampling_rate=front_end.rate_hz, return_tensors="pt")["input_values"].double()
        difference = (found - expected).abs()
        named = f"features of {len(windows)} windows of {length_ms / 1000:g} s against ASTFeatureExtractor"
        yield check(f"features.max.{length_ms}", f"{named}, largest difference", float(difference.max()), LIMIT)
        rmse = float(difference.square().mean().sqrt())
        yield check(f"features.rmse.{length_ms}", f"{named}, RMSE", rmse, RMSE_LIMIT)
        large = torch.from_numpy(np.resize(np.stack(windows), (LARGE if subject.is_cuda else 2, values)))
        seconds = subject.accelerator.time_call(partial(banks, large), subject.sizes.forward_s / 2)
        yield Fact(
            f"features.windows_s.{length_ms}", f"features of {length_ms / 1000:g} s, copy to the device included",
            len(large) / seconds, "windows/s",
        )  # fmt: skip
