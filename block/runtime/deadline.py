"""Deadlines for network calls, kept by the clock no matter how a server spreads out its bytes.

The timeout of a socket starts over with every byte that arrives, so a server that sends a byte a minute can hold a call
for ever. When a deadline passes, one background thread shuts down the sockets that the call uses. Whatever waits for
them then gets an error or the end of the data.
"""

from __future__ import annotations

import math
import os
import socket
import threading
import time
from contextlib import suppress


class DeadlinePassed(TimeoutError):
    """The work took too long. `seconds` is how long it was given, renewals included."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"not done within {seconds:.0f} s")
        self.seconds = seconds


class Deadline:
    """Limit the time of a `with` block, which registers the sockets that it uses by calling `watch`.

    The block has `seconds` seconds, measured by the monotonic clock. If it isn't over by then, its sockets are shut
    down, and its end raises DeadlinePassed instead of other errors. It does so even if the block ended normally: data
    that ends with its connection looks complete after a shutdown. `has_passed` tells this earlier.
    """

    def __init__(self, seconds: float) -> None:
        self.has_passed = False
        self._start = time.monotonic()
        self._ends_at = self._start + seconds
        self._duplicates: list[socket.socket] = []
        self._outer: Deadline | None = None

    def __enter__(self) -> Deadline:
        self._outer, _current.deadline = _current.deadline, self
        _watcher.add(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        _current.deadline = self._outer
        _watcher.remove(self)
        for one in self._duplicates:
            one.close()
        is_replaceable = error is None or (isinstance(error, Exception) and not isinstance(error, MemoryError))
        if self.has_passed and is_replaceable:
            raise DeadlinePassed(self._ends_at - self._start) from None

    def renew(self, seconds: float) -> None:
        """Give the block `seconds` seconds from now, unless the deadline has passed."""
        with _watcher.changed:
            if not self.has_passed:
                self._ends_at = time.monotonic() + seconds
                _watcher.wake_by(self._ends_at)

    def _add(self, used: socket.socket) -> None:
        # TLS takes the descriptor away from the socket that it wraps, so keep a duplicate. Shutting down a duplicate
        # shuts down the connection.
        duplicate = socket.socket(fileno=os.dup(used.fileno()))
        with _watcher.changed:
            self._duplicates.append(duplicate)
            if self.has_passed:
                _shut_down(duplicate)

    def _check(self, now: float) -> float:
        """Shut the sockets down if the deadline has passed. Return when to check again, in monotonic time."""
        if now < self._ends_at:
            return self._ends_at
        self.has_passed = True
        for one in self._duplicates:
            _shut_down(one)
        return math.inf


def watch(used: socket.socket) -> None:
    """Shut the socket `used` down when the deadline of this thread passes. Do nothing if it has none."""
    if _current.deadline is not None:
        _current.deadline._add(used)


class _Current(threading.local):
    """The innermost deadline of the current thread."""

    deadline: Deadline | None = None


class _Watcher:
    """A background thread that checks all deadlines. `changed` guards them."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self._deadlines: set[Deadline] = set()
        self._thread: threading.Thread | None = None
        self._wakes_at = math.inf

    def add(self, deadline: Deadline) -> None:
        with self.changed:
            self._deadlines.add(deadline)
            # Not alive: in a process that was forked from one with a watcher.
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="deadlines", daemon=True)
                self._thread.start()
            self.wake_by(deadline._ends_at)

    def wake_by(self, moment: float) -> None:
        """Check the deadlines at `moment`, in monotonic time, if not earlier. The caller holds `changed`."""
        if moment < self._wakes_at:
            self._wakes_at = moment
            self.changed.notify()

    def remove(self, deadline: Deadline) -> None:
        """Forget `deadline`. From then on, it doesn't pass, and its sockets aren't shut down."""
        with self.changed:
            self._deadlines.discard(deadline)

    def _run(self) -> None:
        with self.changed:
            while True:
                now = time.monotonic()
                self._wakes_at = min((one._check(now) for one in self._deadlines), default=math.inf)
                self.changed.wait(None if self._wakes_at == math.inf else self._wakes_at - now)


def _shut_down(one: socket.socket) -> None:
    with suppress(OSError):  # the server may have closed the connection
        one.shutdown(socket.SHUT_RDWR)


_current = _Current()
_watcher = _Watcher()
