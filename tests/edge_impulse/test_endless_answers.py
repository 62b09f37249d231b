"""Every try of a call ends in bounded time, and the rest of an answer is never taken for the next one."""

from __future__ import annotations

import gzip
import time
import zlib

import pytest

from block.edge_impulse.client import StudioClient
from block.edge_impulse.errors import BadAnswer, ConnectionFailed, Redirected
from block.edge_impulse.retries import RetryPolicy, Timeouts
from tests.edge_impulse.scripted import Answer, envelope, scripted
from tests.runtime.dripping import DRIPS, Drip, dripping

KEY = "ei_0123456789secret"
DONE = b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n" + envelope()


def make_client(url: str, timeouts: Timeouts | None = None) -> StudioClient:
    """Return a client that tries twice. By default, it gives up a try after 0.4 s."""
    policy = RetryPolicy(tries=2, first_wait_s=0.01)
    return StudioClient(url, KEY, policy, sleep=time.sleep, timeouts=timeouts or Timeouts(0.2, 0.2))


@pytest.mark.parametrize("drip", DRIPS)
def test_a_try_ends_however_slowly_the_answer_drips(drip: str) -> None:
    message = "(no complete answer|no answer|the answer stalled: ).* s; tried 2 times"
    with dripping(DRIPS[drip]) as url, pytest.raises(ConnectionFailed, match=message):
        make_client(url).get_audio("/api/1/wav", 1 << 30)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_the_body_of_a_redirect_is_never_read(status: int) -> None:
    headers = b"Location: /v1/again\r\nContent-Encoding: gzip\r\nContent-Length: 99999\r\n\r\n"
    head = b"HTTP/1.1 %d Moved\r\n%b" % (status, headers)
    with dripping(Drip(head, b"x")) as url, pytest.raises(Redirected, match="more than 5 times"):
        make_client(url, Timeouts(60, 60)).get_json("/api/x")


def test_an_early_answer_is_not_taken_for_the_real_one() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    with dripping(Drip(early + DONE, b"x")) as url:
        client = make_client(url, Timeouts())
        for _ in range(2):
            with pytest.raises(ConnectionFailed, match="HTTP 103 instead of an answer; tried 2 times"):
                client.get_json("/api/x")


def test_an_answer_with_two_lengths_is_retried() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\nContent-Length: 5\r\n\r\n"
    with dripping(Drip(head + envelope(), b"x")) as url:
        with pytest.raises(ConnectionFailed, match="two different Content-Lengths; tried 2 times"):
            make_client(url, Timeouts()).get_json("/api/x")


def test_a_name_that_never_resolves_counts_as_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.getaddrinfo", lambda *arguments: time.sleep(0.6))
    with pytest.raises(ConnectionFailed, match=r"no connection within 0.2 s; tried 2 times"):
        make_client("http://never.test").get_json("/api/x")


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", gzip.compress(envelope(n=1), mtime=0)),
        ("X-GZIP", gzip.compress(envelope(n=1), mtime=0)),
        ("gzip", gzip.compress(b'{"success": true, ', mtime=0) + gzip.compress(b'"n": 1}', mtime=0)),
        ("deflate", zlib.compress(envelope(n=1))),
        ("identity", envelope(n=1)),
    ],
)
def test_packed_answers_are_unpacked(encoding: str, packed: bytes) -> None:
    with scripted(Answer(body=packed, headers={"Content-Encoding": encoding})) as server:
        assert make_client(server.url, Timeouts()).get_json("/api/x")["n"] == 1
        assert server.asked[0].headers["Accept-Encoding"] == "gzip, deflate"


@pytest.mark.parametrize(
    "packed", [gzip.compress(envelope(), mtime=0)[:-1], gzip.compress(envelope(), mtime=0) + b"odd", b"odd"]
)
def test_packed_answers_that_end_early_or_are_damaged_are_retried(packed: bytes) -> None:
    with scripted(Answer(body=packed, headers={"Content-Encoding": "gzip"})) as server:
        with pytest.raises(ConnectionFailed, match="broke off after .* tried 2 times"):
            make_client(server.url, Timeouts()).get_json("/api/x")


def test_an_answer_in_an_encoding_that_was_not_asked_for_is_refused() -> None:
    with scripted(Answer(headers={"Content-Encoding": "gzip, br"})) as server:
        with pytest.raises(BadAnswer, match="encoded as 'gzip, br'; expected gzip or deflate"):
            make_client(server.url).get_json("/api/x")


def test_packed_bytes_that_yield_nothing_are_limited_too() -> None:
    empty = gzip.compress(b"") * 10_000
    with scripted(Answer(body=empty, headers={"Content-Encoding": "gzip"})) as server:
        with pytest.raises(BadAnswer, match="longer than the limit of 100000 bytes"):
            make_client(server.url, Timeouts()).get_audio("/api/1/wav", 100_000)
