from __future__ import annotations

import socket
import threading
import time
from dataclasses import dataclass, field

import pytest

from block.edge_impulse.client import StudioClient
from block.edge_impulse.errors import ConnectionFailed, NotFound, Redirected, Unauthorized
from block.edge_impulse.retries import RetryPolicy
from block.recording import RunEnded
from tests.edge_impulse.scripted import Answer, Server, scripted
from tests.edge_impulse.test_client import KEY, listening


@dataclass
class Gate:
    """Lets everything through, and remembers it."""

    told: list[tuple[str, float | None]] = field(default_factory=list)
    inside: set[int] = field(default_factory=set)
    entered: int = 0

    def enter(self, stop: threading.Event) -> int | None:
        self.entered += 1
        self.inside.add(self.entered)
        return self.entered

    def leave(self, number: int, outcome: str, asked_s: float | None = None) -> None:
        self.inside.remove(number)
        self.told.append((outcome, asked_s))


def client_of(server: Server, gate: Gate, tries: int = 3) -> StudioClient:
    return StudioClient(server.url, KEY, RetryPolicy(tries=tries), sleep=lambda s: None, rate_limit=gate)


def test_the_gate_is_asked_before_each_try_and_told_how_it_ended() -> None:
    gate = Gate()
    answers = [
        Answer(500), Answer(429, headers={"Retry-After": "7"}), Answer(429), Answer(503),
        Answer(503, headers={"Retry-After": "8"}), Answer(drop=True), Answer(body=b"<html>"), Answer(),
    ]  # fmt: skip
    with scripted(*answers) as server:
        client_of(server, gate, tries=9).get_json("/api/x")
        assert len(server.asked) == gate.entered == 8
    assert gate.told == [("failed", None), ("slowed", 7), ("slowed", None), ("failed", None), ("slowed", 8),
                         ("failed", None), ("failed", None), ("good", None)]  # fmt: skip


@pytest.mark.parametrize("status", [401, 404])
def test_a_refusal_is_a_good_answer_to_the_gate(status: int) -> None:
    gate = Gate()
    with scripted(Answer(status)) as server, pytest.raises((Unauthorized, NotFound)):
        client_of(server, gate).get_json("/api/x")
    assert gate.told == [("good", None)]


def test_whatever_goes_wrong_the_gate_is_left() -> None:
    gate = Gate()
    with scripted(Answer(302, headers={"Location": "http://elsewhere.invalid/"})) as server:
        with pytest.raises(Redirected):
            client_of(server, gate).get_json("/api/x")
    with pytest.raises(ConnectionFailed):
        client_of(server, gate).get_json("/api/x")  # which is gone
    assert gate.told == [("failed", None)] * 4
    assert gate.inside == set()


def test_a_pause_that_is_too_long_is_reported_without_its_length() -> None:
    gate = Gate()
    with (
        scripted(Answer(429, headers={"Retry-After": "3600"})) as server,
        pytest.raises(ConnectionFailed, match="3600"),
    ):
        client_of(server, gate).get_json("/api/x")
    assert gate.told == [("slowed", None)]


def test_who_waits_for_another_try_is_outside_of_the_gate() -> None:
    gate, inside = Gate(), []
    with scripted(Answer(500), Answer(429, headers={"Retry-After": "1"}), Answer()) as server:
        client = StudioClient(server.url, KEY, sleep=lambda s: inside.append(len(gate.inside)), rate_limit=gate)
        client.get_json("/api/x")
    assert inside == [0, 0]


def test_a_request_is_under_way_until_its_body_is_read() -> None:
    gate, inside = Gate(), []

    def slow(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n" + b"x" * 10)
        time.sleep(0.2)  # the header and half of the body are there long since
        inside.append(len(gate.inside))
        connection.sendall(b"x" * 10)

    with listening(slow) as url:
        assert len(StudioClient(url, KEY, rate_limit=gate).get_bytes("/api/1/wav", 100)) == 20
    assert inside == [1]
    assert gate.inside == set()


class Closed(Gate):
    """Let no request through until the run is over."""

    def enter(self, stop: threading.Event) -> int | None:
        stop.wait(30)
        return None


def test_after_the_run_no_thread_waits_and_no_request_is_sent() -> None:
    stop = threading.Event()
    threading.Timer(0.1, stop.set).start()
    began = time.monotonic()
    with scripted(Answer()) as server:
        client = StudioClient(server.url, KEY, stop=stop, rate_limit=Closed())
        with pytest.raises(ConnectionFailed, match="GET /api/x: not sent, because the run is over"):
            client.get_json("/api/x")
        assert server.asked == []
    assert time.monotonic() - began < 5


class Gone(Gate):
    """Leads nowhere."""

    def enter(self, stop: threading.Event) -> int | None:
        raise RunEnded("the process that started this run is gone")


def test_a_gate_that_is_gone_ends_the_run() -> None:
    with scripted(Answer()) as server, pytest.raises(RunEnded, match="is gone"):
        client_of(server, Gone()).get_json("/api/x")
    assert server.asked == []
