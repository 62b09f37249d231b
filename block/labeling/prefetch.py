"""Compute results ahead of use, in order unless one stalls, within a memory budget."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from functools import partial
from typing import TypeVar

from block.labeling.patient_pool import PatientPool
from block.recording import RunEnded

Item = TypeVar("Item")
Result = TypeVar("Result")

DEPTH = 16
BUDGET_BYTES = 256 << 20


class MemoryBudget:
    """Limit the memory of results that wait to be used, and separately the memory of items that were set aside.

    Items are numbered from 0 in the order of use. Each of the two limits is `limit_bytes`. To prevent deadlocks, the
    next item to be used may always take what it needs, and so may one that was set aside if no other one has taken any.
    """

    def __init__(self, limit_bytes: int = BUDGET_BYTES) -> None:
        self.limit_bytes = limit_bytes
        self._in_line: dict[int, int] = {}
        self._beside: dict[int, int] = {}
        self._aside: set[int] = set()
        self._next = 0
        self._closed = False
        self._changed = threading.Condition()

    def reserve(self, index: int, size_bytes: int) -> None:
        """Wait until item `index` may take `size_bytes`, or the budget is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._find_room(index, size_bytes) is not None)
            room = self._find_room(index, size_bytes)
            (self._in_line if room is None else room)[index] = size_bytes

    def set_aside(self, index: int) -> bool:
        """Set the next item aside, with what it has taken, so that the item after it is next.

        Do nothing and return False if those set aside would take too much.
        """
        with self._changed:
            if index in self._in_line:
                if not self._has_room_beside(self._in_line[index]):
                    return False
                self._beside[index] = self._in_line.pop(index)
            self._aside.add(index)
            self._next = index + 1
            self._changed.notify_all()
            return True

    def release(self, index: int) -> None:
        """Release the bytes of item `index`, which has been used. Unless it was set aside, the one after it is next."""
        with self._changed:
            self._in_line.pop(index, None)
            self._beside.pop(index, None)
            self._aside.discard(index)
            self._next = max(self._next, index + 1)
            self._changed.notify_all()

    def close(self) -> None:
        """Let all waiting threads continue."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _find_room(self, index: int, size_bytes: int) -> dict[int, int] | None:
        """Return where to note what item `index` takes, or None if it has to wait."""
        if index in self._aside and self._has_room_beside(size_bytes):
            return self._beside
        has_room = index == self._next or sum(self._in_line.values()) + size_bytes <= self.limit_bytes
        return self._in_line if has_room else None

    def _has_room_beside(self, size_bytes: int) -> bool:
        return not self._beside or sum(self._beside.values()) + size_bytes <= self.limit_bytes


def start_ahead(start: Callable[[Item], Result], items: Iterable[Item], at_once: int) -> Iterator[tuple[Item, Result]]:
    """Yield each item with what `start` returned for it, in order. `at_once` items are started before the first comes.

    If getting another item raises RunEnded, those that were started come first.
    """
    started: deque[tuple[Item, Result]] = deque()
    try:
        for item in items:
            started.append((item, start(item)))
            if len(started) == at_once:
                yield started.popleft()
    except RunEnded:
        yield from started
        raise
    yield from started


def prefetch(
    function: Callable[[Item, Callable[[int], None]], Result],
    items: Iterable[Item],
    pool: PatientPool[int, Result],
    budget: MemoryBudget,
    depth: int = DEPTH,
) -> Iterator[tuple[Item, Future[Result]] | None]:
    """Call `function` on `items` in the threads of `pool`. Yield each item with its completed future, in order.

    `function` gets an item, and a function to call once with the number of bytes it's about to allocate, which may
    block until earlier results have been used. Up to `depth` results are in progress or waiting, besides those that the
    pool sets aside, which come later. While all that is left has stalled, yield None from time to time.
    """
    waiting: dict[int, Item] = {}
    rest = enumerate(items)
    while True:
        while len(pool) < depth and (following := next(rest, None)) is not None:
            index, item = following
            waiting[index] = item
            pool.submit(index, partial(function, item, partial(budget.reserve, index)))
        if not waiting:
            return
        if (task := pool.take()) is not None:
            yield waiting.pop(task.key), task.future
            budget.release(task.key)
        elif pool.is_held_up:
            yield None
