"""Compute results ahead of use, in order, within a memory budget."""

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
    """Limit the memory of results that wait to be used.

    Items are numbered from 0 in the order of use. To prevent deadlocks, the next item to be used may always take what
    it needs; the others together are limited to `limit_bytes`.
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
        """Release the bytes of item `index`, which has been used. The item after it is next."""
        with self._changed:
            self._reserved.pop(index, None)
            self._next = index + 1
            self._changed.notify_all()

    def close(self) -> None:
        """Let all waiting threads continue."""
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
    """Call `function` on `items` in the threads of `pool`. Yield completed futures in order.

    `function` gets an item, and a function to call once with the number of bytes it's about to allocate, which may
    block until earlier results have been used. At most `depth` results are in progress or waiting.
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
