"""The REST client: one request method, timeouts always, status and `success` checked, retries by a declared policy.

Every call this block makes sets state or reads it, so each may be repeated. It retries connections that fail or break
off, answers that end early or stall, 429, 5xx, and bodies that should be JSON and are not. Everything else is final.

The key goes into the header `x-api-key` and nowhere else. `requests` would carry that header along to another host
when redirected, so redirects are followed here, by hand, and only to the same scheme, host and port.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

import requests

from block.edge_impulse.endpoint import is_loopback, normalize_endpoint, origin
from block.edge_impulse.errors import ConnectionFailed, Redirected, Refused, StudioError, Unreachable
from block.edge_impulse.response import (
    Json,
    TryFailed,
    describe_error,
    explain,
    parse_audio,
    parse_json,
    read_body,
)
from block.edge_impulse.retries import (
    FAILED,
    GOOD,
    SLOWED,
    RateLimit,
    RequestOutcome,
    RetryBudget,
    RetryPolicy,
    Timeouts,
)
from block.formatting import make_printable

# No further try can mend these.
ADDRESS_ERRORS = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
    requests.exceptions.InvalidHeader,
    requests.exceptions.InvalidProxyURL,
)
JSON_BYTES = 64 << 20
MAX_REDIRECTS = 5
Answer = TypeVar("Answer")
Parser = Callable[[requests.Response, bytes, str], Answer]  # of an answer, its body, and the call in words


@dataclass(frozen=True)
class _Call:
    """A request, and how many bytes its answer may have. As text: its method and path."""

    method: str
    path: str
    query: Mapping[str, Any]
    body: bytes | None = None
    limit_bytes: int = JSON_BYTES

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class _Connection(threading.local):
    """A session of `requests`, one per thread: it is not documented to be safe between threads."""

    def __init__(self, use_proxies: bool) -> None:
        self.session = requests.Session()
        self.session.trust_env = use_proxies
        # Without an `auth`, requests would send along what ~/.netrc has for the host, or for any host.
        self.session.auth = lambda request: request


class StudioClient:
    """Calls the API at `endpoint` with `key`. Safe to use from several threads.

    Once `stop` is set, nothing is tried again. Tests replace `sleep`. `rate_limit` is asked before each try, for
    several processes that call the same server.
    """

    def __init__(
        self,
        endpoint: str,
        key: str,
        retries: RetryPolicy | None = None,
        stop: threading.Event | None = None,
        sleep: Callable[[float], object] | None = None,
        timeouts: Timeouts | None = None,
        rate_limit: RateLimit | None = None,
    ) -> None:
        self.endpoint = normalize_endpoint(endpoint)
        # A proxy cannot reach this machine's loopback, and has no business with a key that is meant for it.
        use_proxies = not is_loopback(urlsplit(self.endpoint).hostname or "")
        self.key = key
        self.stop = stop or threading.Event()
        self._retries = retries or RetryPolicy()
        self._timeouts = timeouts or Timeouts()
        self._sleep = sleep or self.stop.wait
        self._rate_limit = rate_limit
        self._has_answered = False
        self._paused_until = 0.0  # on the monotonic clock: the server asked for no requests until then
        self._connection = _Connection(use_proxies)

    def get_json(self, path: str, **query: Any) -> Json:
        """GET `path`, such as `/api/projects`. Return the answer's JSON object, its `success` checked."""
        return self._request(_Call("GET", path, query), parse_json)

    def post_json(self, path: str, body: Mapping[str, Any]) -> Json:
        """POST `body` as JSON. Return the answer's JSON object, its `success` checked."""
        return self._request(_Call("POST", path, {}, json.dumps(body).encode()), parse_json)

    def get_bytes(self, path: str, limit_bytes: int, **query: Any) -> bytes:
        """GET `path`. Return the answer's body, of at most `limit_bytes`. An envelope in its place is an error."""
        return self._request(_Call("GET", path, query, limit_bytes=limit_bytes), parse_audio)

    def _request(self, call: _Call, parse: Parser[Answer]) -> Answer:
        """Send `call` until it is answered, refused, or out of tries. Raise StudioError or RunEnded."""
        budget = RetryBudget(self._retries)
        # A server that asks one thread to wait means the others, too.
        if (pause_s := self._paused_until - time.monotonic()) > 0:
            self._sleep(pause_s)
        while True:
            try:
                return self._try(call, parse)
            except TryFailed as error:
                failure, problem = error, self._clean(f"{call}: {error}")
            # A server that is gone says nothing about the call: it is worth waiting longer for.
            is_outage = self._has_answered and failure.is_unreachable
            if spent := budget.spend(is_outage):
                raise (Unreachable if is_outage else ConnectionFailed)(f"{problem}; {spent}")
            if self._is_too_long(failure.asked_s):
                asked = make_printable(failure.retry_after)
                raise ConnectionFailed(f"{problem}; it asks to wait until {asked}, which is too long")
            wait_s = budget.wait_s(failure.asked_s)
            if failure.retry_after is not None:
                self._paused_until = max(self._paused_until, time.monotonic() + wait_s)
            self._sleep(wait_s)
            if self.stop.is_set():
                raise ConnectionFailed(f"{problem}; not tried again, as the run is over")

    def _try(self, call: _Call, parse: Parser[Answer]) -> Answer:
        """Call `_try_once` when the rate limit allows it. Raise RunEnded, too."""
        if self._rate_limit is None:
            return self._try_once(call, parse)
        number = self._rate_limit.enter(self.stop)
        if number is None:
            raise ConnectionFailed(f"{call}: not asked, as the run is over")
        outcome: RequestOutcome = FAILED
        asked_s = None
        try:
            answer = self._try_once(call, parse)
            outcome = GOOD
            return answer
        except TryFailed as failure:
            if failure.is_slowed:
                outcome, asked_s = SLOWED, failure.asked_s
            raise
        except Refused:
            outcome = GOOD  # it was answered, and fast enough
            raise
        finally:
            self._rate_limit.leave(number, outcome, None if self._is_too_long(asked_s) else asked_s)

    def _try_once(self, call: _Call, parse: Parser[Answer]) -> Answer:
        """Send, and read the answer. Raise TryFailed if another try may mend it, else StudioError."""
        try:
            response = self._send(call)
            self._has_answered = True
            content = read_body(response, self._timeouts, call.limit_bytes, str(call))
            if response.status_code == 429 or response.status_code >= 500:
                raise TryFailed(describe_error(response, content), answer=response)
            return parse(response, content, str(call))
        except ADDRESS_ERRORS as error:
            raise ConnectionFailed(f"{call}: the address cannot be used ({type(error).__name__})") from None
        except requests.RequestException as error:
            raise explain(error, self._timeouts) from None
        except StudioError as error:
            error.args = (self._clean(str(error)),)
            raise
        except (OSError, ValueError) as error:  # such as certificates that are not where the environment says
            raise ConnectionFailed(self._clean(f"{call}: {error}")) from None

    def _send(self, call: _Call) -> requests.Response:
        """Send, and follow redirects within the host. The body of the answer is yet to be read. Raise Redirected."""
        url = self.endpoint + call.path
        query: Mapping[str, Any] | None = call.query
        for _ in range(MAX_REDIRECTS):
            response = self._connection.session.request(
                call.method,
                url,
                params=query,
                data=call.body,
                headers={"x-api-key": self.key, "Content-Type": "application/json"},
                timeout=(self._timeouts.connect_s, self._timeouts.read_s),
                allow_redirects=False,
                stream=True,
            )
            if not response.is_redirect:
                return response
            response.close()
            location = response.headers["Location"]
            try:
                target = urljoin(url, location)
                leaves_host = origin(target) != origin(url)
            except ValueError:
                raise Redirected(f"{call}: redirected to what is no address: {location!r}") from None
            if leaves_host:
                host = urlsplit(target).hostname
                raise Redirected(f"{call}: redirected to another host, {host!r}; the key is not sent there")
            if call.method != "GET" and response.status_code not in (307, 308):
                raise Redirected(f"{call}: redirected with HTTP {response.status_code}, which drops what is written")
            url, query = target, None
        raise Redirected(f"{call}: redirected more than {MAX_REDIRECTS} times")

    def _is_too_long(self, asked_s: float | None) -> bool:
        return asked_s is not None and asked_s > self._retries.longest_asked_wait_s

    def _clean(self, text: str) -> str:
        """Return `text` without the key, which a server may quote back; then on one line and cut, in this order."""
        return make_printable(text.replace(self.key, "<key>"), 400)
