"""Time contenders in turns: on a shared machine, only measurements taken close together can be compared."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

CALLS = 4  # per turn; with fewer, a turn couldn't end in time if the machine gets slower
TOLERANCE_S = 1e-6


@dataclass(frozen=True)
class Spread:
    """One or more measurements of the same thing, in seconds, in order."""

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
    """A contender's turn: `run` computes a number of windows, at most `most`, `batch` at a time."""

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
    """Return the seconds per window of each contender, in turns A B C A B C …, after one batch each to warm up.

    A turn lasts `turn_s` seconds or slightly longer, at least one batch. The result is None for a contender whose first
    turn would start with none of the `left_s()` seconds left. Another round starts only if one as long as the last
    leaves `later_s` seconds.
    """
    at_once = [0] * len(turns)
    spent: list[list[float]] = [[] for _ in turns]
    slowest = 0.0  # seconds per window, of all contenders so far
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
    """Return the seconds per window in one turn that computes `at_once` windows per call."""
    start = clock()
    windows = 0
    while not windows or clock() - start + TOLERANCE_S < turn_s:
        turn.run(at_once)
        windows += at_once
    return (clock() - start) / windows
