"""The forward pass by itself, on features that are on the device already, exact and merged."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch

from bench.flops import count_flops
from bench.gpu.facts import Fact
from bench.gpu.subject import Subject
from block.model.classifier import MERGED
from block.settings import EXACT

MERGED_BATCH = 512


def run(subject: Subject) -> Iterator[Fact]:
    """Time passes of the large model: exact at several batch sizes, merged at each window length."""
    classifier = subject.classifier(subject.large, subject.half)
    front_end = subject.large.front_end
    shape = (max(subject.sizes.forward_batches), front_end.max_frames, front_end.mel_bins)
    generator = torch.Generator(device=subject.device).manual_seed(0)
    inputs = torch.randn(shape, generator=generator, device=subject.device).to(getattr(torch, subject.half))
    best = 0.0
    for batch in subject.sizes.forward_batches:
        if best and subject.left_s() < 2 * subject.sizes.forward_s:
            return
        seconds = subject.accelerator.time_call(partial(classifier.begin, inputs[:batch]), subject.sizes.forward_s)
        best = max(best, batch / seconds)
        yield Fact(f"forward.exact.{batch}", f"forward pass, exact, {batch} windows", batch / seconds, "windows/s")
    yield Fact("forward.exact", "forward pass, exact, at its best batch", best, "windows/s")
    own_flops = count_flops(subject.large_shape, prunes=True).total
    rate = best * own_flops / 1e12
    yield Fact("forward.exact_rate", "its arithmetic, without what the last layer leaves out", rate, "TFLOP/s")
    for length_ms in subject.sizes.lengths_ms:
        values = min(length_ms * front_end.rate_hz // 1000, front_end.limit_values)
        recorded = front_end.count_frames(values)
        tokens = classifier.count_tokens(recorded, MERGED)
        batch = min(MERGED_BATCH, len(inputs))
        seconds = subject.accelerator.time_call(
            partial(classifier.begin, inputs[:batch], recorded, MERGED), subject.sizes.forward_s
        )
        text = f"forward pass, merged, {batch} windows of {length_ms / 1000:g} s ({tokens} tokens of "
        yield Fact(
            f"forward.merged.{length_ms}", f"{text}{classifier.count_tokens(recorded, EXACT)})", batch / seconds,
            "windows/s",
        )  # fmt: skip
