"""A server that answers one byte at a time and never comes to an end."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

PAUSE_S = 0.005
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
GZIP_HEAD = bytes.fromhex("1f8b08000000000000ff")
EMPTY_BLOCK = bytes.fromhex("000000ffff")  # of deflate, stored


@dataclass(frozen=True)
class Drip:
    """What the server sends: `start` at once, then one byte of `forever` at a time, over and over."""

    start: bytes
    forever: bytes


def encode(encoding: bytes, start: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Encoding: %b\r\nContent-Length: 999999999\r\n\r\n%b" % (encoding, start)


# Ways in which an answer never ends, although a byte arrives every few milliseconds.
DRIPS = {
    "status line": Drip(b"HTTP/1.1 200 ", b"O"),
    "header": Drip(b"HTTP/1.1 200 OK\r\nX-Long: ", b"x"),
    "1xx answers": Drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "body": Drip(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n", b"x"),
    "body without a length": Drip(b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
    "chunk size": Drip(CHUNKED, b"0"),
    "chunk extension": Drip(CHUNKED + b"5;", b"x"),
    "chunk trailers": Drip(CHUNKED + b"2\r\n{}\r\n0\r\n", b"X-More: x\r\n"),
    "gzip that yields nothing": Drip(encode(b"gzip", GZIP_HEAD), EMPTY_BLOCK),
    "deflate that yields nothing": Drip(encode(b"deflate", b"\x78\x9c"), EMPTY_BLOCK),
    "two equal Content-Lengths": Drip(b"HTTP/1.1 200 OK\r\nContent-Length: 99999, 99999\r\n\r\n", b"x"),
}


@contextmanager
def dripping(drip: Drip, answers: Sequence[bytes] = (), certificate: Path | None = None) -> Iterator[str]:
    """Answer the first requests of each connection with `answers`, and the one after these with `drip`.

    Yield the URL. With a certificate, answer over TLS.
    """
    closing = threading.Event()
    threads: list[threading.Thread] = []
    connections: list[socket.socket] = []
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)

    def serve(connection: socket.socket) -> None:
        with suppress(OSError):
            if context is not None:
                connection = context.wrap_socket(connection, server_side=True)
            for answer in answers:
                connection.recv(1 << 16)
                connection.sendall(answer)
            connection.recv(1 << 16)
            connection.sendall(drip.start)
            sent = 0
            while not closing.wait(PAUSE_S):
                connection.sendall(drip.forever[sent % len(drip.forever) :][:1])
                sent += 1
        connection.close()

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connections.append(connection.dup())
                threads.append(threading.Thread(target=serve, args=[connection]))
                threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threads.append(threading.Thread(target=accept))
        threads[0].start()
        try:
            yield f"{'http' if context is None else 'https'}://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            closing.set()
            listener.shutdown(socket.SHUT_RDWR)
            threads[0].join()
            for connection in connections:
                with connection, suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join()
