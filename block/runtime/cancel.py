"""How a command is cancelled: by SIGTERM or SIGINT, once to end it in order, twice to end it at once.

The first signal raises KeyboardInterrupt in the main thread, wherever that is, unless it is in a `deferred` part, which
is let finish. From then on `LEAVE_WITHIN_S` are left: what has not ended by itself is ended. A second signal does not
wait for that. Nothing is written but whole files and whole calls, so an end at any moment loses no more than these.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from typing import Any, TypeVar

CANCELLED = 130
LEAVE_WITHIN_S = 4.8  # 5 s are promised
LISTEN_EVERY_S = 0.2
Result = TypeVar("Result")


class _SignalState:
    """Of this process: has a signal come, and is the main thread in a part that is let finish?"""

    asked = False
    deferred = 0


def install() -> None:
    """Take SIGTERM and SIGINT, in the main thread. Parts of a program that take them later replace this."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _asked)


def reinstall() -> None:
    """Take the signals again that native code has taken since, in the main thread; handlers stay those of Python."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.getsignal(number))


def done(future: Future[Result]) -> Future[Result]:
    """Wait until `future` is done, in the main thread; a signal is heard within `LISTEN_EVERY_S`.

    The system may hand a signal to any thread, and then nothing wakes the main one, which alone runs handlers.
    """
    while not wait([future], timeout=LISTEN_EVERY_S).done:
        pass
    return future


@contextmanager
def deferred() -> Iterator[None]:
    """A first signal in here interrupts nothing: it would cut off the last words of a run that is over."""
    _SignalState.deferred += 1
    try:
        yield
    finally:
        _SignalState.deferred -= 1


def _asked(signal_number: int, frame: Any) -> None:
    if _SignalState.asked:
        _leave("cancelled again: ended at once")
    _SignalState.asked = True
    # The main thread may be in a call that takes long and cannot be interrupted.
    timer = threading.Timer(LEAVE_WITHIN_S, _leave, ["cancelled: ended without waiting any longer"])
    timer.daemon = True
    timer.start()
    if not _SignalState.deferred:
        raise KeyboardInterrupt


def _leave(word: str) -> None:
    # Not by print: whoever holds the stream's lock may be what does not end.
    with contextlib.suppress(OSError):
        os.write(sys.__stderr__.fileno() if sys.__stderr__ is not None else 2, f"{word}\n".encode())
    os._exit(CANCELLED)
