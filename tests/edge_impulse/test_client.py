from __future__ import annotations

import email.utils
import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest

from block.edge_impulse.client import StudioClient
from block.edge_impulse.endpoint import normalize_endpoint
from block.edge_impulse.errors import (
    BadAnswer,
    ConnectionFailed,
    Forbidden,
    NotFound,
    Redirected,
    Refused,
    StudioError,
    Unauthorized,
    Unreachable,
)
from block.edge_impulse.retries import RetryBudget, RetryPolicy, Timeouts, retry_after_s
from tests.edge_impulse.scripted import Answer, Server, envelope, scripted

KEY = "ei_0123456789secret"


def client_of(server: Server, waits: list[float] | None = None, tries: int = 3) -> StudioClient:
    return StudioClient(server.url, KEY, RetryPolicy(tries=tries), sleep=(waits if waits is not None else []).append)


@pytest.mark.parametrize(
    "text",
    ["https://studio.edgeimpulse.com/v1", "https://studio.edgeimpulse.com", " https://studio.edgeimpulse.com/v1/ ",
     "https://studio.edgeimpulse.com/"],
)  # fmt: skip
def test_an_endpoint_is_accepted_with_and_without_v1_and_slash(text: str) -> None:
    assert normalize_endpoint(text) == "https://studio.edgeimpulse.com/v1"


@pytest.mark.parametrize(
    "text",
    [
        "studio.edgeimpulse.com",
        "ftp://x",
        "https://",
        "https://u:p@x/v1",
        "https://x?a=b",
        "http://x:99999",
        "http://x:abc",
        "http://a b",
        "http://*",
        "http://x:0",
    ],
)
def test_an_invalid_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        normalize_endpoint(text)


def test_the_key_travels_in_its_header_and_the_query_in_the_path() -> None:
    with scripted(Answer(body=envelope(projects=[]))) as server:
        assert client_of(server).get_json("/api/projects", limit=2)["projects"] == []
    assert server.asked[0].path == "/v1/api/projects?limit=2"
    assert server.asked[0].headers["x-api-key"] == KEY


TRANSIENT = {
    "a 500": Answer(500, b"oops"),
    "a 503 with an envelope": Answer(503, b'{"success": false, "error": "busy"}'),
    "a 429": Answer(429, b"{}"),
    "a dropped connection": Answer(drop=True),
    "a body that ends early": Answer(body=b'{"success": true', claimed=1000),
    "a page instead of JSON": Answer(body=b"<html>gateway</html>"),
    "JSON that isn't an object": Answer(body=b"[1, 2]"),
}


@pytest.mark.parametrize("trouble", TRANSIENT)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_transient_failure_is_retried(trouble: str, method: str) -> None:
    waits: list[float] = []
    with scripted(TRANSIENT[trouble], Answer(body=envelope(value=7))) as server:
        client = client_of(server, waits)
        answer = client.get_json("/api/x") if method == "GET" else client.post_json("/api/x", {"a": 1})
    assert answer["value"] == 7
    assert len(server.asked) == 2
    assert len(waits) == 1
    if method == "POST":
        assert [one.body for one in server.asked] == [b'{"a": 1}'] * 2


@pytest.mark.parametrize("trouble", TRANSIENT)
def test_a_lasting_failure_is_raised_after_the_last_try(trouble: str) -> None:
    with scripted(TRANSIENT[trouble]) as server, pytest.raises(ConnectionFailed, match="tried 3 times") as caught:
        client_of(server).get_json("/api/x")
    assert len(server.asked) == 3
    assert "GET /api/x" in str(caught.value)


@pytest.mark.parametrize("answer", [Answer(body=b"<html>", headers={"Content-Type": "text/html"}),
                                    Answer(body=b"RIFF", claimed=1000)])  # fmt: skip
def test_audio_that_is_a_page_or_ends_early_is_asked_for_again(answer: Answer) -> None:
    with scripted(answer, Answer(body=b"RIFFxxxx", headers={"Content-Type": "audio/wav"})) as server:
        assert client_of(server).get_bytes("/api/1/wav", 1000) == b"RIFFxxxx"


