"""A loopback proxy in front of the local Studio that does to chosen calls what networks and servers do.

Requests pass through unless a `Fault` applies. Each is remembered, so that a test can say how often a call was made.
It speaks HTTP/1.1 with bodies of a stated length, which is all that this block sends, over plain sockets: only so can
an answer be broken off where a fault wants it broken.
"""

from __future__ import annotations

import http.client
import math
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from tests.faults.elsewhere import Elsewhere
from tests.faults.wire import LOOPBACK, Answer, Request, bound, full, read_request, reset_on_close, shut

NOT_PASSED_ON = ("connection", "content-length", "date", "server", "transfer-encoding")
LONG_S = 86400.0  # longer than any test
UPSTREAM_S = 30.0  # how long the local Studio may take


class Over(Exception):
    """The connection is over: nothing more is read from it or written to it."""


Effect = Callable[["Exchange"], None]


@dataclass(frozen=True)
class Fault:
    """Does `effect` to the requests for one of `calls` (none: any) about `sample` (None: any).

    Of those that fit it takes `times` from the `since`-th on, counted from 1. None fits before `after` pieces of
    metadata were sent: by then some recordings have their labels.
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
    """Refuse connections for `seconds` from the start, or let their packets `vanish`."""

    seconds: float
    vanish: bool = False


class Exchange:
    """A request that waits for its answer, in the hands of a fault."""

    def __init__(self, layer: Layer, connection: socket.socket, request: Request) -> None:
        self.layer, self.request = layer, request
        self._connection = connection

    def forward(self) -> Answer:
        """What the local Studio answers; it has carried the call out by then."""
        return self.layer.forward(self.request)

    def answer(self, answer: Answer) -> None:
        """Send an answer whole."""
        self.send(answer.head(length=len(answer.body)) + answer.body)

    def send(self, data: bytes) -> None:
        """Send bytes as they are. Raises Over where the client has gone."""
        try:
            self._connection.sendall(data)
        except OSError:
            raise Over from None

    def reset(self) -> None:
        """End the connection as a crashed peer's system does, once the client's has all that was sent. Raises Over."""
        reset_on_close(self._connection)
        raise Over

    def silence(self, seconds: float = math.inf) -> None:
        """Say nothing, until the client has gone (raises Over) or `seconds` are over."""
        deadline = time.monotonic() + min(seconds, LONG_S)
        self._connection.settimeout(max(0.001, deadline - time.monotonic()))
        try:
            if not self._connection.recv(1):
                raise Over
        except TimeoutError:
            return
        except OSError:
            raise Over from None
        finally:
            self._connection.settimeout(None)


class Layer:
    """The proxy, on a port that stays reserved while it does not listen.

    `upstream_port` is the local Studio's; `delete` deletes a sample there.
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
        self._over = False
        # Reserve the port while not listening: clients cannot connect to a bound socket that does not listen.
        self._holder = bound(LOOPBACK, 0)
        self.port: int = self._holder.getsockname()[1]
        self._listener: socket.socket | None = None
        self.elsewhere = Elsewhere()
        self._dark: list[socket.socket] = []
        closed = [fault for fault in faults if isinstance(fault, Closed)]
        if closed:
            self.outage(closed[0].seconds, closed[0].vanish)
        else:
            self._open()

    @property
    def endpoint(self) -> str:
        """What to set EI_API_ENDPOINT to."""
        return f"http://{LOOPBACK}:{self.port}/v1"

    def count(self, call: str, sample: int | None = None) -> int:
        """How often `call` was made, about `sample` where one is named."""
        with self._lock:
            return sum(one.call == call and sample in (None, one.sample) for one in self.requests)

    def outage(self, seconds: float, vanish: bool = False) -> None:
        """Stop listening for `seconds`, and cut off all connections.

        New connections are refused; or, where what is sent is to `vanish`, nothing is heard of them.
        """
        with self._lock:
            if vanish and not self._dark:
                self._dark = full(self.port)
            listener, self._listener = self._listener, None
            connections = set(self._connections)
            self.outages.append(time.monotonic())
        for one in (*connections, *([listener] if listener else [])):
            shut(one)
        if seconds < math.inf:
            timer = threading.Timer(seconds, self._open)
            timer.daemon = True
            self._timers.append(timer)
            timer.start()

    def forward(self, request: Request) -> Answer:
        """Hand a request to the local Studio, as the client sent it."""
        upstream = http.client.HTTPConnection(LOOPBACK, self._upstream_port, timeout=UPSTREAM_S)
        try:
            headers = {name: value for name, value in request.headers.items() if name.lower() != "connection"}
            upstream.request(request.method, request.target, request.body or None, headers)
            answer = upstream.getresponse()
            body = answer.read()
            kept = tuple((name, value) for name, value in answer.getheaders() if name.lower() not in NOT_PASSED_ON)
            return Answer(answer.status, kept, body)
        finally:
            upstream.close()

    def close(self) -> None:
        """Cut off all connections and wait for all threads."""
        with self._lock:
            self._over = True
            for timer in self._timers:
                timer.cancel()
            for one in (*self._connections, *([self._listener] if self._listener else [])):
                shut(one)
        for thread in self._threads:
            thread.join()
        for one in (*self._dark, self._holder):
            one.close()
        self.elsewhere.close()

    def _start(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _open(self) -> None:
        with self._lock:
            if self._over or self._listener is not None:
                return
            while self._dark:
                self._dark.pop().close()
            self._listener = bound(LOOPBACK, self.port)
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
                    if self._over or self._listener is not listener:
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
        except (Over, OSError):
            pass
        finally:
            with self._lock:
                self._connections.discard(connection)
            reader.close()
            connection.close()

    def _effect(self, request: Request) -> Effect:
        """What to do with a request: the first fault that fits and is due, or pass it through."""
        chosen: Effect | None = None
        with self._lock:
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
    """A layer for as long as the context lasts."""
    layer = Layer(upstream_port, faults, delete)
    try:
        yield layer
    finally:
        layer.close()


def _cannot_delete(sample: int) -> None:
    raise AssertionError(f"no function to delete sample {sample}")


def _pass_through(exchange: Exchange) -> None:
    exchange.answer(exchange.forward())
