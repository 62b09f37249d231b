"""How much a run of the benchmark measures, and how it stays within its time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

MODEL_WINDOW_MS = 2000  # the window length of everything that is measured at only one
LENGTHS_MS = (1000, 2000, 10000)
CPU_BATCHES, CUDA_BATCHES = (1, 2, 4, 8), (1, 8, 32, 64)
CUDA_OWN_BATCH = 64
SMALL_FLOPS = 26e9  # per window, a tenth of the full-size model's; a model below is small


class BenchError(Exception):
    """A part of the benchmark can't be measured; the message says which and why."""


@dataclass(frozen=True)
class Effort:
    """How much to measure on one checkpoint.

    A turn is as many batches as fit in `turn_s` seconds, at least one; there are `rounds` rounds of turns. `own_batch`
    is the batch size of this block's paths. With `every_length`, contenders that compute the padding are measured at
    each window length, not only at 2 s. Another round at 2 s starts only if it leaves `later_s` seconds for the rest. A
    pass over files should take `end_to_end_s` seconds.
    """

    turn_s: float
    rounds: int
    own_batch: int
    every_length: bool
    later_s: float
    end_to_end_s: float


@dataclass(frozen=True)
class Plan:
    """What to measure, and with how much effort on a `small` model and on a `large` one.

    `batches` are the batch sizes to try with transformers' pipeline, `exported` those with ONNX Runtime and OpenVINO.
    With `hour`, the peak memory of an hour is measured. After `limit_s` seconds nothing new starts; `keep_s` of them
    are reserved for the last checkpoint.
    """

    name: str
    limit_s: float
    keep_s: float
    small: Effort
    large: Effort
    batches: tuple[int, ...] = CPU_BATCHES
    exported: tuple[int, ...] = (1, 4)
    hour: bool = True
    window_ms: tuple[int, ...] = LENGTHS_MS

    def on_cuda(self) -> Plan:
        """Return the same plan with the batch sizes for a GPU."""
        small, large = (replace(one, own_batch=CUDA_OWN_BATCH) for one in (self.small, self.large))
        return replace(self, batches=CUDA_BATCHES, small=small, large=large)


FULL = Plan(
    "full", 30 * 60, 23 * 60,
    small=Effort(turn_s=1, rounds=3, own_batch=8, every_length=True, later_s=60, end_to_end_s=10),
    large=Effort(turn_s=8, rounds=3, own_batch=8, every_length=True, later_s=720, end_to_end_s=40),
)  # fmt: skip
QUICK = Plan(
    "quick", 210, 150,
    small=Effort(turn_s=0.5, rounds=2, own_batch=8, every_length=True, later_s=10, end_to_end_s=3),
    large=Effort(turn_s=2, rounds=2, own_batch=4, every_length=False, later_s=70, end_to_end_s=8),
    batches=CPU_BATCHES[:3], exported=(1,), hour=False,
)  # fmt: skip


class Clock:
    """The time that a run of the benchmark has left, in seconds of the clock `now`."""

    def __init__(self, limit_s: float, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._started = now()
        self.limit_s = limit_s

    def spent(self) -> float:
        return self._now() - self._started

    def left(self) -> float:
        return self.limit_s - self.spent()
