"""A fake hub or web server on loopback that can be slow, interrupt downloads, and send wrong headers."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"
BLOCK = 4096


@dataclass
class Asked:
    method: str
    path: str
    range: str | None
    token: str | None
    status: int = 0
    sent: int = 0


@dataclass
class StandIn:
    """A server with `files` by path; files of the hub's repositories have the path `/OWNER/REPO/FILE`.

    Faults: `breaks` times, the connection is closed after `break_after` bytes of a body; the first `busy` answers are
    503; the server waits `pause_s` between blocks of 4096 bytes; without `ranges` it ignores Range headers; `stall`
    sends half of a body and then nothing; without `states_sha256` it doesn't state digests; without `lengths` bodies
    have no Content-Length. Busy answers have the Retry-After header `asks_to_wait`, if it isn't empty. Redirects to the
    server `redirect_to` have `redirect_bytes` bytes of body.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    revisions: dict[str, str] = field(default_factory=lambda: {"main": COMMIT, COMMIT: COMMIT})
    names_commits: bool = True
    etags: bool = True
    states_sha256: bool = True
    gated: bool = False
    ranges: bool = True
    break_after: int | None = None
    breaks: int = 0
    busy: int = 0
    asks_to_wait: str = ""
    pause_s: float = 0.0
    stall: bool = False
    lie_about_size: int = 0
    lie_about_linked_size: int = 0
    lengths: bool = True
    xet: bool = False
    redirect_to: str = ""
    redirect_bytes: int = 0
    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)

    def add(self, folder: dict[str, bytes], below: str) -> None:
        for name, content in folder.items():
            self.files[f"{below}/{name}"] = content

    def sent(self, name: str) -> int:
        """Return the number of bytes of that file's body sent so far."""
        return sum(one.sent for one in self.asked if one.method == "GET" and one.path.endswith(name))

    def got(self, name: str) -> list[Asked]:
        return [one for one in self.asked if one.method == "GET" and one.path.endswith(name)]


class _Handler(BaseHTTPRequestHandler):
    server_version = "standin"
    standin: StandIn

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, *args: object) -> None:
        pass

    def _answer(self) -> None:
        standin = self.standin
        asked = Asked(self.command, self.path, self.headers.get("Range"), self.headers.get("Authorization"))
        standin.asked.append(asked)
        if standin.busy:
            standin.busy -= 1
            wait = {"Retry-After": standin.asks_to_wait} if standin.asks_to_wait else {}
            self._send(asked, 503, wait, b"")
            return
        headers = {}
        path = self.path.partition("?")[0]
        resolve = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        if resolve is not None:
            repository, revision, name = resolve.groups()
            if not any(path.startswith(f"/{repository}/") for path in standin.files):
                self._refuse(asked, 404, "RepoNotFound")
                return
            if standin.gated and self.headers.get("Authorization") is None:
                self._refuse(asked, 401, "GatedRepo")
                return
            if revision not in standin.revisions:
                self._refuse(asked, 404, "RevisionNotFound")
                return
            if standin.names_commits:
                headers["X-Repo-Commit"] = standin.revisions[revision]
            path = f"/{repository}/{name}"
        content = standin.files.get(path)
        if content is None:
            self._refuse(asked, 404, "EntryNotFound" if resolve is not None else "")
            return
        # Like the hub: large files are stored by their SHA-256, small ones by their Git hash.
        is_large = len(content) > 10000 and standin.states_sha256
        etag = hashlib.sha256(content).hexdigest() if is_large else hashlib.sha1(content).hexdigest()
        if resolve is not None and is_large and standin.etags:
            headers["X-Linked-Size"] = str(len(content) + standin.lie_about_linked_size)
            headers["X-Linked-Etag"] = f'"{etag}"'
        if standin.xet:
            headers["X-Xet-Hash"] = "0" * 64
            headers["X-Xet-Refresh-Route"] = "/api/models/xet-read-token"
        if standin.redirect_to:
            headers["ETag"] = f'"{etag}"'
            headers.setdefault("X-Linked-Size", str(len(content)))
            self._send(asked, 302, {**headers, "Location": standin.redirect_to + path}, bytes(standin.redirect_bytes))
            return
        if standin.etags:
            headers["ETag"] = f'"{etag}"'
        status, start = 200, 0
        given = re.fullmatch(r"bytes=(\d+)-", asked.range or "")
        condition = self.headers.get("If-Range")
        if given is not None and standin.ranges and condition in (None, headers.get("ETag")):
            start = int(given[1])
            if start >= len(content):
                self._send(asked, 416, {"Content-Range": f"bytes */{len(content)}"}, b"")
                return
            status = 206
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self._send(asked, status, headers, content[start:])

    def _refuse(self, asked: Asked, status: int, code: str) -> None:
        self._send(asked, status, {"X-Error-Code": code} if code else {}, b"")

    def _send(self, asked: Asked, status: int, headers: dict[str, str], body: bytes) -> None:
        standin = self.standin
        asked.status = status
        self.send_response(status)
        length = len(body) + (standin.lie_about_size if body else 0)
        lengths = {"Content-Length": str(length)} if standin.lengths or not body else {}
        for name, value in {**lengths, "Connection": "close", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.close_connection = True
        if self.command == "HEAD":
            return
        limit = len(body)
        if standin.breaks and standin.break_after is not None and len(body) > standin.break_after:
            standin.breaks -= 1
            limit = standin.break_after
        if standin.stall and len(body) > BLOCK:
            limit = len(body) // 2
        try:
            for start in range(0, limit, BLOCK):
                block = body[start : min(start + BLOCK, limit)]
                self.wfile.write(block)
                self.wfile.flush()
                asked.sent += len(block)
                if standin.pause_s and len(body) > 10000 and standin.closing.wait(standin.pause_s):
                    return
            if standin.stall and limit < len(body):
                standin.closing.wait(20)
        except OSError:
            pass  # the client was killed or has timed out


@contextmanager
def served(standin: StandIn) -> Iterator[StandIn]:
    handler = type("Handler", (_Handler,), {"standin": standin})
    http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    http.daemon_threads = False
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    standin.url = f"http://127.0.0.1:{http.server_port}"
    try:
        yield standin
    finally:
        standin.closing.set()
        http.shutdown()
        thread.join()
        http.server_close()


def wait_until(condition: object, seconds: float = 20.0) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)
