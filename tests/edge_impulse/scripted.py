"""A local HTTP server that sends scripted answers, one per request, and records every request."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Answer:
    """One answer of the server.

    `claimed` replaces the real length of the body in the Content-Length header.
    `drop` closes the connection without an answer.
    `wait` does the same, but only once the server shuts down.
    """

    status: int = 200
    body: bytes = b'{"success": true}'
    headers: dict[str, str] = field(default_factory=dict)
    claimed: int | None = None
    drop: bool = False
    wait: bool = False


@dataclass(frozen=True)
class Request:
    """One request that the server received."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Server:
    """Send `answers` in order, then repeat the last one. `asked` lists the requests received so far."""

    answers: list[Answer]
    url: str = ""
    asked: list[Request] = field(default_factory=list)


def envelope(**fields: object) -> bytes:
    """Return `fields` as the JSON body of a successful Studio answer."""
    return json.dumps({"success": True, **fields}).encode()


@contextmanager
def scripted(*answers: Answer, port: int = 0) -> Iterator[Server]:
    """Run a server on the loopback address. Port 0 lets the system choose a free port."""
    server = Server(list(answers))
    closing = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            server.asked.append(Request(self.command, self.path, dict(self.headers), self.rfile.read(length)))
            answer = server.answers.pop(0) if len(server.answers) > 1 else server.answers[0]
            if answer.wait:
                closing.wait(30)
            if answer.drop or answer.wait:
                self.close_connection = True
                return
            self.send_response_only(answer.status)
            length = len(answer.body) if answer.claimed is None else answer.claimed
            own = {"Date": self.date_time_string(), "Content-Length": str(length), "Connection": "close"}
            for name, value in {**own, **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)

        do_POST = do_HEAD = do_GET

        def log_message(self, *args: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    server.url = f"http://127.0.0.1:{http.server_port}"
    try:
        yield server
    finally:
        closing.set()
        http.shutdown()
        thread.join()
        http.server_close()
