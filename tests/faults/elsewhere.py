"""A second host for redirects to point to. It records what clients send, so tests can check that no key got there."""

from __future__ import annotations

import threading
from contextlib import suppress

from tests.faults.wire import bind, shut_down

HOST = "127.0.0.2"
ANSWER = b'HTTP/1.1 200 OK\r\nContent-Length: 17\r\nConnection: close\r\n\r\n{"success": true}'
PATIENCE_S = 2.0


class Elsewhere:
    """A host that listens at `url` and answers every request with success.

    `heard` has one entry per connection: the bytes received.
    """

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self._listener = bind(HOST, 0)
        self._listener.listen()
        self.url = f"http://{HOST}:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        shut_down(self._listener)
        self._thread.join()
        self._listener.close()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                connection.settimeout(PATIENCE_S)
                self.heard.append(b"")
                self.heard[-1] = connection.recv(1 << 16)
                connection.sendall(ANSWER)
