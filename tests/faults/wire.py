"""What goes over the layer's sockets: requests and answers of HTTP/1.1, and sockets that are shut, full, or reset."""

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
AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: close by resetting the connection
CALLS = re.compile(r"/v1/api/(?:(projects)|\d+/raw-data/(\d+)(?:/([a-z-]+))?)(?:\?.*)?")


@dataclass(frozen=True)
class Request:
    """One request: `call` is `projects`, `get-sample` or the last part of its path; `sample` an id, where one is named.

    `at_s` is when it had arrived, in seconds of a clock that never goes back.
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
    """An answer with a Content-Length header besides `headers`."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def head(self, *, length: int | None) -> bytes:
        """Status line and headers. `length` None: the body comes in chunks."""
        reason = http.client.responses.get(self.status, "Unknown")
        framing = ("Transfer-Encoding", "chunked") if length is None else ("Content-Length", str(length))
        lines = [f"HTTP/1.1 {self.status} {reason}", *(f"{name}: {value}" for name, value in (*self.headers, framing))]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def read_request(reader: BinaryIO) -> Request | None:
    """The next request of a connection; None where the client has hung up."""
    line = reader.readline().decode("latin-1").split()
    if len(line) != 3:
        return None
    headers = dict(http.client.parse_headers(reader))
    length = int(next((value for name, value in headers.items() if name.lower() == "content-length"), "0"))
    body = reader.read(length)
    found = CALLS.fullmatch(line[1])
    projects, sample, call = found.groups() if found else (None, None, "unknown")
    call = projects or call or "get-sample"
    return Request(line[0], line[1], headers, body or b"", call, int(sample) if sample else None, time.monotonic())


def bound(host: str, port: int) -> socket.socket:
    one = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.bind((host, port))
    return one


def full(port: int) -> list[socket.socket]:
    """A listener that takes no connection, since one waits already: the system drops what others send."""
    listener = bound(LOOPBACK, port)
    listener.listen(0)
    return [listener, socket.create_connection((LOOPBACK, port))]


def shut(one: socket.socket) -> None:
    """Wake the thread that waits on a socket; that thread closes it."""
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)


def reset_on_close(connection: socket.socket) -> None:
    """Have the connection end as a crashed peer's does, once the other side's system has all that was sent.

    A reset drops data in transit, so wait for that first.
    """
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        (unsent,) = struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, b"\0" * 4))
        if unsent == 0:
            break
        time.sleep(0.001)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
