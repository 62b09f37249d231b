"""The GPU under test: its clock, its memory, and a tensor that takes that memory away. In the dry form, the CPU."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from bench.gpu.meter import MemoryMeter

MOST_CALLS = 10_000
WARM_UPS = 2


class Accelerator:
    """Measure time and memory on `device`."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.is_cuda = device.type == "cuda"

    def synchronize(self) -> None:
        """Wait until the device has done everything it was given."""
        if self.is_cuda:
            torch.cuda.synchronize(self.device)

    def time_call(self, call: Callable[[], object], for_s: float) -> float:
        """Return the median seconds of a call, which is repeated for about `for_s` seconds, after two to warm up."""
        for _ in range(WARM_UPS):
            call()
        self.synchronize()
        seconds: list[float] = []
        ends = time.perf_counter() + for_s
        while not seconds or (time.perf_counter() < ends and len(seconds) < MOST_CALLS):
            started = time.perf_counter()
            call()
            self.synchronize()
            seconds.append(time.perf_counter() - started)
        return statistics.median(seconds)

    def time_many(self, call: Callable[[], object], calls: int) -> float:
        """Return the seconds of one call, of `calls` calls in a row without waiting in between."""
        call()
        self.synchronize()
        started = time.perf_counter()
        for _ in range(calls):
            call()
        self.synchronize()
        return (time.perf_counter() - started) / calls

    def free_cache(self) -> None:
        """Give the memory that PyTorch caches back to the device."""
        if self.is_cuda:
            self.synchronize()
            torch.cuda.empty_cache()

    @contextmanager
    def measure_peak(self) -> Iterator[Callable[[], int]]:
        """Measure how far allocated memory rises above its level at the start; yield a function that returns bytes.

        On a CPU, only the tensors that PyTorch's operations return are counted.
        """
        if self.is_cuda:
            self.free_cache()
            torch.cuda.reset_peak_memory_stats(self.device)
            before = torch.cuda.memory_allocated(self.device)
            yield lambda: torch.cuda.max_memory_allocated(self.device) - before
            return
        with MemoryMeter() as meter:
            yield lambda: meter.peak_bytes

    @contextmanager
    def take_all_but(self, leave_bytes: int) -> Iterator[int]:
        """Take the device's free memory except `leave_bytes`, in one tensor; yield the bytes taken. Only on CUDA."""
        self.free_cache()
        free = torch.cuda.mem_get_info(self.device)[0]
        taken = torch.empty(max(0, free - leave_bytes), dtype=torch.uint8, device=self.device)
        try:
            yield len(taken)
        finally:
            del taken
            self.free_cache()
