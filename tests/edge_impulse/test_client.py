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


def make_client(server: Server, waits: list[float] | None = None, tries: int = 3) -> StudioClient:
    return StudioClient(server.url, KEY, RetryPolicy(tries=tries), sleep=(waits if waits is not None else []).append)


@pytest.mark.parametrize(
    "text",
    ["https://studio.edgeimpulse.com/v1", "https://studio.edgeimpulse.com", " https://studio.edgeimpulse.com/v1/ ",
     "https://studio.edgeimpulse.com/"],
)  # fmt: skip
def test_an_endpoint_may_end_with_v1_or_a_slash(text: str) -> None:
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
def test_an_invalid_endpoint_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        normalize_endpoint(text)


def test_the_key_is_sent_as_a_header_and_the_query_in_the_url() -> None:
    with scripted(Answer(body=envelope(projects=[]))) as server:
        assert make_client(server).get_json("/api/projects", limit=2)["projects"] == []
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


@pytest.mark.parametrize("failure", TRANSIENT)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_transient_failure_is_retried(failure: str, method: str) -> None:
    waits: list[float] = []
    with scripted(TRANSIENT[failure], Answer(body=envelope(value=7))) as server:
        client = make_client(server, waits)
        answer = client.get_json("/api/x") if method == "GET" else client.post_json("/api/x", {"a": 1})
    assert answer["value"] == 7
    assert len(server.asked) == 2
    assert len(waits) == 1
    if method == "POST":
        assert [request.body for request in server.asked] == [b'{"a": 1}'] * 2


@pytest.mark.parametrize("failure", TRANSIENT)
def test_a_failure_that_persists_is_raised_after_the_last_try(failure: str) -> None:
    with scripted(TRANSIENT[failure]) as server, pytest.raises(ConnectionFailed, match="tried 3 times") as caught:
        make_client(server).get_json("/api/x")
    assert len(server.asked) == 3
    assert "GET /api/x" in str(caught.value)


@pytest.mark.parametrize("answer", [Answer(body=b"<html>", headers={"Content-Type": "text/html"}),
                                    Answer(body=b"RIFF", claimed=1000)])  # fmt: skip
def test_a_web_page_or_truncated_body_instead_of_audio_is_retried(answer: Answer) -> None:
    with scripted(answer, Answer(body=b"RIFFxxxx", headers={"Content-Type": "audio/wav"})) as server:
        assert make_client(server).get_audio("/api/1/wav", 1000).read() == b"RIFFxxxx"


def test_json_instead_of_audio_is_an_error() -> None:
    with scripted(Answer(body=b'{"success": false, "error": "no audio axis"}')) as server:
        with pytest.raises(Refused, match="no audio axis"):
            make_client(server).get_audio("/api/1/wav", 1000)
        server.answers = [Answer()]
        with pytest.raises(StudioError, match="expected audio"):
            make_client(server).get_audio("/api/1/wav", 1000)


def test_an_unreachable_server_is_reported_after_the_last_try() -> None:
    with scripted(Answer()) as server:
        pass
    with pytest.raises(ConnectionFailed, match="no connection could be made; tried 3 times"):
        make_client(server).get_json("/api/x")


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (Answer(401, b'{"success": false, "error": "bad key"}'), Unauthorized, "HTTP 401: bad key"),
        (Answer(403, b'{"success": false, "error": "not yours"}'), Forbidden, "HTTP 403: not yours"),
        (Answer(404, b"<html>"), NotFound, "HTTP 404: no reason given"),
        (Answer(400, b'{"success": false, "error": "gap at 5"}'), Refused, "HTTP 400: gap at 5"),
        (Answer(200, b'{"success": false, "error": "gap at 5"}'), Refused, "HTTP 200: gap at 5"),
        (Answer(200, b'{"id": 3}'), Refused, "HTTP 200: no reason given"),
    ],
)
def test_a_refused_request_is_not_retried_and_the_error_quotes_the_server(
    answer: Answer, kind: type, message: str
) -> None:
    with scripted(answer) as server, pytest.raises(kind, match=message):
        make_client(server).post_json("/api/x", {})
    assert len(server.asked) == 1


