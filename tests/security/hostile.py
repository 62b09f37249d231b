"""A Studio that quotes the key in every part of an answer that can hold text, and processes that call it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from tests.conftest import ROOT

KEY = "ei_CANARY0a1b2c3d4e5f60718293a4b5c6d7e8f9"
ORGANIZATION_KEY = "ei_SECOND99887766554433221100"
TOKEN = "hf_THIRDabcdefghijklmnopqrstuv"
SECRETS = {"EI_PROJECT_API_KEY": KEY, "EI_API_KEY": ORGANIZATION_KEY, "HF_TOKEN": TOKEN}


def leaks(text: str | bytes) -> list[str]:
    """Return the secrets whose first eight characters are in the text, in upper or lower case."""
    text = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return [secret for secret in SECRETS.values() if secret[:8].lower() in text.lower()]


def wav(seconds: float = 1.0) -> bytes:
    sound = io.BytesIO()
    noise = np.random.default_rng(0).normal(0, 0.1, round(16000 * seconds))
    soundfile.write(sound, noise, 16000, format="WAV", subtype="PCM_16")
    return sound.getvalue()


def sample(**fields: Any) -> dict[str, Any]:
    plain = {
        "filename": "a.wav", "valuesCount": 16000, "frequency": 16000, "sensors": [{"name": "audio", "units": "wav"}],
        "label": "", "metadata": {}, "chartType": "chart",
    }  # fmt: skip
    return {**plain, **fields}


@dataclass
class Reply:
    """One answer: status, body and additional headers; `reason` is the text after the status code."""

    status: int = 200
    body: bytes | dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    reason: str | None = None


Answering = Callable[[str, str], "Reply | None"]


@dataclass
class Hostile:
    """A running server; `asked` has method, path, headers and body of each request."""

    url: str
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)


@contextmanager
def studio(answering: Answering, project: int = 1) -> Iterator[Hostile]:
    """Serve one project on loopback. `answering` answers by method and path, or returns None to get a plain answer.

    Labels and metadata that are written are read back, whatever was answered before.
    """
    found, written = Hostile(""), defaultdict[str, dict[str, Any]](dict)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            found.asked.append((self.command, self.path, dict(self.headers), body))
            said = answering(self.command, self.path) or self.usual()
            sample_path, _, call = self.path.partition("?")[0].rpartition("/")
            if call in ("metadata", "structured-labels"):
                written[sample_path].update(json.loads(body))
            changes = written[f"{sample_path}/{call}"]
            if changes and isinstance(said.body, dict) and "sample" in said.body:
                said = replace(said, body={**said.body, "sample": {**said.body["sample"], **changes}})
            content = said.body if isinstance(said.body, bytes) else json.dumps({"success": True, **said.body}).encode()
            self.send_response(said.status, said.reason)
            for name, value in {"Content-Length": str(len(content)), "X-Echo": KEY, **said.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(OSError):  # the client may have read enough
                self.wfile.write(content)

        do_POST = do_GET

        def usual(self) -> Reply:
            if self.path.endswith("/api/projects"):
                return Reply(body={"projects": [{"id": project, "name": KEY}]})
            if "/wav" in self.path:
                return Reply(body=wav())
            return Reply(body={"sample": sample()} if self.command == "GET" else {})

        def log_message(self, *args: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    found.url = f"http://127.0.0.1:{http.server_port}"
    try:
        yield found
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


def environment(**changes: str) -> dict[str, str]:
    """Return this process's environment without keys, with the repository on the path, and with `changes`."""
    theirs = ("EI_", "HF_", "TRANSFORMERS_", "REQUESTS_", "CURL_", "SSL_", "NETRC", "STUB_")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(theirs)}
    return {**clean, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **changes}


def run_python(
    arguments: Sequence[str | Path], cwd: Path, timeout_s: float = 240, **changes: str
) -> subprocess.CompletedProcess[str]:
    """Run Python in its own process, with `changes` to the environment."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=cwd, env=environment(**changes), capture_output=True, text=True,
        encoding="utf-8", timeout=timeout_s,
    )  # fmt: skip


def snapshot(folder: Path) -> set[str]:
    """Return the files below `folder`, as paths relative to it."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}
