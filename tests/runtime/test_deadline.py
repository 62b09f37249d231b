"""A deadline ends network calls by the clock, whatever a server sends."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import requests

from block.runtime.deadline import Deadline, DeadlinePassed, watch
from block.runtime.watched_adapter import WatchedAdapter
from tests.runtime.dripping import DRIPS, Drip, dripping

TIMEOUTS_S = (30.0, 30.0)  # far longer than the deadlines


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        session.mount("http://", WatchedAdapter())
        yield session


def wait_until_passed(deadline: Deadline) -> None:
    while not deadline.has_passed:
        time.sleep(0.001)


@pytest.mark.parametrize("drip", DRIPS)
def test_an_answer_that_never_ends_is_given_up(drip: str, session: requests.Session) -> None:
    with dripping(DRIPS[drip]) as url, pytest.raises(DeadlinePassed, match="not done within"):
        with Deadline(0.2):
            session.get(url, timeout=TIMEOUTS_S)


def test_a_connection_that_is_used_again_is_watched_again(session: requests.Session) -> None:
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    with dripping(DRIPS["header"], [whole, whole]) as url:
        with Deadline(3600):
            assert session.get(url, timeout=TIMEOUTS_S).content == b"{}"
        assert session.get(url, timeout=TIMEOUTS_S).content == b"{}"
        with pytest.raises(DeadlinePassed), Deadline(0.2):
            session.get(url, timeout=TIMEOUTS_S)


def test_a_body_that_ends_with_its_connection_does_not_count_as_whole(session: requests.Session) -> None:
    content = b""
    with dripping(Drip(b"HTTP/1.1 200 OK\r\n\r\nx", b"x")) as url, pytest.raises(DeadlinePassed):
        with Deadline(3600) as deadline:
            answer = session.get(url, timeout=TIMEOUTS_S, stream=True)
            deadline.renew(0.1)
            content = answer.content  # doesn't raise
            assert deadline.has_passed
    assert content.startswith(b"x")


def test_an_answer_in_time_is_returned_and_the_connection_stays_open(session: requests.Session) -> None:
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    with dripping(DRIPS["header"], [whole, whole]) as url:
        for _ in range(2):
            with Deadline(3600) as deadline:
                assert session.get(url, timeout=TIMEOUTS_S).content == b"{}"
            assert not deadline.has_passed


def test_the_sockets_of_a_block_are_left_alone_once_it_is_over() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with pytest.raises(DeadlinePassed), Deadline(0) as deadline:
            wait_until_passed(deadline)
        with Deadline(3600):
            watch(ours)
        ours.sendall(b"x")
        assert theirs.recv(9) == b"x"
        ours.close()
        assert theirs.recv(9) == b""  # no duplicate keeps the connection open


def test_a_socket_that_is_opened_after_the_deadline_is_shut_down() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(DeadlinePassed), Deadline(0) as deadline:
        wait_until_passed(deadline)
        watch(ours)
        assert theirs.recv(9) == b""


def test_without_a_deadline_sockets_are_not_watched() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with Deadline(3600):
            pass
        watch(ours)
        ours.sendall(b"x")
        assert theirs.recv(9) == b"x"


def test_a_renewed_deadline_passes_later_or_earlier(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("block.runtime.deadline.time", SimpleNamespace(monotonic=lambda: now[0]))

    def let_the_watcher_look() -> None:
        with pytest.raises(DeadlinePassed), Deadline(-1) as other:
            wait_until_passed(other)

    with pytest.raises(DeadlinePassed, match="not done within 80 s"), Deadline(10) as deadline:
        now[0] = 5
        deadline.renew(100)
        now[0] = 50
        let_the_watcher_look()
        assert not deadline.has_passed
        deadline.renew(30)
        now[0] = 81
        let_the_watcher_look()
        assert deadline.has_passed
        deadline.renew(100)
        assert deadline.has_passed


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_only_ordinary_errors_are_replaced(error: type[BaseException]) -> None:
    with pytest.raises(error), Deadline(0) as deadline:
        wait_until_passed(deadline)
        raise error


def test_an_error_before_the_deadline_is_raised_as_it_is() -> None:
    with pytest.raises(ValueError, match="mine"), Deadline(3600):
        raise ValueError("mine")


def test_a_name_that_never_resolves_is_given_up_and_looked_up_once(
    session: requests.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_up, answering, asked = socket.getaddrinfo, threading.Event(), []

    def hang(*arguments: object) -> object:
        asked.append(arguments[0])
        answering.wait(30)
        return look_up("127.0.0.1", *arguments[1:])

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    with dripping(Drip(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", b"x")) as url:
        url = url.replace("127.0.0.1", "studio.test")
        for _ in range(2):
            with pytest.raises(requests.ConnectTimeout):
                session.get(url, timeout=(0.05, 30.0))
        assert asked == ["studio.test"]
        answering.set()
        assert session.get(url, timeout=TIMEOUTS_S).content == b"{}"


def test_all_addresses_of_a_name_are_tried(session: requests.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    look_up = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo",
        lambda host, *rest: [*look_up("127.0.0.9", *rest), *look_up("127.0.0.1", *rest)],
    )  # fmt: skip
    with dripping(Drip(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", b"x")) as url:
        assert session.get(url.replace("127.0.0.1", "studio.test"), timeout=TIMEOUTS_S).content == b"{}"


@pytest.mark.parametrize("problem", [socket.gaierror(-2, "unknown"), OSError(5, "odd")])
def test_a_name_that_cannot_be_looked_up_is_a_connection_error(
    problem: OSError, session: requests.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> object:
        raise problem

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(requests.ConnectionError, match="studio.test"):
        session.get("http://studio.test", timeout=TIMEOUTS_S)