def test_waits_double_unless_retry_after_sets_them() -> None:
    waits: list[float] = []
    date = email.utils.formatdate(time.time() + 60, usegmt=True)
    busy = [Answer(429, headers={"Retry-After": "7"}), Answer(503, headers={"Retry-After": date}),
            Answer(500), Answer(429, headers={"Retry-After": "soon"}), Answer()]  # fmt: skip
    with scripted(*busy) as server:
        make_client(server, waits, tries=5).get_json("/api/x")
    assert waits[0] == 7
    assert 55 < waits[1] <= 60
    assert 2 <= waits[2] <= 4
    assert 4 <= waits[3] <= 8


def test_a_retry_after_date_is_compared_with_the_servers_clock() -> None:
    waits: list[float] = []
    then = time.time() - 10 * 365 * 86400  # one of the two clocks is ten years off
    date, until = (email.utils.formatdate(moment, usegmt=True) for moment in (then, then + 90))
    with scripted(Answer(503, headers={"Retry-After": until, "Date": date}), Answer()) as server:
        make_client(server, waits).get_json("/api/x")
    assert waits[0] == 90


@pytest.mark.parametrize("header", ["0", "Sat, 01 Jan 2000 00:00:00 GMT"])
def test_a_retry_after_of_zero_or_in_the_past_gives_the_usual_wait(header: str) -> None:
    budget = RetryBudget(RetryPolicy())
    for _ in range(3):
        budget.spend(is_outage=False)
    assert 2 <= budget.wait_s(retry_after_s({"Retry-After": header})) <= 4


def test_a_retry_after_that_is_too_long_is_not_retried() -> None:
    with scripted(Answer(429, headers={"Retry-After": "3600"})) as server:
        with pytest.raises(ConnectionFailed, match="not retried, because its Retry-After \\(3600\\) is too long"):
            make_client(server).get_json("/api/x")
    assert len(server.asked) == 1


def test_a_request_is_not_retried_after_the_run_is_over() -> None:
    stop = threading.Event()
    with scripted(Answer(503, headers={"Retry-After": "100"})) as server:
        client = StudioClient(server.url, KEY, stop=stop)
        threading.Timer(0.2, stop.set).start()
        began = time.monotonic()
        with pytest.raises(ConnectionFailed, match="HTTP 503.* not retried, because the run is over"):
            client.get_json("/api/x")
    assert time.monotonic() - began < 5


def test_requests_to_a_loopback_address_bypass_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(Answer(500)) as proxy, scripted(Answer(body=envelope(value=1))) as server:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        assert make_client(server).get_json("/api/x")["value"] == 1
        assert proxy.asked == []


def test_an_invalid_ca_bundle_is_reported_without_a_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such/bundle")
    client = StudioClient("https://studio.invalid", KEY, sleep=lambda s: pytest.fail("tried again"))
    with pytest.raises(ConnectionFailed, match="/no/such/bundle"):
        client.get_json("/api/x")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_the_key_is_never_sent_to_another_host_after_a_redirect(status: int) -> None:
    with scripted(Answer()) as elsewhere:
        # Another name for the same machine still counts as another host.
        other = elsewhere.url.replace("127.0.0.1", "localhost")
        with scripted(Answer(status, headers={"Location": f"{other}/steal"})) as server:
            for call in (make_client(server).get_json, lambda path: make_client(server).post_json(path, {})):
                with pytest.raises(Redirected, match="another host"):
                    call("/api/x")
        assert elsewhere.asked == []


@pytest.mark.parametrize("location", ["http://127.0.0.1:99999/", "http://[::1/"])
def test_a_redirect_to_an_invalid_address_is_reported(location: str) -> None:
    with scripted(Answer(307, headers={"Location": location})) as server:
        with pytest.raises(StudioError, match="an address that is not valid|another host|Invalid IPv6 URL"):
            make_client(server).get_json("/api/x")


def test_a_redirect_to_another_port_counts_as_another_host() -> None:
    with scripted(Answer()) as elsewhere, scripted(Answer(307, headers={"Location": elsewhere.url})) as server:
        with pytest.raises(Redirected):
            make_client(server).get_json("/api/x")
        assert elsewhere.asked == []


