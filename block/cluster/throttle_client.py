"""The worker's side of the cluster-wide limit on requests."""

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
UNAVAILABLE_S = 60.0  # a coordinator that can't be reached may come back; Ray says when it is gone for good


class ThrottleClient:
    """Ask the coordinator before each request. All threads of the process `worker` share one client.

    While a request is open or waiting, a thread tells the coordinator that the worker is alive.
    """

    def __init__(self, coordinator: Any, worker: str) -> None:
        self._coordinator = coordinator
        # Unique: with the name of an earlier process, this one would release that one's requests.
        self._worker = f"{worker}, {secrets.token_hex(4)}"
        self._next = 0
        self._open: set[int] = set()
        self._lock = threading.Lock()
        self._is_renewing = False

    def enter(self, stop: threading.Event) -> int | None:
        """Wait until a request may be sent. Return a number to `leave` with, or None once `stop` is set.

        Raise RunEnded if the coordinator, and so the driver, is gone.
        """
        number = self._open_request()
        try:
            if self._wait_for_admission(number, stop):
                return number
        except BaseException:
            self._close_request(number)
            raise
        self.leave(number, FAILED)
        return None

    def leave(self, number: int, outcome: RequestOutcome, asked_s: float | None = None) -> None:
        """End the request. `asked_s` is the pause in seconds that the server asks for. Never raises."""
        self._close_request(number)
        # No need to wait for the answer: if something is wrong, the next `enter` finds out.
        with contextlib.suppress(Exception):
            self._coordinator.release.remote(self._worker, number, outcome, asked_s)

    def _wait_for_admission(self, number: int, stop: threading.Event) -> bool:
        """Return True once the request may be sent, False once `stop` is set."""
        import ray

        answered = time.monotonic()
        answer: Any = None
        while not stop.is_set():
            if answer is None:
                answer = self._coordinator.acquire.remote(self._worker, number)
            try:
                if ray.get(answer, timeout=LISTEN_EVERY_S):
                    return True
            except ray.exceptions.GetTimeoutError:
                continue
            except ray.exceptions.ActorUnavailableError:
                if time.monotonic() - answered > UNAVAILABLE_S:
                    raise RunEnded("the process that started this run can't be reached") from None
                stop.wait(1.0)
            except ray.exceptions.RayError as error:
                raise RunEnded(f"the process that started this run is gone ({type(error).__name__})") from None
            else:
                answered = time.monotonic()
            answer = None
        return False

    def _open_request(self) -> int:
        with self._lock:
            number = self._next
            self._next += 1
            self._open.add(number)
            if not self._is_renewing:
                self._is_renewing = True
                threading.Thread(target=self._renew, name="renew", daemon=True).start()
        return number

    def _close_request(self, number: int) -> None:
        with self._lock:
            self._open.discard(number)

    def _renew(self) -> None:
        """Regularly tell the coordinator that this worker is alive and which requests it has, until there are none.

        Otherwise, a `release` that got lost would occupy a place for as long as the worker lives.
        """
        while True:
            time.sleep(RENEW_EVERY_S)
            with self._lock:
                numbers, before = sorted(self._open), self._next
                if not numbers:
                    self._is_renewing = False
                    return
            with contextlib.suppress(Exception):
                self._coordinator.renew.remote(self._worker, numbers, before)
