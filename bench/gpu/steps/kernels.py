"""Which kernels attention runs in, how fast each way is, and where the time of a pass goes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from bench.gpu.facts import Fact
from bench.gpu.subject import Subject
from block.model.attention import attend_with_bias, flash_takes
from block.model.classifier import MERGED
from block.settings import EXACT

MERGED_TOKENS = 374  # of a window of 2 s, with the padding in 128 groups
BATCH, SHOWN = 64, 14
BACKENDS = ("FLASH_ATTENTION", "CUDNN_ATTENTION", "EFFICIENT_ATTENTION")


def run(subject: Subject) -> Iterator[Fact]:
    """Time attention alone, in each kernel, then profile a pass by each path."""
    dtype = getattr(torch, subject.half)
    yield Fact(
        "kernels.flash", "heads widened for a bias go to flash attention",
        "yes" if flash_takes(64, subject.device, dtype) else "no",
    )  # fmt: skip
    shape = subject.large_shape
    heads = shape.hidden // 64
    batch = BATCH if subject.is_cuda else 1
    for name, tokens, has_bias in (("exact", shape.tokens, False), ("merged", min(MERGED_TOKENS, shape.tokens), True)):
        qkv = torch.randn((batch, tokens, 3, heads, 64), device=subject.device).to(dtype)
        bias = torch.linspace(0, 6, tokens, device=subject.device)
        q, k, v = qkv.transpose(1, 3).unbind(2)
        mask = bias.to(dtype).view(1, 1, 1, -1) if has_bias else None
        ways = {"as PyTorch chooses": partial(_attend, q, k, v, mask)}
        ways |= {backend: partial(_attend_in, backend, q, k, v, mask) for backend in BACKENDS}
        if has_bias:
            ways["widened heads"] = partial(attend_with_bias, qkv, bias)
        for way, call in ways.items():
            text = f"attention, {name}, {batch} windows of {tokens} tokens, {way}"
            try:
                with torch.inference_mode():
                    seconds = subject.accelerator.time_call(call, subject.sizes.forward_s / 8)
            except RuntimeError as error:
                yield Fact(f"attention.{name}.{way}", text, str(error).strip().splitlines()[0][:80])
                continue
            yield Fact(f"attention.{name}.{way}", text, seconds * 1000, "ms")
    for path in (EXACT, MERGED):
        try:
            yield from _profile(subject, path, batch)
        except RuntimeError as error:  # a machine may keep its counters to itself
            yield Fact(f"profile.{path}.0", f"profile of a pass, {path}", str(error).strip().splitlines()[0][:80])


def _attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)


def _attend_in(backend: str, *arguments: Any) -> torch.Tensor:
    with sdpa_kernel([getattr(SDPBackend, backend)]):
        return _attend(*arguments)


def _profile(subject: Subject, path: str, batch: int) -> Iterator[Fact]:
    """List the kernels that take most of a pass of 2 s windows, features included, by their share of its time."""
    from torch.profiler import ProfilerActivity, profile

    from bench.gpu.recordings import stack
    from block.model.features import FilterBanks

    classifier = subject.classifier(subject.large, subject.half)
    front_end = subject.large.front_end
    values = 2 * front_end.rate_hz
    sound = torch.randn((batch, values)).numpy()
    banks = FilterBanks(front_end, subject.device)

    def compute() -> None:
        classifier.begin(banks(stack(list(sound))), front_end.count_frames(values), path)
        subject.accelerator.synchronize()

    compute()
    activity = ProfilerActivity.CUDA if subject.is_cuda else ProfilerActivity.CPU
    with profile(activities=[activity]) as profiled:
        compute()
    attribute = "self_device_time_total" if subject.is_cuda else "self_cpu_time_total"
    times = {one.key: float(getattr(one, attribute, 0.0)) for one in profiled.key_averages()}
    total = sum(times.values())
    for number, name in enumerate(sorted(times, key=lambda name: -times[name])[:SHOWN]):
        text = f"share of a pass, {path}: {name[:90]}"
        yield Fact(f"profile.{path}.{number}", text, times[name] / total if total else 0.0)
