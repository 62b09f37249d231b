"""Another host, which answers every client and records the connections."""

from __future__ import annotations

import threading
from contextlib import suppress

from tests.faults.wire import bound, shut

HOST = "127.0.0.2"
ANSWER = b'HTTP/1.1 200 OK\r\nContent-Length: 17\r\nConnection: close\r\n\r\n{"success": true}'
PATIENCE_S = 2.0


class Elsewhere:
    """The host at `url`. `heard` has the bytes it received, an entry for each connection."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self._listener = bound(HOST, 0)
        self._listener.listen()
        self.url = f"http://{HOST}:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Listen no longer."""
        shut(self._listener)
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
