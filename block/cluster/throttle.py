"""How many requests may be under way in a whole cluster, and who is next. Knows no network, no thread and no clock.

Additive increase, multiplicative decrease, as in TCP: as many good answers in a row as requests are allowed at once
allow one more, up to the limit; a server that asks to slow down halves them, and is left alone for as long as it says.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import chain, islice, takewhile
from typing import NamedTuple

from block.edge_impulse.retries import GOOD, SLOWED, RequestOutcome

UNHEARD_S = 30.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0


class Lease(NamedTuple):
    """A request of `worker`, which names its process, and counts its requests: `number` is its own and used once."""

    worker: str
    number: int


@dataclass(frozen=True)
class ThrottleState:
    """What is going on: requests `allowed` at once, `under_way`, and `waiting`; seconds until the `pause` is over."""

    allowed: int
    under_way: int
    waiting: int
    pause_s: float


class Throttle:
    """At most `limit` requests under way at once, at least 1; first come, first served. For one thread.

    Whoever wants to send asks, is among those that `turn` names once it may, and gives back. A worker that is not heard
    of for `UNHEARD_S` seconds, by asking, giving back or `renew`, is taken for lost, with all that it holds and waits
    for. `now` is a clock in seconds that never goes back.
    """

    def __init__(self, limit: int, now: Callable[[], float] = time.monotonic) -> None:
        if limit < 1:
            raise ValueError(f"a limit of {limit} requests; expected at least 1")
        self.limit = limit
        self._now = now
        self._allowed = limit
        self._good = 0
        self._closed_until = now()
        # A slow-down is counted, so that requests which were under way at that time are known by an older count.
        self._slowed = self._slowed_in_a_row = 0
        self._waiting: dict[Lease, None] = {}
        self._under_way: dict[Lease, int] = {}
        self._heard: dict[str, float] = {}
        self._dropped: list[Lease] = []

    def ask(self, lease: Lease) -> None:
        """Wait in line for `lease`. Asked again it keeps its place; what is under way stays so."""
        self.renew(lease.worker)
        if lease not in self._under_way:
            self._waiting.setdefault(lease)

    def has(self, lease: Lease) -> bool:
        """Is that request allowed to be under way?"""
        return lease in self._under_way

    def turn(self) -> list[Lease]:
        """Let through whom there is room for, in the order in which they asked; those it is, who may send from now on.

        To be called after whatever else is, and again after `wait_s`.
        """
        now = self._now()
        self._forget_lost(now)
        free = self._allowed - len(self._under_way)
        if now < self._closed_until or free <= 0:
            return []
        through = list(islice(self._waiting, free))
        for lease in through:
            del self._waiting[lease]
            self._under_way[lease] = self._slowed
        return through

    def dropped(self) -> list[Lease]:
        """The places in line that nobody has any more, their workers being lost, since this was last asked."""
        dropped, self._dropped = self._dropped, []
        return dropped

    def wait_s(self) -> float | None:
        """Seconds until `turn` may let somebody through without anything else happening; None if nobody waits."""
        if not self._waiting:
            return None
        now = self._now()
        if now < self._closed_until:
            return self._closed_until - now
        if len(self._under_way) < self._allowed:
            return 0.0
        return max(0.0, min(self._heard[lease.worker] for lease in self._under_way) + UNHEARD_S - now)

    def give_back(self, lease: Lease, outcome: RequestOutcome, asked_s: float | None = None) -> None:
        """The request is over, or is no longer waited for. What is not under way (any more) says nothing of the server.

        `asked_s` is for how many seconds the server wants to be left alone, None where it named none. What it names
        is kept to; where it names less than a pause of our own, or nothing, that one is made, of `FIRST_PAUSE_S`, twice
        as long each time, up to `LONGEST_PAUSE_S`, until an answer is good again.
        """
        self.renew(lease.worker)
        self._waiting.pop(lease, None)
        since = self._under_way.pop(lease, None)
        if outcome == SLOWED:
            self._slow_down(asked_s, known=since != self._slowed)
        elif outcome == GOOD and since == self._slowed:
            self._speed_up()

    def renew(self, worker: str, numbers: Collection[int] = (), before: int = 0) -> None:
        """That worker lives, and of its requests with numbers below `before` it knows of `numbers` alone."""
        self._heard.pop(worker, None)  # whoever was heard of last stands last
        self._heard[worker] = self._now()
        if before:
            known = {Lease(worker, number) for number in numbers}
            ours = {one for one in self._all() if one.worker == worker and one.number < before}
            self._drop(ours - known)

    @property
    def state(self) -> ThrottleState:
        """How it stands now."""
        pause_s = max(0.0, self._closed_until - self._now())
        return ThrottleState(self._allowed, len(self._under_way), len(self._waiting), pause_s)

    def _slow_down(self, asked_s: float | None, known: bool) -> None:
        """`known`: the request was under way at the last slow-down, and says the same thing once more."""
        if not known:
            self._slowed += 1
            self._slowed_in_a_row += 1
            self._allowed = max(1, self._allowed // 2)
            self._good = 0
        pause_s = asked_s or 0.0
        if not known:
            # Never less than our own: a server whose clock is behind names moments that have passed.
            pause_s = max(pause_s, min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(self._slowed_in_a_row - 1, 60)))
        self._closed_until = max(self._closed_until, self._now() + pause_s)

    def _speed_up(self) -> None:
        self._slowed_in_a_row = 0
        self._good += 1
        if self._good >= self._allowed:
            self._good = 0
            self._allowed = min(self.limit, self._allowed + 1)

    def _forget_lost(self, now: float) -> None:
        lost = set(takewhile(lambda worker: now - self._heard[worker] >= UNHEARD_S, self._heard))
        if not lost:
            return
        for worker in lost:
            del self._heard[worker]
        self._drop({one for one in self._all() if one.worker in lost})

    def _all(self) -> Iterator[Lease]:
        return chain(self._waiting, self._under_way)

    def _drop(self, leases: Collection[Lease]) -> None:
        """Nobody waits for these any more, nor has them."""
        for lease in leases:
            self._under_way.pop(lease, None)
            if lease in self._waiting:
                del self._waiting[lease]
                self._dropped.append(lease)