def test_json_instead_of_audio_is_an_error() -> None:
    with scripted(Answer(body=b'{"success": false, "error": "no audio axis"}')) as server:
        with pytest.raises(Refused, match="no audio axis"):
            client_of(server).get_bytes("/api/1/wav", 1000)
        server.answers = [Answer()]
        with pytest.raises(StudioError, match="expected audio"):
            client_of(server).get_bytes("/api/1/wav", 1000)


def test_an_unreachable_server_is_reported_after_the_last_try() -> None:
    with scripted(Answer()) as server:
        pass
    with pytest.raises(ConnectionFailed, match="no connection could be made; tried 3 times"):
        client_of(server).get_json("/api/x")


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (Answer(401, b'{"success": false, "error": "bad key"}'), Unauthorized, "HTTP 401: bad key"),
        (Answer(403, b'{"success": false, "error": "not yours"}'), Forbidden, "HTTP 403: not yours"),
        (Answer(404, b"<html>"), NotFound, "HTTP 404: no reason given"),
        (Answer(400, b'{"success": false, "error": "gap at 5"}'), Refused, "HTTP 400: gap at 5"),
        (Answer(200, b'{"success": false, "error": "gap at 5"}'), Refused, "HTTP 200: gap at 5"),
        (Answer(200, b'{"id": 3}'), Refused, "HTTP 200: no reason given"),
    ],
)
def test_a_refusal_is_final_and_quotes_the_server(answer: Answer, kind: type, said: str) -> None:
    with scripted(answer) as server, pytest.raises(kind, match=said):
        client_of(server).post_json("/api/x", {})
    assert len(server.asked) == 1


def test_waits_double_and_a_retry_after_is_honored() -> None:
    waits: list[float] = []
    date = email.utils.formatdate(time.time() + 60, usegmt=True)
    busy = [Answer(429, headers={"Retry-After": "7"}), Answer(503, headers={"Retry-After": date}),
            Answer(500), Answer(429, headers={"Retry-After": "soon"}), Answer()]  # fmt: skip
    with scripted(*busy) as server:
        client_of(server, waits, tries=5).get_json("/api/x")
    assert waits[0] == 7
    assert 55 < waits[1] <= 60
    assert 2 <= waits[2] <= 4
    assert 4 <= waits[3] <= 8


def test_a_date_to_come_back_at_is_read_by_the_servers_own_clock() -> None:
    waits: list[float] = []
    then = time.time() - 10 * 365 * 86400  # the server's clock, or ours, is ten years off
    date, until = (email.utils.formatdate(moment, usegmt=True) for moment in (then, then + 90))
    with scripted(Answer(503, headers={"Retry-After": until, "Date": date}), Answer()) as server:
        client_of(server, waits).get_json("/api/x")
    assert waits[0] == 90


@pytest.mark.parametrize("asked", ["0", "Sat, 01 Jan 2000 00:00:00 GMT"])
def test_a_server_that_asks_for_no_wait_gets_the_usual_one(asked: str) -> None:
    budget = RetryBudget(RetryPolicy())
    for _ in range(3):
        budget.spend(is_outage=False)
    assert 2 <= budget.wait_s(retry_after_s({"Retry-After": asked})) <= 4


def test_a_server_that_asks_for_too_long_a_wait_is_given_up_at_once() -> None:
    with scripted(Answer(429, headers={"Retry-After": "3600"})) as server:
        with pytest.raises(ConnectionFailed, match="not retried, because its Retry-After \\(3600\\) is too long"):
            client_of(server).get_json("/api/x")
    assert len(server.asked) == 1


def test_once_the_run_is_over_nothing_is_tried_again() -> None:
    stop = threading.Event()
    with scripted(Answer(503, headers={"Retry-After": "100"})) as server:
        client = StudioClient(server.url, KEY, stop=stop)
        threading.Timer(0.2, stop.set).start()
        began = time.monotonic()
        with pytest.raises(ConnectionFailed, match="HTTP 503.* not retried, because the run is over"):
            client.get_json("/api/x")
    assert time.monotonic() - began < 5


