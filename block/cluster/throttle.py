"""Decide how many requests a whole cluster may have open, and which is next. Without network or threads.

This is additive increase, multiplicative decrease, as in TCP: after as many good answers in a row as requests are
allowed at once, one more is allowed, up to the limit. If the server asks to slow down, the number is halved, and
nothing is sent for as long as the server says.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from itertools import chain, islice, takewhile
from typing import NamedTuple

from block.edge_impulse.retries import GOOD, SLOWED, RequestOutcome

LOST_AFTER_S = 30.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0


class Lease(NamedTuple):
    """Request `number` of the process `worker`, which uses each number once."""

    worker: str
    number: int


class Throttle:
    """Allow at most `limit` open requests at once, at least 1; first come, first served. Not thread-safe.

    A worker counts as lost, with all its requests, after `LOST_AFTER_S` seconds without `enqueue`, `release` or
    `renew`. `clock` is in seconds and never goes back.
    """

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        if limit < 1:
            raise ValueError(f"the limit is {limit} requests; expected at least 1")
        self.limit = limit
        self._clock = clock
        self._allowed = limit
        self._good = 0
        self._paused_until = clock()
        # Each request stores the number of slowdowns before it, so requests open during a slowdown have an older count.
        self._slowdowns = self._slowdowns_in_a_row = 0
        self._waiting: dict[Lease, None] = {}
        self._under_way: dict[Lease, int] = {}
        self._last_seen: dict[str, float] = {}
        self._dropped: list[Lease] = []

    def enqueue(self, lease: Lease) -> None:
        """Put `lease` at the end of the line. Do nothing if it is already waiting or open."""
        self.renew(lease.worker)
        if lease not in self._under_way:
            self._waiting.setdefault(lease)

    def is_under_way(self, lease: Lease) -> bool:
        """Return True if the request may be sent."""
        return lease in self._under_way

    def admit(self) -> list[Lease]:
        """Admit as many requests as allowed, in the order of the line, and return them.

        Call this after every other call, and again after `wait_s`.
        """
        now = self._clock()
        self._forget_lost(now)
        free = self._allowed - len(self._under_way)
        if now < self._paused_until or free <= 0:
            return []
        leases = list(islice(self._waiting, free))
        for lease in leases:
            del self._waiting[lease]
            self._under_way[lease] = self._slowdowns
        return leases

    def take_dropped(self) -> list[Lease]:
        """Return the requests dropped from the line since the last call: given up, or their workers are lost."""
        dropped, self._dropped = self._dropped, []
        return dropped

    def wait_s(self) -> float | None:
        """Return the seconds until `admit` may admit a request without another call; None if nothing waits."""
        if not self._waiting:
            return None
        now = self._clock()
        if now < self._paused_until:
            return self._paused_until - now
        if len(self._under_way) < self._allowed:
            return 0.0
        return max(0.0, min(self._last_seen[lease.worker] for lease in self._under_way) + LOST_AFTER_S - now)

    def release(self, lease: Lease, outcome: RequestOutcome, asked_s: float | None = None) -> None:
        """End a request, or take it out of the line. The outcome of a request that isn't open doesn't count.

        `asked_s` is the pause in seconds that the server asks for, None if it gives none. The pause is at least our
        own: `FIRST_PAUSE_S`, doubled each time up to `LONGEST_PAUSE_S`, until an answer is good again.
        """
        self.renew(lease.worker)
        self._waiting.pop(lease, None)
        is_current = self._under_way.pop(lease, None) == self._slowdowns
        if outcome == SLOWED:
            self._slow_down(asked_s or 0.0, is_current)
        elif outcome == GOOD and is_current:
            self._speed_up()

    def renew(self, worker: str, numbers: Collection[int] = (), before: int = 0) -> None:
        """Note that `worker` is alive, and that of its requests numbered below `before`, only `numbers` are open."""
        self._last_seen.pop(worker, None)  # keeps the dict in the order of its times
        self._last_seen[worker] = self._clock()
        if before:
            ours = (one for one in self._all() if one.worker == worker and one.number < before)
            self._drop(one for one in ours if one.number not in numbers)

    def _slow_down(self, pause_s: float, is_current: bool) -> None:
        """Pause, and allow fewer requests if the request was sent after the last slowdown (`is_current`)."""
        if is_current:
            self._slowdowns += 1
            self._slowdowns_in_a_row += 1
            self._allowed = max(1, self._allowed // 2)
            self._good = 0
            # Never less than our own pause: a server whose clock is behind gives times that have passed.
            own_s = FIRST_PAUSE_S * 2.0 ** min(self._slowdowns_in_a_row - 1, 60)
            pause_s = max(pause_s, min(LONGEST_PAUSE_S, own_s))
        self._paused_until = max(self._paused_until, self._clock() + pause_s)

    def _speed_up(self) -> None:
        self._slowdowns_in_a_row = 0
        self._good += 1
        if self._good >= self._allowed:
            self._good = 0
            self._allowed = min(self.limit, self._allowed + 1)

    def _forget_lost(self, now: float) -> None:
        lost = list(takewhile(lambda worker: now - self._last_seen[worker] >= LOST_AFTER_S, self._last_seen))
        for worker in lost:
            del self._last_seen[worker]
        if lost:
            self._drop(one for one in self._all() if one.worker in lost)

    def _all(self) -> Iterator[Lease]:
        return chain(self._waiting, self._under_way)

    def _drop(self, leases: Iterator[Lease]) -> None:
        for lease in list(leases):
            self._under_way.pop(lease, None)
            if lease in self._waiting:
                del self._waiting[lease]
                self._dropped.append(lease)
