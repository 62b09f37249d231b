"""How long a client waits after a wrong key, whether it came with the form of the login or with a call of the API."""

from __future__ import annotations

import hmac
import threading
import time
from collections.abc import Callable

from block.formatting import count
from block.local_studio.data.validation import RequestError

FREE = 2  # wrong keys, which may be slips
LONGEST_WAIT_S = 64
MOST_CLIENTS = 1000  # of which wrong keys are remembered


class LoginWaits:
    """How long each client waits, by its address: 1 s from the third wrong key on, doubled each time, up to 64 s."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._clients: dict[str, tuple[int, float]] = {}  # the number of wrong keys, and the end of the wait
        self._lock = threading.RLock()

    def is_right(self, client: str, given: str, key: str) -> bool:
        """Return True if `given` is `key`; note it if not. Raise RequestError (429) while the client must wait.

        That holds for the right key too: who tries keys learns nothing while waiting. Tries at the same time are
        looked at one after the other.
        """
        with self._lock:
            self.check(client)
            if hmac.compare_digest(given.encode(), key.encode()):
                return True
            self.note_wrong(client)
            return False

    def check(self, client: str) -> None:
        """Raise RequestError (429) while the client must wait."""
        _, until_s = self._clients.get(client, (0, 0.0))
        if (left_s := until_s - self._clock()) > 0:
            raise RequestError(f"Too many wrong keys: try again in {count(int(left_s) + 1, 'second')}.", 429)

    def note_wrong(self, client: str) -> None:
        """Make the client wait, longer than last time."""
        number, _ = self._clients.pop(client, (0, 0.0))
        wait_s = min(LONGEST_WAIT_S, 2 ** min(number - FREE, 10)) if number >= FREE else 0
        self._clients[client] = number + 1, self._clock() + wait_s
        if len(self._clients) > MOST_CLIENTS:
            del self._clients[next(iter(self._clients))]
