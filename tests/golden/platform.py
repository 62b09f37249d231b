"""A fake Edge Impulse API that keeps samples in memory and records every request.

It shares no code with the block or its local Studio, so it can't share their mistakes.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

KEY = "ei_golden"
PROJECT = 12


@dataclass
class Sample:
    """One sample: get-sample's answer, its WAV file, and the changes proposed for it, by job.

    Writes to the calls in `refuses` are answered with HTTP 400.
    """

    fields: dict[str, Any]
    wav: bytes | None = None
    refuses: tuple[str, ...] = ()
    proposed: dict[int, dict[str, Any]] = field(default_factory=dict)


def sample(
    sample_id: int,
    name: str,
    values: int,
    rate_hz: float,
    wav: bytes | None,
    refuses: tuple[str, ...] = (),
    **more: Any,
) -> Sample:
    """Return a sample with one audio axis; `more` replaces or adds fields of the API's answer."""
    fields = {
        "id": sample_id, "filename": name, "valuesCount": values, "frequency": rate_hz, "chartType": "chart",
        "sensors": [{"name": "audio", "units": "wav"}], "isDisabled": False, "isProcessing": False,
        "processingError": False, "label": "unlabeled", "metadata": {}, **more,
    }  # fmt: skip
    return Sample(fields, wav, refuses)


class Platform:
    """A project of `samples`. `requests` has the requests about each sample, in order."""

    def __init__(self, samples: list[Sample]) -> None:
        self.samples = {one.fields["id"]: one for one in samples}
        self.requests: dict[int, list[dict[str, Any]]] = {}
        self._lock = threading.Lock()

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, bytes]:
        """Return status and body of the answer to one request."""
        url = urlsplit(target)
        query = dict(parse_qsl(url.query))
        parts = url.path.removeprefix("/v1").strip("/").split("/")
        if parts == ["api", "projects"]:
            return _ok(projects=[{"id": PROJECT, "name": "golden"}])
        if parts[:3] != ["api", str(PROJECT), "raw-data"]:
            return _refuse(404, f"no such call: {url.path}")
        sample_id, call = int(parts[3]), "/".join(parts[4:])
        with self._lock:
            log = self.requests.setdefault(sample_id, [])
            # The body is recorded byte for byte.
            log.append({"method": method, "target": target, **({"body": body.decode()} if body else {})})
            found = self.samples.get(sample_id)
            if found is None:
                return _refuse(404, "no such sample")
            return self._read(found, call, query) if method == "GET" else self._write(found, call, json.loads(body))

    def _read(self, found: Sample, call: str, query: dict[str, str]) -> tuple[int, bytes]:
        if call == "wav":
            return (200, found.wav) if found.wav is not None else _refuse(400, "this sample has no audio")
        changes = found.proposed.get(int(query["proposedActionsJobId"]), {}) if "proposedActionsJobId" in query else {}
        return _ok(sample={**found.fields, **changes})

    def _write(self, found: Sample, call: str, body: dict[str, Any]) -> tuple[int, bytes]:
        if call in found.refuses:
            return _refuse(400, f"{call} is refused")
        if call == "propose-changes":
            found.proposed[body["jobId"]] = body["proposedChanges"]
        elif call == "structured-labels":
            found.fields["structuredLabels"] = body["structuredLabels"]
        else:
            found.fields["metadata"] = body["metadata"]
        return _ok()


def _ok(**fields: Any) -> tuple[int, bytes]:
    return 200, json.dumps({"success": True, **fields}).encode()


def _refuse(status: int, reason: str) -> tuple[int, bytes]:
    return status, json.dumps({"success": False, "error": reason}).encode()


@contextmanager
def serve(platform: Platform) -> Iterator[str]:
    """Serve `platform` on loopback while the context lasts; yield its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, content = platform.answer(self.command, self.path, body)
            if self.headers.get("x-api-key") != KEY:
                status, content = _refuse(401, "wrong key")
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET

        def log_message(self, *args: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
