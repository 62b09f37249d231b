"""Requests to the local Studio get an answer below 500, or lose their connection, and take no memory for good."""

from __future__ import annotations

import json
import random
import re
import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from block.local_studio.address import Address
from block.local_studio.data.project import LocalProject
from block.local_studio.server import _make_server, running
from tests.conftest import ROOT
from tests.security.hostile import wav

FEW, MANY = 300, 10_000
MOST_GROWTH = 64 << 20  # bytes, after the first FEW requests, which fill caches
TOY = ROOT / "tests" / "local_studio" / "toy_block"  # jobs start and end fast
# Method, path, and the names of its parameters, in the address or in the form; JSON: a POST of a JSON object.
# Routes that are missing here get random parameters of all others.
CALLS = (
    "GET / search label state sort page", "GET /about", "GET /login", "POST /login key", "GET /chosen id", "GET /jobs",
    "GET /actions ids filter job model", "GET /actions/classes.json model", "GET /actions/search.json model text",
    "JSON /actions/labels.json model entries confidence other",
    "POST /actions which ids do at-most with-hand p.label p.comment p.pause-ms p.level",
    "POST /actions which do p.do p.words p.TOY_TOKEN p.overwrite-hand-labels p.fixed p.details p.bucket p.nothing",
    "GET /review job label order state search apart", "POST /recordings/1/undo batch list",
    "GET /static/labels.css", "JSON /review/verdict job sample start end from to was label kind",
    "POST /review/verdict job sample start end was verdict typed other back back-to-job", "JSON /review/undo job",
    "POST /review/undo job back", "GET /jobs/1/bulk label at-least",
    "GET /similar sample start end job", "POST /similar/propose sample start end job label",
    "POST /similar/mark sample start end job other-sample other-start other-end verdict",
    "POST /jobs/1/bulk decision label at-least count",
    "GET /models", "GET /models/state.json", "POST /models/fetch name", "POST /models/cancel", "POST /scan",
    "GET /recordings/1/clip start end", "JSON /recordings/1/labels revision labels",
    "GET /jobs/1", "GET /jobs/1/state.json offset", "POST /jobs/1/cancel",
    "POST /jobs/1/proposals decision accept reject", "GET /recordings/1 job done", "GET /recordings/2", "GET /ids.json",
    "GET /recordings/1/spectrogram.png start end width height v", "GET /recordings/1/waveform.json start end width v",
    "GET /recordings/1/audio", "POST /recordings/1/labels revision lines", "POST /recordings/1/proposal decision job",
    "GET /labels/export", "POST /labels/import labels replace_hand", "GET /static/studio.css", "GET /v1/api/projects",
    "GET /v1/api/1", "GET /v1/api/1/raw-data category limit offset labels minLength maxId search sortBy dataType",
    "GET /v1/api/1/raw-data/1 limitPayloadValues proposedActionsJobId cacheKey", "POST /v1/api/1/raw-data/1/enable",
    "GET /v1/api/1/raw-data/1/wav axisIx sliceStart sliceEnd cacheKey", "POST /v1/api/1/raw-data/1/structured-labels",
    "POST /v1/api/1/raw-data/1/edit-label", "POST /v1/api/1/raw-data/1/metadata", "POST /v1/api/1/raw-data/1/disable",
    "POST /v1/api/1/raw-data/1/propose-changes", "GET /v1/api/1/raw-data/ai-actions-preview/1/proposed-changes",
)  # fmt: skip
VALUES = (
    "", "0", "1", "-1", "2", "1-9007199254740991", "1-3,2-1", "9007199254740991", "9007199254740992", "9" * 400,
    "1e308", "nan", "inf", "-inf", "1e-320", "all", "given", "accept", "%00", "%ff", "%f0%9f%8e%b5", "%0d%0aX:%20y",
    "..%2f..",
    "preview", "run", "label", "fail", "discard", "reject", "unlabeled", "on", "toy", "0.5", "%D9%A1", "2%5E63",
    "ast-tiny-audioset", "9223372036854775807", "9223372036854775808", "%22%3E%3Cscript%3E",
    "[]", "%5B%22a%22%5D", "%7B%7D", "a" * 3000, "true", "1:2", "%ED%A0%80", "+", "&", "=", ";",
)  # fmt: skip
HEADERS = (
    b"Cookie", b"Origin", b"Content-Length", b"Content-Type", b"Transfer-Encoding", b"Range", b"If-Range", b"Host",
    b"If-None-Match", b"Sec-Fetch-Site", b"x-api-key", b"x-csrf-token", b"Expect", b"Upgrade", b"Connection", b"Accept",
)  # fmt: skip
HEADER_VALUES = (
    b"", b"x", b"\xff\xfe", b"[", b"http://[", b"null", b"chunked", b"bytes=0-", b"bytes=5-1,-2",
    b"bytes=0-99999999999", b"100-continue", b"websocket", b"upgrade", b"application/json",
    b"application/x-www-form-urlencoded", b"-1",
    b"0", b"1,1", b"9" * 30, b"local-studio=\\777", b"local-studio=" + b"0" * 64,
    b"a=b; local-studio=" + b"0" * 64, b'local-studio="' + b"\\" * 3000, b"multipart/form-data; boundary=", b"*",
    b"\x7f", b"cross-site", b'"', b"Thu, 01 Jan 1970 00:00:00 GMT", b"a" * 9000, b"\x00",
)  # fmt: skip
BODIES = (
    b"", b"{}", b"[]", b"null", b"{", b'{"label": "x"}', b'{"label": 1e999}', b'{"label": "\\ud800"}', b"[" * 5000,
    b'{"structuredLabels": [{"startIndex": 0, "endIndex": 1e9, "label": "x"}]}', b'{"metadata": {"a": "b"}}',
    b'{"jobId": 1, "proposedChanges": {"label": "x"}}', b'{"revision": 0, "labels": []}', b"key=x&token=y", b"\xff",
    b"=", b'{"structuredLabels": [{"startIndex": 0, "endIndex": 15999, "label": "x"}]}', b"&" * 3000, b"5\r\nabc",
    b"0\r\n\r\n",
)  # fmt: skip
JSON_VALUES = (
    0, 1, 2, -1, 8000, 15999, 16000, 2**53, 2**63, -(2**63) - 1, 10**30, 0.5, float("nan"), float("inf"), True, None,
    "", "1", "toy", "accepted", "rejected", "labeled", "x" * 3000, "\ud800", "\0", [], [1], {},
    [{"label": "x"}], [[[]]], [{"startIndex": 0, "endIndex": 15999, "label": "x"}],
    [{"start": 0, "end": 16000, "label": "x"}], "ast-tiny-audioset", ["Dog, (", {"className": "Dog", "name": "\ud800"}],
)  # fmt: skip


