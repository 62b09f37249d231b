"""Work ahead of use: results come in order, and a memory budget limits how many wait."""

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


class MemoryBudget:
    """Limit the bytes of results that wait to be used.

    Items are numbered from 0 in the order of use. The next one to be used may take what it needs, so that nothing
    deadlocks: at most `limit_bytes`, or one item that alone needs more, are held besides it.
    """

    def __init__(self, limit_bytes: int = BUDGET_BYTES) -> None:
        self.limit_bytes = limit_bytes
        self._reserved: dict[int, int] = {}
        self._next = 0
        self._closed = False
        self._changed = threading.Condition()

    def reserve(self, index: int, size_bytes: int) -> None:
        """Wait until item `index` may take `size_bytes`, or the budget is closed."""
        with self._changed:
            self._changed.wait_for(
                lambda: (
                    self._closed or index <= self._next or sum(self._reserved.values()) + size_bytes <= self.limit_bytes
                )
            )
            self._reserved[index] = size_bytes

    def release(self, index: int) -> None:
        """Give back the bytes of item `index`, which has been used; the one after it is next."""
        with self._changed:
            self._reserved.pop(index, None)
            self._next = index + 1
            self._changed.notify_all()

    def close(self) -> None:
        """Let everybody who waits go on."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


def prefetch(
    function: Callable[[Item, Callable[[int], None]], Result],
    items: Iterable[Item],
    pool: ThreadPoolExecutor,
    budget: MemoryBudget,
    depth: int = DEPTH,
) -> Iterator[tuple[Item, Future[Result]]]:
    """Call `function` on `items` in the threads of `pool`; yield futures that are done, in order.

    `function` gets an item, and a function to call once with the bytes it is about to take, which may wait until
    earlier results have been used. At most `depth` results are in progress or waiting.
    """
    waiting: deque[tuple[int, Item, Future[Result]]] = deque()
    rest = enumerate(items)
    while True:
        while len(waiting) < depth and (following := next(rest, None)) is not None:
            index, item = following
            waiting.append((index, item, pool.submit(function, item, partial(budget.reserve, index))))
        if not waiting:
            return
        index, item, future = waiting.popleft()
        yield item, cancel.wait_for(future)
        budget.release(index)