def test_a_redirect_on_the_same_host_resends_the_body() -> None:
    with scripted(Answer(308, headers={"Location": "/v1/moved"}), Answer(body=envelope(ok=1))) as server:
        make_client(server).post_json("/api/x", {"a": 1})
    assert [(request.path, request.body) for request in server.asked] == [
        ("/v1/api/x", b'{"a": 1}'),
        ("/v1/moved", b'{"a": 1}'),
    ]


def test_a_redirect_that_would_drop_the_body_is_an_error() -> None:
    with scripted(Answer(302, headers={"Location": "/v1/moved"})) as server:
        with pytest.raises(Redirected, match="would drop the data"):
            make_client(server).post_json("/api/x", {"a": 1})


def test_a_redirect_loop_is_an_error() -> None:
    with scripted(Answer(307, headers={"Location": "/v1/again"})) as server:
        with pytest.raises(Redirected, match="more than 5 times"):
            make_client(server).get_json("/api/x")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 500])
def test_an_error_hides_a_key_that_the_server_quotes(status: int) -> None:
    body = f'{{"success": false, "error": "key {KEY} is odd"}}'.encode()
    with scripted(Answer(status, body)) as server, pytest.raises(StudioError) as caught:
        make_client(server).get_json("/api/x")
    assert KEY not in str(caught.value)
    assert KEY not in repr(caught.value)
    assert "key <key> is odd" in str(caught.value)


@pytest.mark.parametrize("before", [280, 290, 300, 380, 390, 400, 410])
def test_truncating_a_long_error_does_not_expose_part_of_the_key(before: int) -> None:
    body = json.dumps({"success": False, "error": "x" * before + KEY}).encode()
    for status in (400, 500):
        with scripted(Answer(status, body)) as server, pytest.raises(StudioError) as caught:
            make_client(server, tries=1).get_json("/api/x")
        assert "ei_" not in str(caught.value)


def test_deeply_nested_json_is_rejected() -> None:
    with scripted(Answer(body=b"[" * 100_000)) as server, pytest.raises(ConnectionFailed, match="not a JSON object"):
        make_client(server).get_json("/api/x")


@contextmanager
def socket_server(serve: Callable[[socket.socket], None] | None = None) -> Iterator[str]:
    """Accept connections and pass each to `serve`, one at a time. Without `serve`, never answer. Yield the URL."""
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


def make_impatient_client(url: str, tries: int = 2, **policy: float) -> StudioClient:
    return StudioClient(
        url, KEY, RetryPolicy(tries, first_wait_s=0.01, **policy), sleep=time.sleep, timeouts=Timeouts(1, 0.2, 100)
    )


def test_a_server_that_never_answers_times_out() -> None:
    with socket_server() as url, pytest.raises(ConnectionFailed, match="no answer within .* tried 2 times"):
        make_impatient_client(url).get_json("/api/x")


def send_slowly(parts: int, size: int, pause_s: float) -> Callable[[socket.socket], None]:
    """Return a function that sends a body in `parts` parts of `size` bytes, with a pause after each."""

    def serve(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (parts * size))
        for _ in range(parts):
            connection.sendall(b"x" * size)
            time.sleep(pause_s)

    return serve


def test_a_body_that_arrives_too_slowly_counts_as_stalled() -> None:
    # Every part arrives within the read timeout, but the overall rate is far too low.
    message = r"stalled: only \d+ bytes in .*tried 2 times"
    with socket_server(send_slowly(200, 10, 0.05)) as url, pytest.raises(ConnectionFailed, match=message):
        make_impatient_client(url).get_audio("/api/1/wav", 1 << 20)


def test_a_body_that_arrives_slowly_but_steadily_is_accepted() -> None:
    with socket_server(send_slowly(20, 50, 0.03)) as url:
        assert make_impatient_client(url).get_audio("/api/1/wav", 1 << 20).read() == b"x" * 1000


