"""Who is asked before each request, where more than one process talks to the same server."""

from __future__ import annotations

import threading
from typing import Literal, Protocol

# How a try ended: with an answer, whatever it says; with a plea to slow down; or with neither.
RequestOutcome = Literal["good", "slowed", "failed"]
GOOD: RequestOutcome = "good"
SLOWED: RequestOutcome = "slowed"
FAILED: RequestOutcome = "failed"


class RateLimit(Protocol):
    """Lets requests through, as many at once as the server bears. May be used from several threads."""

    def enter(self, stop: threading.Event) -> int | None:
        """Wait until a request may be sent; a number to `leave` with. None once `stop` is set. Raises RunEnded."""
        ...

    def leave(self, number: int, outcome: RequestOutcome, asked_s: float | None = None) -> None:
        """The request is over, its answer read. `asked_s` is for how many seconds the server wants to be left alone,
        where it was `slowed` and the server named them. Does not raise."""
        ...
