"""Requests to the local Studio that are there to exhaust it, to measure it from another site, or to break it."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
import requests
from starlette.staticfiles import StaticFiles

from block.local_studio import connections
from block.local_studio.address import Address
from block.local_studio.connections import LogRateLimit
from block.local_studio.data.project import LocalProject
from block.local_studio.server import running
from tests.conftest import ROOT
from tests.security.hostile import wav


@pytest.fixture
def address(tmp_path: Path) -> Iterator[Address]:
    (tmp_path / "a.wav").write_bytes(wav())
    project = LocalProject(tmp_path)
    project.scan()
    with running(project) as address:
        yield address
    project.close()


def test_a_short_text_with_long_ranges_of_ids_costs_no_memory(address: Address) -> None:
    ranges = ",".join(f"{number}-9007199254740991" for number in range(1, 300))
    tracemalloc.start()
    try:
        for path in (f"/actions?ids={ranges}", "/actions?ids=1-1000000,2000000-3000000"):
            assert requests.get(address.url + path, timeout=60).status_code == 200
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10 << 20


COSTLY = ("/", "/actions?ids=1", "/actions/classes.json?model=ast-tiny-audioset",
          "/actions/search.json?model=ast-tiny-audioset&text=gun", "/recordings/1",
          "/recordings/1/spectrogram.png", "/recordings/1/waveform.json", "/recordings/1/audio", "/labels/export",
          "/jobs", "/about", "/static/studio.css")  # fmt: skip
OF_A_JOB = ("/jobs/1/thresholds", "/jobs/1/thresholds.json", "/jobs/1/overviews.json",
            "/similar?sample=1&start=0&end=160")  # fmt: skip


@pytest.mark.parametrize("site", ["cross-site", "same-site", "something-new"])
def test_no_page_of_another_site_can_make_the_studio_work(address: Address, site: str) -> None:
    for path in (*COSTLY, *OF_A_JOB):
        for dest in ("image", "audio", "iframe", "document", ""):
            headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Dest": dest}
            answer = requests.get(address.url + path, headers=headers, timeout=10)
            assert answer.status_code == 403, path
            assert "another site" in answer.text
        assert requests.head(address.url + path, headers={"Sec-Fetch-Site": site}, timeout=10).status_code == 403


def test_own_pages_typed_addresses_and_clicked_links_are_answered(address: Address) -> None:
    clicked = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "document", "Sec-Fetch-User": "?1"}
    for headers in ({}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, clicked):
        for path in COSTLY:
            assert requests.get(address.url + path, headers=headers, timeout=10).status_code == 200, path


def test_no_page_of_another_site_can_embed_an_answer(address: Address) -> None:
    for path in (*COSTLY, *OF_A_JOB, "/nothing", "/v1/api/projects", "/ids.json"):
        for headers in ({}, {"Host": "evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"x-api-key": address.key}):
            answer = requests.get(address.url + path, headers=headers, timeout=10)
            assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin", path


HALF_SENT = {
    "nothing": b"",
    "half a head": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n",
    "half a body": b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\n\r\nkey=",
    "half a chunk": b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\n\r\nff\r\nkey=",
    "half of the next request": b"GET /static/studio.css HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET /",
}


@contextmanager
def half_sent(address: Address, count: int, data: bytes) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        opened = []
        for _ in range(count):
            client = stack.enter_context(socket.create_connection((address.host, address.port), timeout=60))
            client.sendall(data)
            opened.append(client)
        yield opened


@pytest.mark.parametrize("what", HALF_SENT)
def test_half_sent_requests_are_dropped(address: Address, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    monkeypatch.setattr(connections, "WAIT_S", 0.2)
    with half_sent(address, 1, HALF_SENT[what]) as (client,), suppress(ConnectionResetError):
        while client.recv(1 << 16):  # until the server closes the connection; the socket has a time limit
            pass


def test_a_request_that_drips_is_dropped_too(address: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "WAIT_S", 0.2)
    with half_sent(address, 1, HALF_SENT["half a head"]) as (client,), pytest.raises(ConnectionError):
        for _ in range(6000):
            client.sendall(b"x")
            time.sleep(0.01)


@pytest.mark.parametrize("length", [b"", b"Connection: close\r\n"])
def test_clients_that_do_not_read_are_dropped(
    address: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: bytes
) -> None:
    monkeypatch.setattr(connections, "READ_S", 0.2)
    monkeypatch.setattr(connections, "WAIT_S", 0.2)
    large = 64 << 20  # bytes; sockets hold a few MiB
    page = tmp_path / "large.css"
    page.touch()
    os.truncate(page, large)
    monkeypatch.setattr(StaticFiles, "lookup_path", lambda self, path: (str(page), page.stat()))
    with half_sent(address, 1, b"GET /static/large.css HTTP/1.1\r\nHost: 127.0.0.1\r\n" + length + b"\r\n") as (
        client,
    ):
        wait_for_end(address)
        received = 0
        with suppress(ConnectionResetError):
            while block := client.recv(1 << 20):
                received += len(block)
        assert received < large


def wait_for_end(address: Address) -> None:
    """Wait until the server has no connection."""
    port, deadline = f"{address.port:04X}", time.monotonic() + 60
    while time.monotonic() < deadline:
        lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        if not [one for one in lines if one[1].endswith(f":{port}") and one[3] == "01"]:  # established
            return
        time.sleep(0.01)
    raise AssertionError("the connection is still open")


def test_half_sent_requests_never_starve_others(address: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "count_connections_allowed", lambda: 8)
    for data in HALF_SENT.values():
        with half_sent(address, 40, data):
            assert requests.get(f"{address.url}/about", timeout=60).status_code == 200


def test_a_server_with_few_file_descriptors_survives_many_connections_with_a_short_log(tmp_path: Path) -> None:
    code = "import sys; from block.commands.studio import main; sys.exit(main(sys.argv[1:]))"
    words = ["sh", "-c", 'ulimit -n 128; exec "$@"', "sh", sys.executable, "-c", code, str(tmp_path), "--port", "0"]
    (tmp_path / "a.wav").write_bytes(wav())
    errors = tmp_path / "errors.txt"
    with errors.open("wb") as log, subprocess.Popen(words, stdout=subprocess.PIPE, stderr=log, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            text = process.stdout.readline().decode()
            address = Address("127.0.0.1", int(text.rpartition(" (")[0].rpartition(":")[2]), "")
            for data in HALF_SENT.values():
                with half_sent(address, 200, data):
                    assert requests.get(f"{address.url}/about", timeout=60).status_code == 200
            for _ in range(200):
                with half_sent(address, 1, b"nonsense\r\n\r\n") as (client,):
                    client.recv(1000)
        finally:
            process.kill()
    assert errors.stat().st_size < 20_000


def test_log_lines_are_limited_in_rate() -> None:
    now = 0.0
    limit = LogRateLimit(most=3, period_s=60, clock=lambda: now)
    records = [logging.LogRecord("x", logging.WARNING, "", 0, "line %d", (i,), None) for i in range(12)]
    assert [limit.filter(record) for record in records[:10]] == [True] * 3 + [False] * 7
    now = 61.0
    assert [limit.filter(record) for record in records[10:]] == [True, True]
    assert [record.getMessage() for record in records[10:]] == ["line 10 (after 7 messages left out)", "line 11"]
