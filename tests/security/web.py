"""A server that answers everything alike, over TLS or not, and redirects if it is told where; and a call to it."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

# Not loopback by its name, which the client goes by.
NAME = "studio.test"
# Finds NAME on loopback.
RESOLVING = """
import socket, sys

looked_up = socket.getaddrinfo
socket.getaddrinfo = lambda host, *rest, **more: looked_up(
    "127.0.0.1" if host in ("studio.test", b"studio.test") else host, *rest, **more)
"""
CALL_STUDIO = (
    RESOLVING
    + """
from block.edge_impulse.client import StudioClient
from block.edge_impulse.retries import RetryPolicy

try:
    print(StudioClient(sys.argv[1], sys.argv[2], RetryPolicy(tries=1)).get_json("/api/projects"))
except Exception as error:
    print(type(error).__name__, error)
"""
)


@contextmanager
def served(certificate: Path | None, location: str = "") -> Iterator[tuple[int, list[dict[str, str]]]]:
    """A server, over TLS if it has a certificate: its port, and the headers of the requests that reached it.

    PORT in `location` stands for its own.
    """
    asked: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(dict(self.headers))
            self.send_response(302 if location else 200)
            body = b'{"success": true, "projects": []}'
            headers = {
                "Content-Length": str(len(body)),
                **({"Location": location.replace("PORT", str(http.server_port))} if location else {}),
            }
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *args: object) -> None:
            pass  # of clients that hang up when they see the certificate

    http = Server(("127.0.0.1", 0), Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate / "both.pem")
        http.socket = context.wrap_socket(http.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield http.server_port, asked
    finally:
        http.shutdown()
        thread.join()
        http.server_close()
