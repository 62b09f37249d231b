"""A hub or a web server costs `models fetch` an error message, not memory: it runs with 1 GiB of address space."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.security.hostile import run_python

GIB = 1 << 30
COMMIT = "0123456789abcdef0123456789abcdef01234567"
FETCH = """
import resource, sys
from pathlib import Path
import huggingface_hub.file_download
from block.model.checkpoint import CheckpointError
from block.model_store.fetch import FetchTarget, fetch
from block.model_store.hub_client import HubClient
from block.model_store.store import ModelStore
resource.setrlimit(resource.RLIMIT_AS, ({limit}, {limit}))
Path("models").mkdir()
try:
    fetch(ModelStore(Path("models"), ()), FetchTarget("mine", "someone/ast", "main"), {place!r})
except CheckpointError as error:
    sys.exit(f"error: {{error}}")
"""
FOUR_GB = gzip.compress(bytes(1 << 20)) * 4096  # 4 MB as it is sent


@contextmanager
def serving(kind: str) -> Iterator[str]:
    """Serve what `kind` says in answer to GET, and a hub's headers in answer to HEAD. Yield the URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(200, {"X-Repo-Commit": COMMIT, "ETag": '"1"', "Content-Length": "100"})

        def do_GET(self) -> None:
            if kind == "compressed":
                self.answer(200, {"Content-Encoding": "gzip", "Content-Length": str(len(FOUR_GB))}, FOUR_GB)
            elif kind == "redirect" and "moved" not in self.path:
                self.answer(302, {"Location": "/moved"}, endless=True)
            else:
                self.answer(403, {}, endless=True)

        def answer(self, status: int, headers: dict[str, str], body: bytes = b"", endless: bool = False) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                self.wfile.write(body)
                for _ in range(4096 if endless else 0):
                    self.wfile.write(bytes(1 << 20))
            except OSError:
                pass  # the client has had enough

        def log_message(self, *args: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{http.server_port}"
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("redirect", "config.json: the server answered 403, access refused"),
        ("error", "config.json: the server answered 403, access refused"),
        ("compressed", "config.json has more than 4194304 bytes"),
    ],
)
def test_a_hostile_web_server_costs_an_error_and_no_memory(kind: str, message: str, tmp_path: Path) -> None:
    with serving(kind) as url:
        done = run_python(["-c", FETCH.format(limit=GIB, place=f"{url}/mine")], tmp_path)
    assert done.stderr.startswith(f"error: {url}/mine/config.json")
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("redirect", "answered 403; set HF_TOKEN, or check it"),
        ("error", "answered 403; set HF_TOKEN, or check it"),
        ("compressed", "config.json: the hub compressed a file, which could have any size; expected it as it is"),
    ],
)
def test_a_hostile_hub_costs_an_error_and_no_memory(kind: str, message: str, tmp_path: Path) -> None:
    with serving(kind) as url:
        done = run_python(["-c", FETCH.format(limit=GIB, place=None)], tmp_path, HF_ENDPOINT=url)
    assert done.stderr.startswith("error: someone/ast")
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
