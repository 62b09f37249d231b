"""Cancel a command by SIGTERM or SIGINT: once to end it in order, twice to end it at once.

The first signal raises KeyboardInterrupt in the main thread, wherever that is, unless it is in a `defer` part, which
finishes. A process that has not ended `EXIT_WITHIN_S` later exits; a second signal does not wait for that. Only whole
files and whole calls are written, so an end at any moment loses no more than these.
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
EXIT_WITHIN_S = 4.8  # 5 s are promised
LISTEN_EVERY_S = 0.2
Result = TypeVar("Result")


class _SignalState:
    """Of this process: has a signal come, and how many `defer` parts is the main thread in?"""

    has_come = False
    deferring = 0


def install() -> None:
    """Handle SIGTERM and SIGINT. To be called in the main thread."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _handle)


def reinstall() -> None:
    """Take back from native code the signals that Python has handlers for. To be called in the main thread."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.getsignal(number))


def wait_for(future: Future[Result], within_s: float = math.inf) -> Future[Result]:
    """Return `future` once it is done, or after `within_s` seconds. In the main thread, a signal interrupts this.

    The system may hand a signal to any thread, and then nothing wakes the main one, which alone runs handlers.
    """
    deadline = time.monotonic() + within_s
    while not wait([future], timeout=LISTEN_EVERY_S).done and time.monotonic() < deadline:
        pass
    return future


def start_thread(work: Callable[[], Result], until: threading.Event | None = None) -> Future[Result]:
    """Run `work` in a thread that does not keep the process from ending, and that lives on until `until` is set.

    Processes that `work` starts may end with its thread, which Linux considers their parent.
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
    """Let a first signal interrupt nothing in here: it would cut off the last words of a run that is over."""
    _SignalState.deferring += 1
    try:
        yield
    finally:
        _SignalState.deferring -= 1


def _handle(signal_number: int, frame: Any) -> None:
    if _SignalState.has_come:
        _exit("canceled again: ended at once")
    _SignalState.has_come = True
    # The main thread may be in a call that takes long and cannot be interrupted.
    timer = threading.Timer(EXIT_WITHIN_S, _exit, ["canceled: ended without waiting any longer"])
    timer.daemon = True
    timer.start()
    if not _SignalState.deferring:
        raise KeyboardInterrupt


def _exit(word: str) -> None:
    # Not by print: the thread that does not end may hold the stream's lock.
    with contextlib.suppress(OSError):
        os.write(sys.__stderr__.fileno() if sys.__stderr__ is not None else 2, f"{word}\n".encode())
    os._exit(CANCELED)
