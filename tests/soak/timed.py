"""`python -m tests.soak.timed …`: the block with the stub model; how long each call took goes into $SOAK_CALLS.

A line a call: when it ended and how long it took, in seconds, then its method and path. A call is all that the
block waits for it, tries and body included.
"""

from __future__ import annotations

import os
import time
from typing import Any

from block.edge_impulse.client import StudioClient
from tests.stub import action


def main() -> None:
    """Run the AI Action with its calls timed."""
    # Unbuffered: a process that ends by os._exit flushes nothing.
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
