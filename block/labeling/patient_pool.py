"""Call functions in threads and take the results in order, without letting one that stalls hold up the others."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import islice
from typing import Generic, TypeVar

from block.runtime.cancel import LISTEN_EVERY_S

Key = TypeVar("Key")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Patience:
    """How long to wait for the next result before setting it aside, so that later ones can pass.

    `passing_s` is the limit in seconds while a later result is ready, and `alone_s` while none is: then, more likely,
    all of them are slow. At most `most_aside` calls are set aside at once.
    """

    passing_s: float = 2.0
    alone_s: float = 30.0
    most_aside: int = 16


PATIENT = Patience()
STRICT = Patience(math.inf, math.inf)  # sets nothing aside, so results always come in order


@dataclass(eq=False)
class Task(Generic[Key, Result]):
    """A call with the caller's `key`, and its result. `done_at` is the time on the pool's clock, once it's done."""

    key: Key
    function: Callable[[], Result]
    future: Future[Result] = field(default_factory=Future)
    done_at: float = math.inf
    is_aside: bool = False


class PatientPool(Generic[Key, Result]):
    """Threads that call functions. One thread submits them and takes the results; `len` is the number still in line.

    Results come in the order of submission. A call that takes too long (see `Patience`) is set aside if `may_set_aside`
    returns True for its key: it leaves the line, its result comes once it's done, and a new thread takes the place of
    the one that it keeps busy, so that `threads` threads always work on the others. `clock` is in seconds.
    """

    def __init__(
        self,
        threads: int,
        name: str,
        patience: Patience = PATIENT,
        may_set_aside: Callable[[Key], bool] = lambda key: True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit, self._name, self._patience = threads, name, patience
        self._may_set_aside, self._clock = may_set_aside, clock
        self._line: deque[Task[Key, Result]] = deque()
        self._aside: list[Task[Key, Result]] = []
        self._waiting_since: float | None = None  # for the first in line
        self._queue: queue.SimpleQueue[Task[Key, Result] | None] = queue.SimpleQueue()
        self._threads = 0
        self._is_closed = False
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._line)

    @property
    def is_empty(self) -> bool:
        """Return True if there is no result to wait for, in line or set aside."""
        return not self._line and not self._aside

    @property
    def is_held_up(self) -> bool:
        """Return True if every result that could come next is late, so that the next one may take long."""
        with self._changed:
            return self._is_late() if self._line else bool(self._aside)

    def submit(self, key: Key, function: Callable[[], Result]) -> None:
        """Call `function` as soon as a thread is free."""
        task = Task(key, function)
        with self._changed:
            self._line.append(task)
            self._queue.put(task)
            if self._threads < self._limit:
                self._start_thread()

    def take(self, wait: bool = True) -> Task[Key, Result] | None:
        """Return the next completed call. With `wait`, wait for it up to `LISTEN_EVERY_S` seconds; None if none came.

        Waiting is that short because a signal delivered to another thread doesn't wake the main one.
        """
        with self._changed:
            task = self._take_completed()
            if task is None and wait:
                self._changed.wait(LISTEN_EVERY_S)
                task = self._take_completed()
            return task

    def take_all(self) -> list[Task[Key, Result]]:
        """Return all calls, completed or not: those set aside, then the others in order."""
        with self._changed:
            tasks = [*self._aside, *self._line]
            self._aside.clear()
            self._line.clear()
        return tasks

    def close(self) -> None:
        """Cancel the calls that haven't started. The threads end with their current calls."""
        with self._changed:
            self._is_closed = True
            for _ in range(self._threads):
                self._queue.put(None)

    def _take_completed(self) -> Task[Key, Result] | None:
        for task in self._aside:
            if task.future.done():
                self._aside.remove(task)
                return task
        while self._line:
            if self._line[0].future.done():
                self._waiting_since = None
                return self._line.popleft()
            if not self._is_late() or not self._set_aside(self._line[0]):
                break
        return None

    def _is_late(self) -> bool:
        """Return True if patience with the first in line is over. It starts when this is first asked."""
        now = self._clock()
        since = self._waiting_since = now if self._waiting_since is None else self._waiting_since
        ready_at = min((task.done_at for task in islice(self._line, 1, None)), default=math.inf)
        return now >= min(max(since, ready_at) + self._patience.passing_s, since + self._patience.alone_s)

    def _set_aside(self, task: Task[Key, Result]) -> bool:
        if len(self._aside) >= self._patience.most_aside or not self._may_set_aside(task.key):
            return False
        self._aside.append(self._line.popleft())
        self._waiting_since = None
        task.is_aside = True
        self._start_thread()
        return True

    def _start_thread(self) -> None:
        self._threads += 1
        threading.Thread(target=self._work, name=self._name).start()

    def _work(self) -> None:
        # No local variable may keep a task alive, and its result with it, while this waits for the next one.
        while self._call(self._queue.get()):
            pass

    def _call(self, task: Task[Key, Result] | None) -> bool:
        """Call the function of `task`. Return False if the thread has to end."""
        if task is None:
            return False
        if self._is_closed:
            return task.future.cancel()
        try:
            task.future.set_result(task.function())
        except BaseException as error:
            task.future.set_exception(error)
        with self._changed:
            task.done_at = self._clock()
            is_needed = not task.is_aside  # otherwise, another thread has taken the place of this one
            self._threads -= task.is_aside
            self._changed.notify_all()
        del task  # the traceback of an error keeps this frame, which must not keep the error
        return is_needed
