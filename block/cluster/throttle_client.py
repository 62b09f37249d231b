"""The worker's side of the limit on requests that holds for a whole cluster."""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from typing import Any

from block.edge_impulse.retries import FAILED, RequestOutcome
from block.recording import RunEnded

RENEW_EVERY_S = 10.0
LISTEN_EVERY_S = 0.1
UNAVAILABLE_S = 60.0  # a coordinator that cannot be reached may be back; Ray itself says when it is gone


class ThrottleClient:
    """Asks the coordinator behind `handle` before each request. One for a worker's process, for all of its threads.

    `worker` is its name. As long as a request is under way or waits, a thread tells the coordinator that the worker
    lives.
    """

    def __init__(self, handle: Any, worker: str) -> None:
        self._handle = handle
        # A name that was another process's before would answer for what that one held.
        self._worker = f"{worker}, {secrets.token_hex(4)}"
        self._next = 0
        self._open: set[int] = set()
        self._lock = threading.Lock()
        self._renewing = False

    def enter(self, stop: threading.Event) -> int | None:
        """Wait until a request may be sent; a number to `leave` with. None once `stop` is set.

        Raises RunEnded if the coordinator is gone, and the driver with it.
        """
        number = self._taken()
        try:
            if self._may_send(number, stop):
                return number
        except BaseException:
            self._drop(number)
            raise
        self.leave(number, FAILED)
        return None

    def leave(self, number: int, outcome: RequestOutcome, asked_s: float | None = None) -> None:
        """The request is over. `asked_s` is for how many seconds the server wants to be left alone. Does not raise."""
        self._drop(number)
        # Nobody waits for the answer: what goes wrong here, `enter` finds out.
        with contextlib.suppress(Exception):
            self._handle.give_back.remote(self._worker, number, outcome, asked_s)

    def _may_send(self, number: int, stop: threading.Event) -> bool:
        """Wait for leave to send; False once `stop` is set."""
        import ray

        reachable = time.monotonic()
        asked: Any = None
        while not stop.is_set():
            if asked is None:
                asked = self._handle.ask.remote(self._worker, number)
            try:
                answer = ray.get(asked, timeout=LISTEN_EVERY_S)
            except ray.exceptions.GetTimeoutError:
                continue
            except ray.exceptions.ActorUnavailableError:
                if time.monotonic() - reachable > UNAVAILABLE_S:
                    raise RunEnded("the process that started this run cannot be reached") from None
                stop.wait(1.0)
                asked = None
                continue
            except ray.exceptions.RayError as error:
                raise RunEnded(f"the process that started this run is gone ({type(error).__name__})") from None
            if answer:
                return True
            reachable, asked = time.monotonic(), None
        return False

    def _taken(self) -> int:
        """The number of a new request."""
        with self._lock:
            number = self._next
            self._next += 1
            self._open.add(number)
            if not self._renewing:
                self._renewing = True
                threading.Thread(target=self._renew, name="renew", daemon=True).start()
        return number

    def _drop(self, number: int) -> None:
        with self._lock:
            self._open.discard(number)

    def _renew(self) -> None:
        """Tell the coordinator every so often that this worker lives, until nothing is under way any more.

        It is told by what, too: a `give_back` that was lost on the way would hold a place for as long as we live.
        """
        while True:
            time.sleep(RENEW_EVERY_S)
            with self._lock:
                numbers, before = sorted(self._open), self._next
                if not numbers:
                    self._renewing = False
                    return
            with contextlib.suppress(Exception):
                self._handle.renew.remote(self._worker, numbers, before)