def test_a_loopback_address_is_asked_without_the_environments_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(Answer(500)) as proxy, scripted(Answer(body=envelope(value=1))) as server:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        assert client_of(server).get_json("/api/x")["value"] == 1
        assert proxy.asked == []


def test_an_unusable_setting_of_requests_is_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such/bundle")
    client = StudioClient("https://studio.invalid", KEY, sleep=lambda s: pytest.fail("tried again"))
    with pytest.raises(ConnectionFailed, match="/no/such/bundle"):
        client.get_json("/api/x")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_the_key_never_follows_a_redirect_to_another_host(status: int) -> None:
    with scripted(Answer()) as elsewhere:
        # The same machine under another name is another host as far as the key is concerned.
        other = elsewhere.url.replace("127.0.0.1", "localhost")
        with scripted(Answer(status, headers={"Location": f"{other}/steal"})) as server:
            for call in (client_of(server).get_json, lambda path: client_of(server).post_json(path, {})):
                with pytest.raises(Redirected, match="another host"):
                    call("/api/x")
        assert elsewhere.asked == []


@pytest.mark.parametrize("location", ["http://127.0.0.1:99999/", "http://[::1/"])
def test_a_redirect_to_an_invalid_address_is_reported(location: str) -> None:
    with scripted(Answer(307, headers={"Location": location})) as server:
        with pytest.raises(StudioError, match="an address that is not valid|another host|Invalid IPv6 URL"):
            client_of(server).get_json("/api/x")


def test_another_port_is_another_host() -> None:
    with scripted(Answer()) as elsewhere, scripted(Answer(307, headers={"Location": elsewhere.url})) as server:
        with pytest.raises(Redirected):
            client_of(server).get_json("/api/x")
        assert elsewhere.asked == []


def test_a_redirect_within_the_host_is_followed_with_the_body() -> None:
    with scripted(Answer(308, headers={"Location": "/v1/moved"}), Answer(body=envelope(ok=1))) as server:
        client_of(server).post_json("/api/x", {"a": 1})
    assert [(one.path, one.body) for one in server.asked] == [("/v1/api/x", b'{"a": 1}'), ("/v1/moved", b'{"a": 1}')]


def test_a_redirect_that_would_drop_what_is_written_is_an_error() -> None:
    with scripted(Answer(302, headers={"Location": "/v1/moved"})) as server:
        with pytest.raises(Redirected, match="would drop the data"):
            client_of(server).post_json("/api/x", {"a": 1})


def test_a_redirect_loop_ends() -> None:
    with scripted(Answer(307, headers={"Location": "/v1/again"})) as server:
        with pytest.raises(Redirected, match="more than 5 times"):
            client_of(server).get_json("/api/x")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 500])
def test_a_key_quoted_by_the_server_is_not_repeated(status: int) -> None:
    body = f'{{"success": false, "error": "key {KEY} is odd"}}'.encode()
    with scripted(Answer(status, body)) as server, pytest.raises(StudioError) as caught:
        client_of(server).get_json("/api/x")
    assert KEY not in str(caught.value)
    assert KEY not in repr(caught.value)
    assert "key <key> is odd" in str(caught.value)


@pytest.mark.parametrize("before", [280, 290, 300, 380, 390, 400, 410])
def test_not_even_a_part_of_a_quoted_key_is_repeated_where_a_long_text_is_cut(before: int) -> None:
    body = json.dumps({"success": False, "error": "x" * before + KEY}).encode()
    for status in (400, 500):
        with scripted(Answer(status, body)) as server, pytest.raises(StudioError) as caught:
            client_of(server, tries=1).get_json("/api/x")
        assert "ei_" not in str(caught.value)


def test_endlessly_nested_json_is_refused() -> None:
    with scripted(Answer(body=b"[" * 100_000)) as server, pytest.raises(ConnectionFailed, match="not a JSON object"):
        client_of(server).get_json("/api/x")


