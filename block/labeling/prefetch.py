"""Work done ahead of its use: results in order, as much of it in memory as a budget allows."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from block.runtime import cancel

Item = TypeVar("Item")
Result = TypeVar("Result")

DEPTH = 16
BUDGET_BYTES = 256 << 20


class Budget:
    """Bytes that work ahead may hold. Whoever's turn is next is let through whatever it needs, so nothing locks up.

    Turns are numbered from 0 in the order of use. Held at most: `limit_bytes`, or one item that alone needs more,
    and the item whose turn it is.
    """

    def __init__(self, limit_bytes: int = BUDGET_BYTES) -> None:
        self.limit_bytes = limit_bytes
        self._held: dict[int, int] = {}
        self._next = 0
        self._over = False
        self._changed = threading.Condition()

    def reserve(self, turn: int, size_bytes: int) -> None:
        """Wait until `size_bytes` may be taken for `turn`, or everything is over."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._over or turn <= self._next or sum(self._held.values()) + size_bytes <= self.limit_bytes
            )
            self._held[turn] = size_bytes

    def used(self, turn: int) -> None:
        """The result of `turn` is no longer held; the next one's turn has come."""
        with self._changed:
            self._held.pop(turn, None)
            self._next = turn + 1
            self._changed.notify_all()

    def end(self) -> None:
        """Nobody waits any longer."""
        with self._changed:
            self._over = True
            self._changed.notify_all()


def ahead(
    work: Callable[[Item, Callable[[int], None]], Result],
    items: Iterable[Item],
    pool: ThreadPoolExecutor,
    budget: Budget,
    depth: int = DEPTH,
) -> Iterator[tuple[Item, Future[Result]]]:
    """`work` on `items` in the threads of `pool`, yielded in order as futures that are done.

    `work` gets an item and a function to call, once, with the bytes it is about to need; that may have to wait for
    earlier results to be used. At most `depth` results are worked on or wait.
    """
    waiting: deque[tuple[Item, Future[Result]]] = deque()
    rest = enumerate(items)
    turn = 0
    while True:
        while len(waiting) < depth and (following := next(rest, None)) is not None:
            index, item = following
            waiting.append((item, pool.submit(work, item, partial(budget.reserve, index))))
        if not waiting:
            return
        item, future = waiting.popleft()
        yield item, cancel.wait_for(future)
        budget.used(turn)
        turn += 1
