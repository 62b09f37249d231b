"""How much a run of the benchmark measures, and how it keeps to its time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

MODEL_WINDOW_MS = 2000  # what is measured at one window length only is measured at this one
LENGTHS_MS = (1000, 2000, 10000)
CPU_BATCHES, CUDA_BATCHES = (1, 2, 4, 8), (1, 8, 32, 64)
CUDA_OWN_BATCH = 64


class BenchError(Exception):
    """A part of the benchmark cannot be measured; the message says which and why."""


@dataclass(frozen=True)
class Effort:
    """How much is done with one checkpoint.

    A turn is as many batches as fit in `turn_s` seconds, one at least; there are `rounds` of turns. `own_batch` is
    the batch of this block's ways. `every_length`: contenders that compute the padding too are measured at each
    window length, not at 2 s alone. Another round at 2 s is begun only if `later_s` seconds are left after it for the
    rest. A pass over files should take `end_to_end_s` seconds.
    """

    turn_s: float
    rounds: int
    own_batch: int
    every_length: bool
    later_s: float
    end_to_end_s: float


@dataclass(frozen=True)
class Plan:
    """What to measure: with much effort on a `small` model, with less of it on a `large` one.

    `batches` are those that transformers' pipeline is tried with. `exported`: ONNX Runtime and OpenVINO take part.
    `hour`: an hour's peak memory is measured. After `limit_s` seconds nothing new is begun; `keep_s` of them are kept
    for the checkpoint that comes last.
    """

    name: str
    limit_s: float
    keep_s: float
    small: Effort
    large: Effort
    batches: tuple[int, ...] = CPU_BATCHES
    exported: bool = True
    hour: bool = True
    window_ms: tuple[int, ...] = LENGTHS_MS

    def on_cuda(self) -> Plan:
        """The same plan with the batches that a GPU wants."""
        small, large = (replace(one, own_batch=CUDA_OWN_BATCH) for one in (self.small, self.large))
        return replace(self, batches=CUDA_BATCHES, small=small, large=large)


FULL = Plan(
    "full", 30 * 60, 23 * 60,
    small=Effort(turn_s=1, rounds=3, own_batch=8, every_length=True, later_s=60, end_to_end_s=10),
    large=Effort(turn_s=8, rounds=3, own_batch=8, every_length=True, later_s=720, end_to_end_s=40),
)  # fmt: skip
QUICK = Plan(
    "quick", 160, 110,
    small=Effort(turn_s=0.5, rounds=2, own_batch=4, every_length=True, later_s=10, end_to_end_s=3),
    large=Effort(turn_s=2, rounds=2, own_batch=2, every_length=False, later_s=70, end_to_end_s=12),
    batches=CPU_BATCHES[:3], exported=False, hour=False,
)  # fmt: skip


class Clock:
    """The time that a run of the benchmark has left. Seconds, of `now`."""

    def __init__(self, limit_s: float, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._started = now()
        self.limit_s = limit_s

    def spent(self) -> float:
        return self._now() - self._started

    def left(self) -> float:
        return self.limit_s - self.spent()
