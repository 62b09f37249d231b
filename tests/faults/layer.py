"""The fault layer: a loopback proxy in front of the local Studio that injects network and server faults.

Requests pass through unless a `Fault` applies. The layer records every request, so tests can count calls.
It reads HTTP/1.1 requests with a Content-Length, which is all that this block sends. It uses plain sockets so that a
fault can cut off an answer at any byte.
"""

from __future__ import annotations

import http.client
import math
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

from tests.faults.elsewhere import Elsewhere
from tests.faults.wire import LOOPBACK, Answer, Request, bind, fill_backlog, read_request, reset_on_close, shut_down

NOT_PASSED_ON = ("connection", "content-length", "date", "server", "transfer-encoding")
LONG_S = 86400.0  # longer than any test runs
UPSTREAM_S = 30.0  # time limit for an answer of the local Studio


class ConnectionEnded(Exception):
    """The connection has ended: stop reading from it and writing to it."""


Effect = Callable[["Exchange"], None]


@dataclass(frozen=True)
class Fault:
    """Apply `effect` to the requests for one of `calls` (empty: any call) about `sample` (None: any sample).

    Of the matching requests, the fault affects `times` in a row, starting with number `since` (counted from 1).
    Matching starts once the run has sent metadata `after` times, so that some recordings are already labeled.
    """

    effect: Effect
    calls: tuple[str, ...] = ()
    sample: int | None = None
    times: float = math.inf
    since: int = 1
    after: int = 0

    def fits(self, request: Request) -> bool:
        return (not self.calls or request.call in self.calls) and self.sample in (None, request.sample)


@dataclass(frozen=True)
class Closed:
    """Refuse connections for the first `seconds`, or with `vanish`, drop their packets silently."""

    seconds: float
    vanish: bool = False


class Exchange:
    """A request that waits for an answer, and the ways in which an effect can answer it or fail to."""

    def __init__(self, layer: Layer, connection: socket.socket, request: Request) -> None:
        self.layer, self.request = layer, request
        self._connection = connection

    def forward(self) -> Answer:
        """Have the local Studio carry out the call, and return its answer."""
        return self.layer.forward(self.request)

    def answer(self, answer: Answer) -> None:
        """Send a complete answer."""
        self.send(answer.head(length=len(answer.body)) + answer.body)

    def send(self, data: bytes) -> None:
        """Send raw bytes. Raise ConnectionEnded if the client has disconnected."""
        try:
            self._connection.sendall(data)
        except OSError:
            raise ConnectionEnded from None

    def reset(self) -> None:
        """Reset the connection once the client has received everything sent. Always raise ConnectionEnded."""
        reset_on_close(self._connection)
        raise ConnectionEnded

    def silence(self, seconds: float = math.inf) -> None:
        """Send nothing for `seconds`. Raise ConnectionEnded if the client disconnects in the meantime."""
        deadline = time.monotonic() + min(seconds, LONG_S)
        self._connection.settimeout(max(0.001, deadline - time.monotonic()))
        try:
            if not self._connection.recv(1):
                raise ConnectionEnded
        except TimeoutError:
            return
        except OSError:
            raise ConnectionEnded from None
        finally:
            self._connection.settimeout(None)


