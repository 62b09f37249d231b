"""How often a call is tried, how long to wait in between, and how long for an answer."""

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
    a longer one nobody waits. A server that has answered before and to which no connection can be made any more is
    waited for, `outage_s` seconds at most, however many tries that takes.
    """

    tries: int = 5
    first_wait_s: float = 1.0
    longest_wait_s: float = 30.0
    longest_asked_wait_s: float = 300.0
    outage_s: float = 600.0

    def wait_s(self, tried: int, retry_after: str | None, date: str | None = None) -> float | None:
        """Seconds to wait after try number `tried`, from 1; None if the server asks for more than is waited.

        `retry_after` and `date` are the headers of the answer.
        """
        doubled = 2.0 ** min(tried - 1, 60)
        wait = min(self.first_wait_s * doubled, self.longest_wait_s) * random.uniform(0.5, 1.0)
        asked = _retry_after_s(retry_after, date)
        if asked is None:
            return wait
        # Never less than the client's own wait: a server whose clock is behind names moments that have passed.
        return max(asked, wait) if asked <= self.longest_asked_wait_s else None

    def asked_s(self, retry_after: str | None, date: str | None = None) -> float | None:
        """Seconds that the server asks to be left alone for; None where it names none, or more than is waited."""
        asked = _retry_after_s(retry_after, date)
        return asked if asked is not None and asked <= self.longest_asked_wait_s else None


class RetryBudget:
    """How often one call has been tried, by the rules of `policy`."""

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._tried = self._in_vain = 0
        self._out_of_reach_since: float | None = None

    def over(self, out_of_reach: bool) -> str:
        """Take note of a try that failed. What has been tried, in words, if that was enough; else nothing.

        `out_of_reach`: the server, which had answered before, could not be asked; such tries are not counted.
        """
        if not out_of_reach:
            self._out_of_reach_since, self._in_vain = None, 0
            self._tried += 1
            return f"tried {self._tried} times" if self._tried >= self._policy.tries else ""
        now = time.monotonic()
        if self._out_of_reach_since is None:
            self._out_of_reach_since = now
        self._in_vain += 1
        gone_s = now - self._out_of_reach_since
        return (
            f"out of reach for {gone_s:.0f} s, tried {self._in_vain} times" if gone_s >= self._policy.outage_s else ""
        )

    def wait_s(self, retry_after: str | None, date: str | None) -> float | None:
        """As the policy's, for the tries so far."""
        return self._policy.wait_s(max(self._tried, self._in_vain), retry_after, date)


@dataclass(frozen=True)
class Timeouts:
    """Seconds until a connection stands, and until something is heard of the answer.

    A body may take longer than `read_s`, as long as every `read_s` seconds bring `stall_bytes` of it.
    """

    connect_s: float = 10.0
    read_s: float = 60.0
    stall_bytes: int = 1 << 16


def _retry_after_s(header: str | None, date: str | None) -> float | None:
    """Seconds to wait by a `Retry-After` header, which is a number of seconds or an HTTP date (RFC 9110, 10.2.3).

    A date is held against the server's own clock, which it gives in `Date`: this machine's may be wrong, or be set in
    the middle of a run.
    """
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    until = _moment(header)
    now = _moment(date) if date is not None else None
    return None if until is None else max(0.0, until - (time.time() if now is None else now))


def _moment(text: str) -> float | None:
    """An HTTP date in seconds since 1970; None where it is none."""
    try:
        return email.utils.parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
