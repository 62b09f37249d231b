"""What torch.compile would gain over the block's own forward pass. The block doesn't use it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import torch

from bench.gpu.facts import Fact
from bench.gpu.subject import Subject
from block.model.forward import Forward
from block.model.transformers_loader import load_model

BATCH = 64


def run(subject: Subject) -> Iterator[Fact]:
    """Time a pass of 64 windows as it is, then compiled. In the dry form nothing is generated, only traced."""
    device = subject.on(subject.half)
    forward = Forward(load_model(subject.large, device))
    front_end = subject.large.front_end
    batch = BATCH if subject.is_cuda else 1
    inputs = torch.randn((batch, front_end.max_frames, front_end.mel_bins)).to(device.device, device.dtype)
    with torch.inference_mode():
        eager_s = subject.accelerator.time_call(lambda: forward(inputs), subject.sizes.forward_s)
        yield Fact("compile.eager", f"forward pass, {batch} windows, as it is", batch / eager_s, "windows/s")
        compiled = torch.compile(forward, backend="inductor" if subject.is_cuda else "eager")
        started = time.perf_counter()
        compiled(inputs)
        subject.accelerator.synchronize()
        yield Fact("compile.first", "time to compile it", time.perf_counter() - started, "s")
        compiled_s = subject.accelerator.time_call(lambda: compiled(inputs), subject.sizes.forward_s)
        yield Fact("compile.gain", "speed compiled over as it is", eager_s / compiled_s)
