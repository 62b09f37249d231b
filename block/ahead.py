"""Work done ahead of its use: results in order, a bounded number of them in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

THREADS = 4
DEPTH = 16
BUDGET_BYTES = 256 << 20


def ahead(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    size_bytes: Callable[[Result], int],
    pool: ThreadPoolExecutor,
    depth: int = DEPTH,
    budget_bytes: int = BUDGET_BYTES,
) -> Iterator[tuple[Item, Future[Result]]]:
    """`work` on `items` in the threads of `pool`, yielded in order as futures that are done.

    At most `depth` results are worked on or wait to be used, and no more than `budget_bytes` would hold if each
    were as large as the largest seen; one at least, and two until the first size is known.
    """
    waiting: deque[tuple[Item, Future[Result]]] = deque()
    rest = iter(items)
    more = True
    largest = 0
    while True:
        for _, future in waiting:
            if future.done() and future.exception() is None:
                largest = max(largest, size_bytes(future.result()))
        allowed = max(1, min(depth, budget_bytes // largest)) if largest else 2
        while more and len(waiting) < allowed:
            try:
                item = next(rest)
            except StopIteration:
                more = False
            else:
                waiting.append((item, pool.submit(work, item)))
        if not waiting:
            return
        item, future = waiting.popleft()
        # Waits without raising: what went wrong belongs to whoever takes the future.
        if future.exception() is None:
            largest = max(largest, size_bytes(future.result()))
        yield item, future
