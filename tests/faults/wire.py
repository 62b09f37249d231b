"""HTTP/1.1 requests and answers, and the socket operations that the fault layer needs."""

from __future__ import annotations

import fcntl
import http.client
import re
import socket
import struct
import termios
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO

LOOPBACK = "127.0.0.1"
LINGER_RESET = struct.pack("ii", 1, 0)  # SO_LINGER value: closing the socket resets the connection
ANNOUNCEMENT_DONE = re.compile(rb'"ast_write_\w+": "[^"]* done"')
CALLS = re.compile(r"/v1/api/(?:(projects)|\d+/raw-data/(\d+)(?:/([a-z-]+))?)(?:\?.*)?")


@dataclass(frozen=True)
class Request:
    """One request.

    `call` is `projects`, `get-sample`, the last part of the path of another call about a sample, or `unknown`; metadata
    that only announces labels is an `announcement`, and the layer calls reading a sample after its audio `read-again`.
    `sample` is the sample id in the path, if any. `at_s` is when the request arrived, by `time.monotonic()`.
    """

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    call: str
    sample: int | None
    at_s: float


@dataclass(frozen=True)
class Answer:
    """An answer. `headers` leaves out the Content-Length or Transfer-Encoding header, which `head` adds."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def head(self, *, length: int | None) -> bytes:
        """Return the status line and headers. `length` is the body's length in bytes, or None for a chunked body."""
        reason = http.client.responses.get(self.status, "Unknown")
        framing = ("Transfer-Encoding", "chunked") if length is None else ("Content-Length", str(length))
        lines = [f"HTTP/1.1 {self.status} {reason}", *(f"{name}: {value}" for name, value in (*self.headers, framing))]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def read_request(reader: BinaryIO) -> Request | None:
    """Read the next request of a connection. Return None if the client has closed it."""
    line = reader.readline().decode("latin-1").split()
    if len(line) != 3:
        return None
    headers = dict(http.client.parse_headers(reader))
    length = int(next((value for name, value in headers.items() if name.lower() == "content-length"), "0"))
    body = reader.read(length)
    found = CALLS.fullmatch(line[1])
    projects, sample, call = found.groups() if found else (None, None, "unknown")
    call = projects or call or "get-sample"
    if call == "metadata" and b"ast_write_" in body and not ANNOUNCEMENT_DONE.search(body):
        call = "announcement"
    return Request(line[0], line[1], headers, body or b"", call, int(sample) if sample else None, time.monotonic())


def bind(host: str, port: int) -> socket.socket:
    """Return a TCP socket bound to `host` and `port` that doesn't listen yet. Port 0 picks a free one."""
    one = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.bind((host, port))
    return one


def fill_backlog(port: int) -> list[socket.socket]:
    """Make `port` drop new connections: listen with a backlog of 0 and fill it. Return the sockets to keep open."""
    listener = bind(LOOPBACK, port)
    listener.listen(0)
    return [listener, socket.create_connection((LOOPBACK, port))]


def shut_down(one: socket.socket) -> None:
    """Shut a socket down. This wakes the thread that waits on the socket, and that thread closes it."""
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)


def reset_on_close(connection: socket.socket) -> None:
    """Set the connection up so that closing it sends a reset, as when a peer crashes.

    A reset drops data in transit, so first wait until the other side has acknowledged everything sent.
    """
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        (unsent,) = struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, b"\0" * 4))
        if unsent == 0:
            break
        time.sleep(0.001)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