def make_request(draw: random.Random, key: bytes, token: bytes, calls: Sequence[str] = CALLS) -> tuple[bytes, bool]:
    """Return the bytes of a request, usually well-formed, with odd values, and whether it may end too early."""

    def is_odd(share: float = 0.06) -> bool:
        return draw.random() < share

    method, path, *names = draw.choice(calls).split()
    is_json = method == "JSON"
    method = "POST" if is_json else method
    fields = "&".join(f"{name}={draw.choice(VALUES)}" for name in draw.sample(names, draw.randint(0, len(names))))
    if is_odd():
        fields += f"&{draw.choice(VALUES)}={draw.choice(VALUES)}"
    if is_odd():
        path = re.sub(r"\b[12]\b", lambda _: draw.choice(VALUES), path)
    if is_odd():
        method = draw.choice(("GET", "HEAD", "POST", "PUT", "OPTIONS", "DELETE", "x"))
    if fields and (method != "POST" or is_odd()):
        path += f"?{fields}"
    body, kind = b"", b"application/x-www-form-urlencoded"
    if method in ("POST", "PUT") or is_odd():
        if is_json:
            chosen = names if not is_odd(0.3) else draw.sample(names, draw.randint(0, len(names)))
            body = json.dumps({name: draw.choice(JSON_VALUES) for name in chosen}).encode()
            kind = b"application/json"
        elif path.startswith("/v1") or is_odd(0.3):
            body, kind = draw.choice(BODIES), b"application/json"
        else:
            body = b"token=" + token + f"&{fields}".encode() * bool(fields)
    lines = [f"{method} {path} HTTP/1.1".encode(), b"Connection: close", b"Content-Type: " + kind]
    lines += [] if is_odd() else [b"Host: 127.0.0.1"]
    lines += [] if is_odd() else [b"x-api-key: " + key, b"x-csrf-token: " + token]
    may_end_early = is_odd()
    lines += [b"Content-Length: %d" % (len(body) + draw.choice((-1, 1, 2**62)) * may_end_early)]
    while is_odd(0.25):
        lines.append(draw.choice(HEADERS) + b": " + draw.choice(HEADER_VALUES))
        may_end_early = True
    request = b"\r\n".join(lines) + b"\r\n\r\n" + body
    if is_odd():
        at, may_end_early = draw.randrange(len(request)), True
        request = request[:at] + draw.randbytes(draw.randint(0, 3)) + request[at + draw.randint(0, 3) :]
    return request, may_end_early


