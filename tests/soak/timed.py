"""`python -m tests.soak.timed …`: run the block with the stub model and write the times of its calls to $SOAK_CALLS.

One line per call: its end and duration in seconds, its method and its path. The duration includes all tries and the
body.
"""

from __future__ import annotations

import os
import time
from typing import Any

from block.edge_impulse.client import StudioClient
from tests.stub import action


def main() -> None:
    """Run the AI Action and time its calls."""
    # Unbuffered, because os._exit doesn't flush.
    file = os.open(os.environ["SOAK_CALLS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    send = StudioClient._request

    def timed(self: StudioClient, call: Any, parse: Any) -> Any:
        began = time.monotonic()
        try:
            return send(self, call, parse)
        finally:
            ended = time.monotonic()
            os.write(file, f"{ended:.6f} {ended - began:.6f} {call}\n".encode())

    StudioClient._request = timed  # type: ignore[method-assign]
    action.main()


if __name__ == "__main__":
    main()
