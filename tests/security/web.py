"""A server that answers or redirects all requests alike, with or without TLS, and a call to it."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

# The client doesn't take this name for a loopback address, and so treats it like any other host.
NAME = "studio.test"
# Resolves NAME to loopback.
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
def serve(certificate: Path | None, location: str = "") -> Iterator[tuple[int, list[dict[str, str]]]]:
    """Serve, over TLS if there is a certificate; yield the port, and a list that gets each request's headers.

    With `location`, redirect there; PORT in it becomes the server's own port.
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
            pass  # clients that reject the certificate hang up

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
