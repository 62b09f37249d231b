from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable

import pytest

from block.labeling.patient_pool import STRICT, Patience, PatientPool, Task

AT_ONCE = Patience(passing_s=0.0)  # sets a call aside as soon as a later one is ready


class Clock:
    """A clock that stands still until `now` is changed."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def take(pool: PatientPool[int, int]) -> Task[int, int]:
    """Return the next completed call, however long it takes."""
    while (task := pool.take()) is None:
        pass
    return task


def wait_until_done(pool: PatientPool[int, int], tasks: int) -> None:
    """Wait until `tasks` calls have completed. Take none of them."""
    while sum(task.done_at < float("inf") for task in pool._line) < tasks:
        threading.Event().wait(0.001)


@pytest.fixture
def opened() -> threading.Event:
    """An event that calls wait for."""
    return threading.Event()


def blocked(opened: threading.Event, result: int) -> Callable[[], int]:
    def call() -> int:
        assert opened.wait(60)
        return result

    return call


def test_results_come_in_the_order_of_submission() -> None:
    pool: PatientPool[int, int] = PatientPool(3, "test", STRICT)
    for key in range(50):
        pool.submit(key, lambda key=key: key * key)  # type: ignore[misc]
    assert [(task.key, task.future.result()) for task in (take(pool) for _ in range(50))] == [
        (key, key * key) for key in range(50)
    ]
    assert pool.is_empty
    pool.close()


def test_a_call_that_stalls_lets_later_ones_pass_and_comes_once_it_is_done(opened: threading.Event) -> None:
    pool: PatientPool[int, int] = PatientPool(2, "test", AT_ONCE)
    pool.submit(0, blocked(opened, 0))
    for key in range(1, 20):
        pool.submit(key, lambda: 0)
    assert [take(pool).key for _ in range(19)] == list(range(1, 20))
    assert (len(pool), pool.is_empty, pool.is_held_up) == (0, False, True)
    assert pool.take(wait=False) is None
    opened.set()
    assert take(pool).key == 0
    assert (pool.is_empty, pool.is_held_up) == (True, False)
    pool.close()


def test_as_many_threads_as_before_work_around_stalled_calls_but_no_more(opened: threading.Event) -> None:
    """Two calls of a pool of two stall; two others that only end together still do."""
    clock = Clock()
    pool: PatientPool[int, int] = PatientPool(2, "test", Patience(passing_s=1.0, alone_s=1.0), clock=clock)
    together = threading.Barrier(2)
    at_work, most, lock = 0, 0, threading.Lock()

    def meet() -> int:
        nonlocal at_work, most
        with lock:
            at_work += 1
            most = max(most, at_work)
        together.wait(60)
        with lock:
            at_work -= 1
        together.wait(60)
        return 0

    for key in range(2):
        pool.submit(key, blocked(opened, 0))
    for key in range(2, 12):
        pool.submit(key, meet)
    taken = [pool.take(wait=False)]  # None: both threads are stalled
    while len(pool) + len(taken) > 11:  # until those two are set aside; the clock stands still for the others
        clock.now += 1.0
        taken.append(pool.take(wait=False))
        taken = [None, *(task for task in taken if task)]
    found = [task.key for task in taken if task]
    assert [*found, *(take(pool).key for _ in range(10 - len(found)))] == list(range(2, 12))
    opened.set()
    assert sorted(take(pool).key for _ in range(2)) == [0, 1]
    # The threads of stalled calls have ended, or the pool would grow with each of them.
    for key in range(12, 32):
        pool.submit(key, meet)
    assert [take(pool).key for _ in range(20)] == list(range(12, 32))
    assert most == 2
    pool.close()


def test_the_thread_of_a_call_that_was_set_aside_no_longer_counts_once_it_is_done(opened: threading.Event) -> None:
    pool: PatientPool[int, int] = PatientPool(2, "test", Patience(0.0, 0.0), may_set_aside=lambda key: key == 0)
    together, workers = threading.Barrier(2), []

    def stall() -> int:
        workers.append(threading.current_thread())
        assert opened.wait(60)
        return 0

    pool.submit(0, stall)
    assert pool.take(wait=False) is None
    assert len(pool) == 0  # it's set aside
    opened.set()
    assert take(pool).key == 0
    workers[0].join(60)
    # One thread has taken its place. Calls that only end together need a second one.
    for key in (1, 2):
        pool.submit(key, lambda: together.wait(60))
    assert sorted(take(pool).future.result() for _ in range(2)) == [0, 1]
    pool.close()


def test_patience_starts_when_a_later_result_is_ready_and_the_caller_wants_the_first(opened: threading.Event) -> None:
    clock = Clock()
    pool: PatientPool[int, int] = PatientPool(2, "test", Patience(2.0, 30.0), clock=clock)
    pool.submit(0, blocked(opened, 0))
    clock.now = 10.0
    pool.submit(1, lambda: 1)
    wait_until_done(pool, 1)
    clock.now = 15.0
    assert pool.take(wait=False) is None  # the caller wants the first one from now on
    clock.now = 16.9
    assert (pool.take(wait=False), pool.is_held_up) == (None, False)
    clock.now = 17.0
    assert take(pool).key == 1
    opened.set()
    assert take(pool).key == 0
    pool.close()


def test_without_a_later_result_patience_is_longer(opened: threading.Event) -> None:
    clock = Clock()
    pool: PatientPool[int, int] = PatientPool(1, "test", Patience(2.0, 30.0), clock=clock)
    pool.submit(0, blocked(opened, 0))
    pool.submit(1, lambda: 1)  # no thread is free for it
    assert pool.take(wait=False) is None
    clock.now = 29.9
    assert (pool.take(wait=False), len(pool)) == (None, 2)
    clock.now = 30.0
    assert take(pool).key == 1
    opened.set()
    assert take(pool).key == 0
    pool.close()


def test_no_more_calls_are_set_aside_than_allowed(opened: threading.Event) -> None:
    pool: PatientPool[int, int] = PatientPool(5, "test", Patience(0.0, 0.0, most_aside=2))
    for key in range(4):
        pool.submit(key, blocked(opened, 0))
    pool.submit(4, lambda: 0)
    wait_until_done(pool, 1)
    assert pool.take() is None
    assert (len(pool), pool.is_held_up) == (3, True)  # 2, 3 and 4, which is done
    opened.set()
    assert sorted(take(pool).key for _ in range(5)) == [0, 1, 2, 3, 4]
    pool.close()


def test_a_call_that_may_not_be_set_aside_keeps_its_place(opened: threading.Event) -> None:
    asked = []

    def refuse(key: int) -> bool:
        asked.append(key)
        return False

    pool: PatientPool[int, int] = PatientPool(2, "test", AT_ONCE, refuse)
    pool.submit(7, blocked(opened, 0))
    pool.submit(8, lambda: 0)
    wait_until_done(pool, 1)
    assert pool.take() is None
    assert set(asked) == {7}
    opened.set()
    assert [take(pool).key, take(pool).key] == [7, 8]
    pool.close()


def test_an_error_comes_as_the_result_of_its_call() -> None:
    pool: PatientPool[int, int] = PatientPool(1, "test", STRICT)
    pool.submit(0, lambda: 1 // 0)
    pool.submit(1, lambda: 1)
    assert isinstance(take(pool).future.exception(), ZeroDivisionError)
    assert take(pool).future.result() == 1
    pool.close()


def test_closing_cancels_what_has_not_started_and_ends_the_threads(opened: threading.Event) -> None:
    before = set(threading.enumerate())
    pool: PatientPool[int, int] = PatientPool(2, "test", AT_ONCE)
    for key in range(2):
        pool.submit(key, blocked(opened, 0))
    for key in range(2, 6):
        pool.submit(key, lambda: 0)
    pool.close()
    tasks = pool.take_all()
    opened.set()
    for thread in set(threading.enumerate()) - before:
        thread.join(60)
        assert not thread.is_alive()
    assert [task.key for task in tasks] == list(range(6))
    assert [task.future.running() or task.done_at < float("inf") for task in tasks] == [True] * 2 + [False] * 4


@pytest.mark.parametrize("fails", [False, True], ids=["result", "error"])
def test_a_waiting_thread_keeps_no_result_alive(fails: bool) -> None:
    class Big(Exception):
        pass

    def call() -> Big:
        if fails:
            raise Big
        return Big()

    pool: PatientPool[int, Big] = PatientPool(1, "test", STRICT)
    pool.submit(0, call)
    while (task := pool.take()) is None:
        pass
    gone = weakref.ref(task.future.exception() or task.future.result())
    gc.disable()
    try:
        del task
        # The thread has ended its call once it takes the next one.
        pool.submit(1, Big)
        while pool.take() is None:
            pass
        assert gone() is None
    finally:
        gc.enable()
    pool.close()
