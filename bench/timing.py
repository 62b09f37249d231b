"""Contenders timed in turns: on a shared machine only what ran side by side can be compared."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

CALLS = 4  # in a turn: fewer, and a turn could not end in time once the machine gets slower
TOLERANCE_S = 1e-6


@dataclass(frozen=True)
class Spread:
    """One or more measurements of the same thing, in seconds, in the order they were taken."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def least(self) -> float:
        return min(self.seconds)

    @property
    def most(self) -> float:
        return max(self.seconds)


@dataclass(frozen=True)
class Turn:
    """What a contender does when it is its turn: `run` judges so many windows, `batch` at a time, `most` at once."""

    run: Callable[[int], None]
    batch: int
    most: int


def take_turns(
    turns: Sequence[Turn],
    rounds: int,
    turn_s: float,
    left_s: Callable[[], float],
    later_s: float = 0.0,
    clock: Callable[[], float] = time.perf_counter,
) -> list[Spread | None]:
    """Seconds a window of each, A B C A B C …, after a batch each to warm up.

    A turn lasts `turn_s` seconds or a little longer, one batch at least. A contender whose first turn would come when
    none of the `left_s()` seconds are left has None. A round after the first is begun only if one as long as the last
    leaves `later_s` seconds.
    """
    at_once = [0] * len(turns)
    spent: list[list[float]] = [[] for _ in turns]
    slowest = 0.0  # seconds a window, of all that was seen yet
    for at, turn in enumerate(turns):
        if left_s() <= turn.batch * slowest:
            continue
        start = clock()
        turn.run(turn.batch)
        took = max(clock() - start, 1e-9)
        slowest = max(slowest, took / turn.batch)
        at_once[at] = turn.batch * max(1, min(int(turn_s / CALLS / took), turn.most // turn.batch))
    for number in range(rounds):
        started = clock()
        for at, turn in enumerate(turns):
            late = number == 0 and at > 0 and left_s() <= 0
            if late or not at_once[at] or (number > 0 and not spent[at]):
                continue
            spent[at].append(_take(turn, at_once[at], turn_s, clock))
        if left_s() - later_s < clock() - started:
            break
    return [Spread(tuple(seconds)) if seconds else None for seconds in spent]


def _take(turn: Turn, at_once: int, turn_s: float, clock: Callable[[], float]) -> float:
    """Seconds a window in one turn, in which `at_once` windows are judged in a call."""
    start = clock()
    windows = 0
    while not windows or clock() - start + TOLERANCE_S < turn_s:
        turn.run(at_once)
        windows += at_once
    return (clock() - start) / windows
