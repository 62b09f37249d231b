"""Connections to the server: how long a client may take, how many there may be, and how much of it is logged.

uvicorn waits for the rest of a request forever, so a few clients that send half of one would use up all connections.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import time
from collections.abc import Callable
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from block.local_studio.request_head import find_odd_head

WAIT_S = 10.0  # that a client has for the head of a request, and for every further STEP bytes of its body
READ_S = (
    60.0  # that a client has to read what doesn't fit the buffers; browsers that play audio read late, and ask again
)
STEP = 64 << 10
LARGEST_HEAD = 64 << 10  # bytes
BACKLOG = 64  # connections that asyncio accepts before it counts them
LOGGERS = ("uvicorn.error", "asyncio", "block.local_studio.api.app")


def count_connections_allowed() -> int:
    """Return how many connections may be open, so that the process has file descriptors left for what they ask for."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 256 if limit == resource.RLIM_INFINITY else max(8, min(256, limit // 4))


class StrictConnection(h11.Connection):
    """Refuses the heads in which `find_odd_head` finds a `problem`."""

    problem = ""

    def next_event(self) -> Any:
        """Return the next event, as in h11. Raise RemoteProtocolError for an odd head."""
        if self.their_state is h11.IDLE:
            self.problem = find_odd_head(self.trailing_data[0])
            if self.problem:
                raise h11.RemoteProtocolError(self.problem)
        return super().next_event()


class StudioProtocol(H11Protocol):
    """Closes connections whose client is too slow, and the one that is silent longest if there are too many."""

    _timer: asyncio.TimerHandle | None = None
    _read_timer: asyncio.TimerHandle | None = None
    _received = 0  # bytes since the timer was set
    heard_s = 0.0  # when the client last sent something, by the clock of the loop

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.conn: StrictConnection = StrictConnection(h11.SERVER, LARGEST_HEAD)

    @property
    def awaits_client(self) -> bool:
        """True if no complete request is being answered."""
        return self.cycle is None or self.cycle.response_complete or self.cycle.more_body

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._set_timer()
        if len(self.connections) > count_connections_allowed():
            others = [one for one in self.connections if isinstance(one, StudioProtocol) and one is not self]
            drop = min(others, key=lambda one: (not one.awaits_client, one.heard_s))
            self.connections.discard(drop)  # at once: more may be accepted before it is closed
            drop.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._timer, self._read_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._read_timer = self.loop.call_later(READ_S, self.transport.abort)

    def resume_writing(self) -> None:
        if self._read_timer is not None:
            self._read_timer.cancel()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        self.heard_s = self.loop.time()
        self._received += len(data)
        super().data_received(data)
        if self._received >= STEP and self.cycle is not None and self.cycle.more_body:
            self._set_timer()

    def on_response_complete(self) -> None:
        self._set_timer()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        headers = [
            *self.server_state.default_headers, (b"content-type", b"text/plain; charset=utf-8"),
            (b"x-content-type-options", b"nosniff"), (b"connection", b"close"),
        ]  # fmt: skip
        text = f"Bad request: {self.conn.problem}.\n" if self.conn.problem else msg
        events = (
            h11.Response(status_code=400, headers=headers, reason=b"Bad Request"), h11.Data(data=text.encode()),
            h11.EndOfMessage(),
        )  # fmt: skip
        try:
            for event in events:
                self.transport.write(self.conn.send(event) or b"")
        except h11.LocalProtocolError:
            pass  # an answer is under way already
        self.transport.close()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._received = 0
        self._timer = self.loop.call_later(WAIT_S, self._drop_if_slow)
        self.heard_s = self.loop.time()

    def _drop_if_slow(self) -> None:
        if self.awaits_client:
            self.transport.abort()


class LogRateLimit(logging.Filter):
    """Lets `most` records through every `period_s` seconds, and says how many it left out before the next one."""

    def __init__(self, most: int = 20, period_s: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._most, self._period_s, self._clock = most, period_s, clock
        self._begun_s = -period_s
        self._seen = 0

    def filter(self, record: logging.LogRecord) -> bool:
        now = self._clock()
        if now - self._begun_s >= self._period_s:
            left_out = self._seen - self._most
            if left_out > 0:
                record.msg, record.args = f"{record.getMessage()} (after {left_out:,} messages left out)", ()
            self._begun_s, self._seen = now, 0
        self._seen += 1
        return self._seen <= self._most


def server_options() -> dict[str, Any]:
    """Limit the rate of log lines that requests cause, and return the options of uvicorn for the other limits."""
    for name in LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(one, LogRateLimit) for one in logger.filters):
            logger.addFilter(LogRateLimit())
    return {"http": StudioProtocol, "backlog": BACKLOG}