def send(address: Address, request: bytes, may_end_early: bool) -> bytes:
    """Send a request; return the start of the answer, empty if there is none.

    The server must not wait for the rest of a request that ends too early, or the test would take hours.
    """
    with socket.create_connection((address.host, address.port), timeout=60) as client, suppress(ConnectionError):
        client.sendall(request)
        if may_end_early:
            client.settimeout(0.05)
        with suppress(TimeoutError):
            start = client.recv(1 << 12)
            while client.recv(1 << 18):
                pass
            return start
    return b""


def measure_memory() -> int:
    """Return the memory of this process that isn't shared, in bytes."""
    pages = Path("/proc/self/statm").read_text().split()
    return (int(pages[1]) - int(pages[2])) * 4096


@pytest.fixture
def address(tmp_path: Path) -> Iterator[Address]:
    for name in ("a", "b"):
        (tmp_path / f"{name}.wav").write_bytes(wav())
    project = LocalProject(tmp_path)
    project.scan()
    with running(project, block=TOY) as address:
        yield address
    project.close()


def list_calls(folder: Path) -> list[str]:
    """Return CALLS, and those routes of the application that aren't among them."""
    folder.mkdir()
    project = LocalProject(folder)
    server, jobs = _make_server(project, Address("127.0.0.1", 1, "key"), TOY)
    jobs.close()
    project.close()
    known = {tuple(call.replace("JSON", "POST").split()[:2]) for call in CALLS}
    names = " ".join(sorted({name for call in CALLS for name in call.split()[2:]}))
    routes = {
        (method, re.sub(r"\{\w+\}", "1", route.path))
        for route in server.config.app.routes
        for method in route.methods - {"HEAD"}
    }
    return [*CALLS, *(f"{method} {path} {names}" for method, path in sorted(routes - known))]


def fuzz(address: Address, numbers: range, token: bytes, calls: Sequence[str]) -> None:
    for number in numbers:
        request, may_end_early = make_request(random.Random(number), address.key.encode(), token, calls)
        answer = send(address, request, may_end_early)
        status = re.match(rb"HTTP/1\.1 ([1-4]\d\d)", answer)
        assert status or not answer, (number, request[:2000], answer[:2000])


def find_token(address: Address) -> bytes:
    page = b""
    with socket.create_connection((address.host, address.port), timeout=60) as client:
        client.sendall(b"GET /login HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        while block := client.recv(1 << 16):
            page += block
    found = re.search(rb'name="csrf-token" content="([0-9a-f]{64})"', page)
    assert found
    return found[1]


def test_a_few_odd_requests_get_no_500(address: Address, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    fuzz(address, range(FEW), find_token(address), list_calls(tmp_path / "empty"))
    assert "Traceback" not in capfd.readouterr().err


def test_odd_questions_of_the_class_picker_get_no_500(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    project = LocalProject(tmp_path)
    calls = [call for call in CALLS if re.search(r"/actions/\w+\.json", call)]
    with running(project) as address:  # this block, because another has no picker
        fuzz(address, range(FEW), find_token(address), calls)
    project.close()
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.slow
def test_ten_thousand_odd_requests_get_no_500_and_no_memory(
    address: Address, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    token, calls = find_token(address), list_calls(tmp_path / "empty")
    fuzz(address, range(1000), token, calls)
    before = measure_memory()
    fuzz(address, range(1000, MANY), token, calls)
    assert measure_memory() - before < MOST_GROWTH
    assert "Traceback" not in capfd.readouterr().err