def test_an_endless_body_is_rejected_at_the_size_limit() -> None:
    def serve(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"x" * 10_000)

    with socket_server(serve) as url, pytest.raises(BadAnswer, match="longer than the limit of 1000000 bytes"):
        make_impatient_client(url).get_audio("/api/1/wav", 1_000_000)


def test_the_size_limit_applies_to_the_decompressed_body() -> None:
    compressed = gzip.compress(bytes(10_000_000))
    with scripted(Answer(body=compressed, headers={"Content-Encoding": "gzip"})) as server:
        assert make_client(server).get_audio("/x", 10_000_000).read() == bytes(10_000_000)
        with pytest.raises(BadAnswer, match="longer than the limit of 1000000 bytes"):
            make_client(server).get_audio("/x", 1_000_000)


def test_a_request_waits_for_a_server_that_went_down_to_come_back() -> None:
    with scripted(Answer(body=envelope(n=1))) as server:
        client = StudioClient(server.url, KEY, RetryPolicy(2, first_wait_s=0.01), sleep=(waits := []).append)
        client.get_json("/api/x")
    port = int(server.url.rsplit(":", 1)[1])

    def come_back(wait_s: float) -> None:
        waits.append(wait_s)
        if len(waits) == 20:
            back.enter_context(restart_server(port))

    client._sleep = come_back  # type: ignore[assignment]
    with ExitStack() as back:
        assert client.get_json("/api/x")["n"] == 2
    assert len(waits) == 20  # far more waits than the two tries of a request


@contextmanager
def restart_server(port: int) -> Iterator[None]:
    with scripted(Answer(body=envelope(n=2)), port=port):
        yield


def test_a_request_fails_after_the_maximum_outage() -> None:
    with scripted(Answer(body=envelope())) as server:
        client = make_impatient_client(server.url, outage_s=0.3)
        client.get_json("/api/x")
    with pytest.raises(Unreachable, match=r"no connection could be made; unreachable for \d+ s, tried \d+ times"):
        client.get_json("/api/x")


def test_a_retry_after_also_delays_later_requests() -> None:
    waits: list[float] = []
    with scripted(Answer(429, headers={"Retry-After": "7"}), Answer(body=envelope())) as server:
        client = make_client(server, waits)
        client.get_json("/api/a")
        client.get_json("/api/b")
    assert waits[0] == 7
    assert 6 < waits[1] <= 7


MANY = b'{"success": true, "a": [%b0]}' % (b"0," * (1 << 18))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (MANY, r"GET /api/x: the answer has about 262149 JSON values; expected at most 262144"),
        (b'{"success": true, "a": "%b"}' % (b"x" * (4 << 20)), "longer than the limit of 4194304 bytes"),
    ],
)
def test_json_that_needs_too_much_memory_is_refused_without_a_retry(body: bytes, message: str) -> None:
    with scripted(Answer(body=body)) as server, pytest.raises(BadAnswer, match=message):
        make_client(server).get_json("/api/x")
    assert len(server.asked) == 1


def test_json_within_the_limits_is_read() -> None:
    with scripted(Answer(body=MANY.replace(b"0,", b"", 100))) as server:
        assert len(make_client(server).get_json("/api/x")["a"]) == (1 << 18) - 99


@pytest.mark.parametrize("body", [MANY, b'{"a": "%b"}' % (b"x" * (4 << 20))])
@pytest.mark.parametrize("status", [200, 400, 503])
def test_too_much_json_instead_of_audio_is_not_parsed(body: bytes, status: int) -> None:
    messages = {200: "the answer has .* JSON", 400: "HTTP 400: no reason given", 503: "HTTP 503: no reason given"}
    with scripted(Answer(status, body)) as server, pytest.raises(StudioError, match=messages[status]):
        make_client(server).get_audio("/api/1/wav", 1 << 30)


def test_a_lack_of_memory_is_not_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> object:
        raise OSError(12, "Cannot allocate memory")

    with scripted(Answer(body=b"RIFF")) as server:
        monkeypatch.setattr("mmap.mmap", refuse)
        with pytest.raises(MemoryError, match="no room"):
            make_client(server).get_audio("/api/1/wav", 1000)
    assert len(server.asked) == 1
