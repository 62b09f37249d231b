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
from tests.edge_impulse.test_client import KEY, socket_server


@dataclass
class FakeRateLimit:
    """Let every request through and record its outcome."""

    outcomes: list[tuple[str, float | None]] = field(default_factory=list)
    inside: set[int] = field(default_factory=set)
    entered: int = 0

    def enter(self, stop: threading.Event) -> int | None:
        self.entered += 1
        self.inside.add(self.entered)
        return self.entered

    def leave(self, number: int, outcome: str, asked_s: float | None = None) -> None:
        self.inside.remove(number)
        self.outcomes.append((outcome, asked_s))


def make_client(server: Server, limit: FakeRateLimit, tries: int = 3) -> StudioClient:
    return StudioClient(server.url, KEY, RetryPolicy(tries=tries), sleep=lambda s: None, rate_limit=limit)


def test_each_try_enters_the_rate_limit_and_reports_its_outcome() -> None:
    limit = FakeRateLimit()
    answers = [
        Answer(500), Answer(429, headers={"Retry-After": "7"}), Answer(429), Answer(503),
        Answer(503, headers={"Retry-After": "8"}), Answer(drop=True), Answer(body=b"<html>"), Answer(),
    ]  # fmt: skip
    with scripted(*answers) as server:
        make_client(server, limit, tries=9).get_json("/api/x")
        assert len(server.asked) == limit.entered == 8
    assert limit.outcomes == [("failed", None), ("slowed", 7), ("slowed", None), ("failed", None), ("slowed", 8),
                         ("failed", None), ("failed", None), ("good", None)]  # fmt: skip


@pytest.mark.parametrize("status", [401, 404])
def test_a_refused_request_counts_as_good_for_the_rate_limit(status: int) -> None:
    limit = FakeRateLimit()
    with scripted(Answer(status)) as server, pytest.raises((Unauthorized, NotFound)):
        make_client(server, limit).get_json("/api/x")
    assert limit.outcomes == [("good", None)]


def test_a_failed_request_leaves_the_rate_limit() -> None:
    limit = FakeRateLimit()
    with scripted(Answer(302, headers={"Location": "http://elsewhere.invalid/"})) as server:
        with pytest.raises(Redirected):
            make_client(server, limit).get_json("/api/x")
    with pytest.raises(ConnectionFailed):
        make_client(server, limit).get_json("/api/x")  # the server is closed by now
    assert limit.outcomes == [("failed", None)] * 4
    assert limit.inside == set()


def test_a_retry_after_that_is_too_long_is_not_passed_to_the_rate_limit() -> None:
    limit = FakeRateLimit()
    with (
        scripted(Answer(429, headers={"Retry-After": "3600"})) as server,
        pytest.raises(ConnectionFailed, match="3600"),
    ):
        make_client(server, limit).get_json("/api/x")
    assert limit.outcomes == [("slowed", None)]


def test_a_request_leaves_the_rate_limit_while_it_waits_to_retry() -> None:
    limit, inside = FakeRateLimit(), []
    with scripted(Answer(500), Answer(429, headers={"Retry-After": "1"}), Answer()) as server:
        client = StudioClient(server.url, KEY, sleep=lambda s: inside.append(len(limit.inside)), rate_limit=limit)
        client.get_json("/api/x")
    assert inside == [0, 0]


def test_a_request_stays_in_the_rate_limit_until_its_body_is_read() -> None:
    limit, inside = FakeRateLimit(), []

    def send_slowly(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n" + b"x" * 10)
        time.sleep(0.2)  # by now the client has the header and half of the body
        inside.append(len(limit.inside))
        connection.sendall(b"x" * 10)

    with socket_server(send_slowly) as url:
        assert StudioClient(url, KEY, rate_limit=limit).get_audio("/api/1/wav", 100).size == 20
    assert inside == [1]
    assert limit.inside == set()


class ClosedRateLimit(FakeRateLimit):
    """Let no request through until the run is over."""

    def enter(self, stop: threading.Event) -> int | None:
        stop.wait(30)
        return None


def test_a_waiting_request_is_not_sent_after_the_run_is_over() -> None:
    stop = threading.Event()
    threading.Timer(0.1, stop.set).start()
    began = time.monotonic()
    with scripted(Answer()) as server:
        client = StudioClient(server.url, KEY, stop=stop, rate_limit=ClosedRateLimit())
        with pytest.raises(ConnectionFailed, match="GET /api/x: not sent, because the run is over"):
            client.get_json("/api/x")
        assert server.asked == []
    assert time.monotonic() - began < 5


class LostRateLimit(FakeRateLimit):
    """Fail as if the process that manages the rate limit were gone."""

    def enter(self, stop: threading.Event) -> int | None:
        raise RunEnded("the process that started this run is gone")


def test_losing_the_rate_limit_ends_the_run() -> None:
    with scripted(Answer()) as server, pytest.raises(RunEnded, match="is gone"):
        make_client(server, LostRateLimit()).get_json("/api/x")
    assert server.asked == []
