from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from block.labeling.patient_pool import STRICT, Patience, PatientPool
from block.labeling.prefetch import MemoryBudget, prefetch
from block.recording import RecordingError

AT_ONCE = Patience(passing_s=0.0, alone_s=0.0)


@contextmanager
def reading(budget: MemoryBudget, threads: int = 4, patience: Patience = STRICT) -> Iterator[PatientPool[int, int]]:
    pool: PatientPool[int, int] = PatientPool(threads, "fetch", patience, budget.set_aside)
    try:
        yield pool
    finally:
        budget.close()
        pool.close()


def test_prefetching_keeps_the_order_and_the_memory_budget_even_if_sizes_grow() -> None:
    lock = threading.Lock()
    held: dict[int, int] = {}
    most = 0

    def work(item: int, reserve: Callable[[int], None]) -> int:
        nonlocal most
        size = 10 if item < 50 else 1000
        reserve(size)
        with lock:
            held[item] = size
            most = max(most, sum(held.values()))
        time.sleep(0.001 * (item % 3))
        return size

    seen = []
    budget = MemoryBudget(2500)
    with reading(budget) as pool:
        for fetched in prefetch(work, range(80), pool, budget, depth=16):
            assert fetched is not None
            item, future = fetched
            assert future.done()
            seen.append(item)
            time.sleep(0.001)
            with lock:
                del held[item]
    assert seen == list(range(80))
    assert 1000 < most <= 3500  # the budget plus the next item


def test_an_item_larger_than_the_budget_passes_when_it_is_next() -> None:
    def work(item: int, reserve: Callable[[int], None]) -> int:
        reserve(10_000)
        return item

    budget = MemoryBudget(100)
    with reading(budget) as pool:
        found = [one[1].result() for one in prefetch(work, range(20), pool, budget) if one is not None]
    assert found == list(range(20))


def test_closing_the_budget_releases_waiting_threads() -> None:
    budget = MemoryBudget(100)
    budget.reserve(0, 100)
    waiting = threading.Thread(target=budget.reserve, args=(1, 50))
    waiting.start()
    budget.close()
    waiting.join(5)
    assert not waiting.is_alive()


def test_a_failed_fetch_is_yielded_in_order() -> None:
    def work(item: int, reserve: Callable[[int], None]) -> int:
        if item == 1:
            raise RecordingError("no")
        return item

    budget = MemoryBudget()
    with reading(budget, 2) as pool:
        results = [(one[0], one[1].exception()) for one in prefetch(work, range(3), pool, budget) if one is not None]
    assert [item for item, _ in results] == [0, 1, 2]
    assert [type(error) for _, error in results] == [type(None), RecordingError, type(None)]


@pytest.mark.parametrize("has_reserved", [False, True], ids=["before_its_size_is_known", "with_memory_reserved"])
def test_all_others_pass_an_item_that_stalls(has_reserved: bool) -> None:
    opened = threading.Event()

    def work(item: int, reserve: Callable[[int], None]) -> int:
        if item != 3:
            reserve(40)
            return item
        if has_reserved:
            reserve(1000)
        assert opened.wait(60)
        if not has_reserved:
            reserve(1000)
        return item

    budget = MemoryBudget(100)
    seen: list[int | None] = []
    with reading(budget, patience=Patience(passing_s=0.0)) as pool:
        for fetched in prefetch(work, range(100), pool, budget):
            seen.append(None if fetched is None else fetched[0])
            if seen[-1] is None and len(set(seen)) == 100:  # the others, and None: nothing is left but the stalled one
                opened.set()
    assert sorted(item for item in seen if item is not None) == list(range(100))
    assert [item for item in seen if item is not None][-1] == 3


def test_items_that_are_late_reserve_one_after_the_other_and_never_wait_for_each_other() -> None:
    """Six of eight stall before they reserve memory; each needs more than the whole budget."""
    opened = threading.Event()
    lock = threading.Lock()
    held: dict[int, int] = {}
    most = 0

    def work(item: int, reserve: Callable[[int], None]) -> int:
        nonlocal most
        if item < 6:
            assert opened.wait(60)
        reserve(1000)
        with lock:
            held[item] = 1000
            most = max(most, sum(held.values()))
        return item

    budget = MemoryBudget(100)
    seen = []
    with reading(budget, patience=AT_ONCE) as pool:
        for fetched in prefetch(work, range(8), pool, budget):
            if fetched is None:
                opened.set()
                continue
            seen.append(fetched[0])
            with lock:
                del held[fetched[0]]
    assert sorted(seen) == list(range(8))
    assert most <= 2000  # one that was set aside, and the next one


def test_an_item_is_not_set_aside_if_those_set_aside_take_too_much_memory() -> None:
    budget = MemoryBudget(100)
    budget.reserve(0, 90)
    assert budget.set_aside(0)
    budget.reserve(1, 20)
    assert not budget.set_aside(1)
    budget.release(0)
    assert budget.set_aside(1)
    budget.reserve(2, 5000)  # the next one may always take what it needs
    assert not budget.set_aside(2)


def test_what_is_set_aside_leaves_the_budget_of_the_others_alone() -> None:
    budget = MemoryBudget(100)
    budget.reserve(0, 1000)
    assert budget.set_aside(0)
    for index in range(1, 11):
        budget.reserve(index, 10)  # would block forever
    assert budget.set_aside(1) is False