class Layer:
    """The proxy. Its port stays reserved during outages, when the proxy doesn't listen.

    `upstream_port` is the local Studio's port. `delete` deletes a sample there.
    """

    def __init__(
        self,
        upstream_port: int,
        faults: Sequence[Fault | Closed] = (),
        delete: Callable[[int], None] | None = None,
    ) -> None:
        self.delete = delete or _cannot_delete
        self.faults = [fault for fault in faults if isinstance(fault, Fault)]
        self.requests: list[Request] = []
        self.outages: list[float] = []
        self._upstream_port = upstream_port
        self._metadata = 0
        self._counts = [0] * len(self.faults)
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._timers: list[threading.Timer] = []
        self._closed = False
        # A bound socket that doesn't listen reserves the port: clients can't connect to it.
        self._holder = bind(LOOPBACK, 0)
        self.port: int = self._holder.getsockname()[1]
        self._listener: socket.socket | None = None
        self.elsewhere = Elsewhere()
        self._full_backlog: list[socket.socket] = []
        closed = [fault for fault in faults if isinstance(fault, Closed)]
        if closed:
            self.outage(closed[0].seconds, closed[0].vanish)
        else:
            self._open()

    @property
    def endpoint(self) -> str:
        """The value for EI_API_ENDPOINT."""
        return f"http://{LOOPBACK}:{self.port}/v1"

    def count(self, call: str, sample: int | None = None) -> int:
        """Return how often `call` was made about `sample` (None: about any sample)."""
        with self._lock:
            return sum(one.call == call and sample in (None, one.sample) for one in self.requests)

    def count_other_samples(self, call: str, sample: int | None) -> int:
        """Return about how many samples, not counting `sample`, `call` was made."""
        with self._lock:
            return len({one.sample for one in self.requests if one.call == call} - {sample})

    def outage(self, seconds: float, vanish: bool = False) -> None:
        """Stop listening for `seconds` and cut off all connections.

        New connections are refused, or with `vanish`, their packets are dropped silently.
        """
        with self._lock:
            if vanish and not self._full_backlog:
                self._full_backlog = fill_backlog(self.port)
            listener, self._listener = self._listener, None
            connections = set(self._connections)
            self.outages.append(time.monotonic())
        for one in (*connections, *([listener] if listener else [])):
            shut_down(one)
        if seconds < math.inf:
            timer = threading.Timer(seconds, self._open)
            timer.daemon = True
            self._timers.append(timer)
            timer.start()

    def forward(self, request: Request) -> Answer:
        """Send a request to the local Studio as the client sent it, and return the answer."""
        upstream = http.client.HTTPConnection(LOOPBACK, self._upstream_port, timeout=UPSTREAM_S)
        try:
            headers = {name: value for name, value in request.headers.items() if name.lower() != "connection"}
            upstream.request(request.method, request.target, request.body or None, headers)
            answer = upstream.getresponse()
            body = answer.read()
            headers_sent_on = tuple(
                (name, value) for name, value in answer.getheaders() if name.lower() not in NOT_PASSED_ON
            )
            return Answer(answer.status, headers_sent_on, body)
        finally:
            upstream.close()

    def close(self) -> None:
        """Cut off all connections and wait for all threads."""
        with self._lock:
            self._closed = True
            for timer in self._timers:
                timer.cancel()
            for one in (*self._connections, *([self._listener] if self._listener else [])):
                shut_down(one)
        for thread in self._threads:
            thread.join()
        for one in (*self._full_backlog, self._holder):
            one.close()
        self.elsewhere.close()

    def _start(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _open(self) -> None:
        with self._lock:
            if self._closed or self._listener is not None:
                return
            while self._full_backlog:
                self._full_backlog.pop().close()
            self._listener = bind(LOOPBACK, self.port)
            self._listener.listen(64)
            self._start(partial(self._accept, self._listener))

    def _accept(self, listener: socket.socket) -> None:
        with listener:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with self._lock:
                    if self._closed or self._listener is not listener:
                        connection.close()
                        return
                    self._connections.add(connection)
                    self._start(partial(self._serve, connection))

    def _serve(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reader = connection.makefile("rb")
        try:
            while (request := read_request(reader)) is not None:
                self._effect(request)(Exchange(self, connection, request))
        except (ConnectionEnded, OSError):
            pass
        finally:
            with self._lock:
                self._connections.discard(connection)
            reader.close()
            connection.close()

    def _effect(self, request: Request) -> Effect:
        """Record a request and return the effect of the first fault that applies to it. By default, pass it through."""
        chosen: Effect | None = None
        with self._lock:
            if request.call == "get-sample" and any(
                one.call == "wav" and one.sample == request.sample for one in self.requests
            ):
                request = replace(request, call="read-again")
            self.requests.append(request)
            self._metadata += request.call == "metadata"
            for index, fault in enumerate(self.faults):
                if fault.fits(request) and self._metadata >= fault.after:
                    self._counts[index] += 1
                    if chosen is None and fault.since <= self._counts[index] < fault.since + fault.times:
                        chosen = fault.effect
        return chosen or _pass_through


@contextmanager
def in_front_of(
    upstream_port: int, faults: Sequence[Fault | Closed] = (), delete: Callable[[int], None] | None = None
) -> Iterator[Layer]:
    """Run a fault layer in front of the local Studio for the duration of the context."""
    layer = Layer(upstream_port, faults, delete)
    try:
        yield layer
    finally:
        layer.close()


def _cannot_delete(sample: int) -> None:
    raise AssertionError(f"no function to delete sample {sample}")


def _pass_through(exchange: Exchange) -> None:
    exchange.answer(exchange.forward())
