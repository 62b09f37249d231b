"""How often a call is tried, and how long to wait in between."""

from __future__ import annotations

import email.utils
import random
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class RetryPolicy:
    """How often a call is tried, and the seconds waited before each further try.

    The wait doubles from `first_wait_s` up to `longest_wait_s`, less up to half of it by chance, so that clients
    do not come back in step. A `Retry-After` of up to `longest_asked_wait_s` is honoured; for
    a longer one nobody waits.
    """

    tries: int = 5
    first_wait_s: float = 1.0
    longest_wait_s: float = 30.0
    longest_asked_wait_s: float = 300.0

    def wait_s(self, tried: int, retry_after: str | None) -> float | None:
        """Seconds to wait after try number `tried`, from 1; None if the server asks for more than is waited."""
        wait = min(self.first_wait_s * 2.0 ** (tried - 1), self.longest_wait_s) * random.uniform(0.5, 1.0)
        asked = _retry_after_s(retry_after)
        if asked is None:
            return wait
        # Never less than the client's own wait: a server whose clock is behind names moments that have passed.
        return max(asked, wait) if asked <= self.longest_asked_wait_s else None


def _retry_after_s(header: str | None) -> float | None:
    """Seconds to wait by a `Retry-After` header, which is a number of seconds or an HTTP date (RFC 9110, 10.2.3)."""
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(header).timestamp() - time.time())
    except (TypeError, ValueError):
        return None
