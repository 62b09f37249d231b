"""Cancel a command with SIGTERM, SIGINT or SIGHUP: the first ends it cleanly, a second SIGTERM or SIGINT immediately.

The first signal raises KeyboardInterrupt in the main thread, except inside `defer`, whose block finishes first. A
process still running `EXIT_WITHIN_S` later exits; a second signal doesn't wait for that. Files and calls are written
whole or not at all, so an exit at any moment loses no more than the current ones.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from typing import Any, TypeVar

CANCELED = 130
EXIT_WITHIN_S = 4.8  # the promise is 5 s
LISTEN_EVERY_S = 0.2
Result = TypeVar("Result")


class _SignalState:
    """Whether this process got a signal, and how many `defer` blocks its main thread is in."""

    has_come = False
    deferring = 0


def install() -> None:
    """Handle SIGTERM, SIGINT and, unless it is ignored as under nohup, SIGHUP. Call this in the main thread."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _handle)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _hang_up)


def reinstall() -> None:
    """Restore Python's signal handlers after native code has replaced them. Call this in the main thread."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.getsignal(number))


def wait_for(future: Future[Result], within_s: float = math.inf) -> Future[Result]:
    """Return `future` once it is done, or after `within_s` seconds. In the main thread, a signal interrupts this.

    This polls, because a signal delivered to another thread doesn't wake the main one, which runs the handlers.
    """
    deadline = time.monotonic() + within_s
    while not wait([future], timeout=LISTEN_EVERY_S).done and time.monotonic() < deadline:
        pass
    return future


def start_thread(work: Callable[[], Result], until: threading.Event | None = None) -> Future[Result]:
    """Run `work` in a daemon thread, which lives until `until` is set.

    Linux considers a thread the parent of the processes that it starts, so these may end with the thread of `work`.
    """
    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)
        if until is not None:
            until.wait()

    threading.Thread(target=run, daemon=True).start()
    return future


@contextmanager
def defer() -> Iterator[None]:
    """Don't let the first signal interrupt this block, such as the last output of a run that is over."""
    _SignalState.deferring += 1
    try:
        yield
    finally:
        _SignalState.deferring -= 1


def _handle(signal_number: int, frame: Any) -> None:
    if _SignalState.has_come:
        _exit("canceled again: stopped immediately")
    _SignalState.has_come = True
    # No one is impatient: SIGHUP comes from the shell and again from the kernel, and systemd can add it to SIGTERM.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # The main thread may be in a long call that can't be interrupted.
    timer = threading.Timer(EXIT_WITHIN_S, _exit, ["canceled: stopped without waiting any longer"])
    timer.daemon = True
    timer.start()
    if not _SignalState.deferring:
        raise KeyboardInterrupt


def _hang_up(signal_number: int, frame: Any) -> None:
    """Do what SIGTERM does, whose handler may be a server's."""
    signal.raise_signal(signal.SIGTERM)


def _exit(message: str) -> None:
    # Not with print: another thread may hold the stream's lock.
    with contextlib.suppress(OSError):
        os.write(sys.__stderr__.fileno() if sys.__stderr__ is not None else 2, f"{message}\n".encode())
    os._exit(CANCELED)
