"""When to send a request: how often to try a call, how long to wait, and how many requests may run at once."""

from __future__ import annotations

import email.utils
import random
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

# How a try ended: with an answer, with a request to slow down, or with neither.
RequestOutcome = Literal["good", "slowed", "failed"]
GOOD: RequestOutcome = "good"
SLOWED: RequestOutcome = "slowed"
FAILED: RequestOutcome = "failed"


class RateLimit(Protocol):
    """Limits the requests of several processes to one server. Thread-safe."""

    def enter(self, stop: threading.Event) -> int | None:
        """Wait until a request may be sent. Return a number to `leave` with, or None once `stop` is set.

        Raise RunEnded if waiting is pointless.
        """
        ...

    def leave(self, number: int, outcome: RequestOutcome, asked_s: float | None = None) -> None:
        """End the request after its answer was read. Never raise.

        `asked_s` is the pause in seconds that the server asked for, if the outcome is `slowed` and it named one.
        """
        ...


@dataclass(frozen=True)
class Timeouts:
    """Seconds to wait for a connection, and for an answer.

    A body may take longer than `read_s` if at least `stall_bytes` of it arrive every `read_s` seconds. The deadline of
    a try is `try_s` after its start, and again after its headers and every `stall_bytes`.
    """

    connect_s: float = 10.0
    read_s: float = 60.0
    stall_bytes: int = 1 << 16

    @property
    def try_s(self) -> float:
        return self.connect_s + self.read_s


@dataclass(frozen=True)
class RetryPolicy:
    """How often to try a call, and how many seconds to wait before each retry.

    The wait doubles from `first_wait_s` up to `longest_wait_s`. Up to half of it is taken off at random, so that
    clients don't retry in step. A `Retry-After` of up to `longest_asked_wait_s` is honored; a longer one ends the call.
    A server that has answered before and becomes unreachable is retried for `outage_s` seconds, however many tries.
    """

    tries: int = 5
    first_wait_s: float = 1.0
    longest_wait_s: float = 30.0
    longest_asked_wait_s: float = 300.0
    outage_s: float = 600.0


class RetryBudget:
    """Counts the failed tries of one call against `policy`."""

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._tries = self._outage_tries = 0
        self._outage_start = 0.0

    def spend(self, is_outage: bool) -> str:
        """Count a failed try. Return a description of the tries if the budget is spent, else an empty string.

        In an outage, a server that answered before is unreachable. Such tries are limited only by time.
        """
        if not is_outage:
            self._tries += 1
            self._outage_tries = 0
            return f"tried {self._tries} times" if self._tries >= self._policy.tries else ""
        now = time.monotonic()
        if not self._outage_tries:
            self._outage_start = now
        self._outage_tries += 1
        outage_s = now - self._outage_start
        is_spent = outage_s >= self._policy.outage_s
        return f"unreachable for {outage_s:.0f} s, tried {self._outage_tries} times" if is_spent else ""

    def wait_s(self, asked_s: float | None) -> float:
        """Return the seconds to wait before the next try. `asked_s` is what the server asked for."""
        doublings = max(self._tries, self._outage_tries) - 1
        wait_s = min(self._policy.first_wait_s * 2.0 ** min(doublings, 60), self._policy.longest_wait_s)
        # At least our own wait, because a server with a slow clock may name a time in the past.
        return max(wait_s * random.uniform(0.5, 1.0), asked_s or 0.0)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return the seconds to wait from `Retry-After`: a number of seconds or an HTTP date (RFC 9110, 10.2.3).

    Compare a date with the server's own clock, given in `Date`, because this machine's may be wrong (urllib3's
    `Retry.parse_retry_after` trusts it). Return None if there is no usable header.
    """
    text = headers.get("Retry-After", "")
    if text.strip().isdecimal():
        return float(text)
    until, now = _timestamp(text), _timestamp(headers.get("Date", ""))
    return None if until is None else max(0.0, until - (time.time() if now is None else now))


def _timestamp(http_date: str) -> float | None:
    """Return an HTTP date in seconds since 1970, or None if it is not a date."""
    try:
        return email.utils.parsedate_to_datetime(http_date).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