@contextmanager
def listening(serve: Callable[[socket.socket], None] | None = None) -> Iterator[str]:
    """An address that accepts connections and passes them to `serve` one by one; without it, they get no answer."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def run() -> None:
            while serve is not None:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection, suppress(OSError):
                    connection.recv(65536)
                    serve(connection)

        thread = threading.Thread(target=run)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def impatient(url: str, tries: int = 2, **policy: float) -> StudioClient:
    return StudioClient(
        url, KEY, RetryPolicy(tries, first_wait_s=0.01, **policy), sleep=time.sleep, timeouts=Timeouts(1, 0.2, 100)
    )


def test_a_server_that_stays_silent_is_given_up() -> None:
    with listening() as url, pytest.raises(ConnectionFailed, match="no answer within .* tried 2 times"):
        impatient(url).get_json("/api/x")


def drip(pieces: int, size: int, pause_s: float) -> Callable[[socket.socket], None]:
    """Serves a body of so many pieces, each of `size` bytes and followed by a pause."""

    def serve(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (pieces * size))
        for _ in range(pieces):
            connection.sendall(b"x" * size)
            time.sleep(pause_s)

    return serve


def test_a_body_that_trickles_in_is_given_up_as_stalled() -> None:
    # Something comes well within every time limit, and yet far too little of it.
    said = r"stalled: only \d+ bytes in .*tried 2 times"
    with listening(drip(200, 10, 0.05)) as url, pytest.raises(ConnectionFailed, match=said):
        impatient(url).get_bytes("/api/1/wav", 1 << 20)


def test_a_body_that_comes_slowly_but_steadily_is_taken() -> None:
    with listening(drip(20, 50, 0.03)) as url:
        assert impatient(url).get_bytes("/api/1/wav", 1 << 20) == b"x" * 1000


def test_a_body_without_end_is_refused_at_its_limit() -> None:
    def serve(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"x" * 10_000)

    with listening(serve) as url, pytest.raises(BadAnswer, match="longer than the limit of 1000000 bytes"):
        impatient(url).get_bytes("/api/1/wav", 1_000_000)


def test_a_packed_body_is_bounded_by_what_it_unpacks_to() -> None:
    packed = gzip.compress(bytes(10_000_000))
    with scripted(Answer(body=packed, headers={"Content-Encoding": "gzip"})) as server:
        assert client_of(server).get_bytes("/x", 10_000_000) == bytes(10_000_000)
        with pytest.raises(BadAnswer, match="longer than the limit of 1000000 bytes"):
            client_of(server).get_bytes("/x", 1_000_000)


def test_a_call_waits_for_a_server_that_answered_before_and_went_down() -> None:
    with scripted(Answer(body=envelope(n=1))) as server:
        client = StudioClient(server.url, KEY, RetryPolicy(2, first_wait_s=0.01), sleep=(waits := []).append)
        client.get_json("/api/x")
    port = int(server.url.rsplit(":", 1)[1])

    def come_back(wait_s: float) -> None:
        waits.append(wait_s)
        if len(waits) == 20:
            back.enter_context(listening_at(port))

    client._sleep = come_back  # type: ignore[assignment]
    with ExitStack() as back:
        assert client.get_json("/api/x")["n"] == 2
    assert len(waits) == 20  # many more than a call has tries


@contextmanager
def listening_at(port: int) -> Iterator[None]:
    with scripted(Answer(body=envelope(n=2)), port=port):
        yield


def test_a_server_that_stays_away_is_given_up_after_the_longest_outage() -> None:
    with scripted(Answer(body=envelope())) as server:
        client = impatient(server.url, outage_s=0.3)
        client.get_json("/api/x")
    with pytest.raises(Unreachable, match=r"no connection could be made; unreachable for \d+ s, tried \d+ times"):
        client.get_json("/api/x")


def test_a_server_that_asks_for_a_pause_gets_it_from_all_threads() -> None:
    waits: list[float] = []
    with scripted(Answer(429, headers={"Retry-After": "7"}), Answer(body=envelope())) as server:
        client = client_of(server, waits)
        client.get_json("/api/a")
        client.get_json("/api/b")
    assert waits[0] == 7
    assert 6 < waits[1] <= 7
