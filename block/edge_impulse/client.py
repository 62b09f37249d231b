"""The REST client: one request method with timeouts, checks of status and `success`, and a retry policy.

Every call of this block sets or reads state, so it is safe to repeat. The client retries connections that fail or break
off, answers that end early or stall, HTTP 429 and 5xx, and bodies that should be JSON but aren't. All else is final.

The key is sent in the header `x-api-key` and nowhere else. `requests` would send that header to another host after a
redirect, so the client follows redirects itself, and only to the same scheme, host and port. It keeps no cookies.
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

from block.edge_impulse.body import ENCODINGS, read_body
from block.edge_impulse.endpoint import contains_key, is_loopback, normalize_endpoint, origin
from block.edge_impulse.errors import ConnectionFailed, Redirected, Refused, StudioError, Unreachable
from block.edge_impulse.response import (
    JSON_BYTES,
    Json,
    TryFailed,
    describe_error,
    explain,
    parse_audio,
    parse_json,
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
from block.runtime.deadline import Deadline, DeadlinePassed
from block.runtime.memory_file import MemoryFile
from block.runtime.watched_adapter import WatchedAdapter

# Retrying can't fix these.
ADDRESS_ERRORS = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
    requests.exceptions.InvalidProxyURL,
)
MAX_REDIRECTS = 5
Answer = TypeVar("Answer")
Parser = Callable[[requests.Response, MemoryFile, str], Answer]  # arguments: an answer, its body, and the call as text


@dataclass(frozen=True)
class _Call:
    """A request, and how many bytes its answer may have. As text, it is the method and path."""

    method: str
    path: str
    query: Mapping[str, Any]
    body: bytes | None = None
    limit_bytes: int = JSON_BYTES

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class _Connection(threading.local):
    """A session of `requests` for each thread, because `requests` doesn't promise that a session is thread-safe."""

    def __init__(self, use_proxies: bool) -> None:
        self.session = requests.Session()
        self.session.trust_env = use_proxies
        # Without `auth`, requests would send a password from ~/.netrc.
        self.session.auth = lambda request: request
        self.session.headers["Accept-Encoding"] = ", ".join(ENCODINGS)
        for scheme in ("http://", "https://"):
            self.session.mount(scheme, WatchedAdapter())


class StudioClient:
    """Calls the API at `endpoint` with `key`. Thread-safe.

    Once `stop` is set, nothing is retried. Tests replace `sleep`. `rate_limit`, entered before each try, limits the
    requests of several processes together.
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
        # A proxy can't reach this machine's loopback, and must not see a key that is meant for it.
        use_proxies = not is_loopback(urlsplit(self.endpoint).hostname or "")
        self.key = key
        self.stop = stop or threading.Event()
        self._retries = retries or RetryPolicy()
        self._timeouts = timeouts or Timeouts()
        self._sleep = sleep or self.stop.wait
        self._rate_limit = rate_limit
        self._has_answered = False
        self._paused_until = 0.0  # monotonic time until which the server asked for no requests
        self._connection = _Connection(use_proxies)

    def get_json(self, path: str, **query: Any) -> Json:
        """GET `path`, such as `/api/projects`. Check `success` and return the answer's JSON object."""
        return self._request(_Call("GET", path, query), parse_json)

    def post_json(self, path: str, body: Mapping[str, Any]) -> Json:
        """POST `body` as JSON. Check `success` and return the answer's JSON object."""
        return self._request(_Call("POST", path, {}, json.dumps(body).encode()), parse_json)

    def get_audio(self, path: str, limit_bytes: int, **query: Any) -> MemoryFile:
        """GET `path`. Return the answer's body, at most `limit_bytes` long. Raise StudioError if the body is JSON."""
        return self._request(_Call("GET", path, query, limit_bytes=limit_bytes), parse_audio)

    def _request(self, call: _Call, parse: Parser[Answer]) -> Answer:
        """Send `call` until it is answered or refused, or has no tries left. Raise StudioError or RunEnded."""
        budget = RetryBudget(self._retries)
        # If the server asked one thread to wait, all threads wait.
        if (pause_s := self._paused_until - time.monotonic()) > 0:
            self._sleep(pause_s)
        while True:
            try:
                return self._try(call, parse)
            except TryFailed as error:
                failure, problem = error, self._clean(f"{call}: {error}")
            # An unreachable server isn't the call's fault, so it is worth a longer wait.
            is_outage = self._has_answered and failure.is_unreachable
            if spent := budget.spend(is_outage):
                raise (Unreachable if is_outage else ConnectionFailed)(f"{problem}; {spent}")
            if self._is_too_long(failure.asked_s):
                asked = make_printable(failure.retry_after)
                raise ConnectionFailed(f"{problem}; not retried, because its Retry-After ({asked}) is too long")
            wait_s = budget.wait_s(failure.asked_s)
            if failure.retry_after is not None:
                self._paused_until = max(self._paused_until, time.monotonic() + wait_s)
            self._sleep(wait_s)
            if self.stop.is_set():
                raise ConnectionFailed(f"{problem}; not retried, because the run is over")

    def _try(self, call: _Call, parse: Parser[Answer]) -> Answer:
        """Call `_try_once` once the rate limit allows it. Also raise RunEnded."""
        if self._rate_limit is None:
            return self._try_once(call, parse)
        number = self._rate_limit.enter(self.stop)
        if number is None:
            raise ConnectionFailed(f"{call}: not sent, because the run is over")
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
            outcome = GOOD  # the server answered in time
            raise
        finally:
            self._rate_limit.leave(number, outcome, None if self._is_too_long(asked_s) else asked_s)

    def _try_once(self, call: _Call, parse: Parser[Answer]) -> Answer:
        """Send the call and read the answer. Raise TryFailed if a retry may help, else StudioError."""
        try:
            with Deadline(self._timeouts.try_s) as deadline:
                response = self._send(call, deadline)
                self._has_answered = True
                body = read_body(response, deadline, self._timeouts, call.limit_bytes, str(call))
            if response.status_code == 429 or response.status_code >= 500:
                raise TryFailed(describe_error(response, body), answer=response)
            return parse(response, body, str(call))
        except DeadlinePassed as error:
            raise TryFailed(f"no complete answer within {error.seconds:.0f} s") from None
        except ADDRESS_ERRORS as error:
            raise ConnectionFailed(f"{call}: the address is not valid ({type(error).__name__})") from None
        except requests.RequestException as error:
            raise explain(error, self._timeouts) from None
        except StudioError as error:
            error.args = (self._clean(str(error)),)
            raise
        except (OSError, ValueError) as error:  # such as a missing certificate file that the environment names
            raise ConnectionFailed(self._clean(f"{call}: {error}")) from None

    def _send(self, call: _Call, deadline: Deadline) -> requests.Response:
        """Send the call and follow redirects on the same host. Return the answer, its body unread. Raise Redirected."""
        url = self.endpoint + call.path
        query: Mapping[str, Any] | None = call.query
        for _ in range(MAX_REDIRECTS):
            response = self._send_once(call, url, query)
            if not response.is_redirect:
                return response
            response.close()
            deadline.renew(self._timeouts.try_s)
            location = response.headers["Location"]
            if contains_key(location, self.key):
                raise Redirected(f"{call}: redirected to an address that contains the API key; not followed")
            try:
                target = urljoin(url, location)
                leaves_host = origin(target) != origin(url)
            except ValueError:
                raise Redirected(f"{call}: redirected to an address that is not valid: {location!r}") from None
            if leaves_host:
                host = urlsplit(target).hostname
                raise Redirected(f"{call}: redirected to another host, {host!r}; not followed, to protect the key")
            if call.method != "GET" and response.status_code not in (307, 308):
                raise Redirected(
                    f"{call}: redirected with HTTP {response.status_code}, which would drop the data; not followed"
                )
            url, query = target, None
        raise Redirected(f"{call}: redirected more than {MAX_REDIRECTS} times")

    def _send_once(self, call: _Call, url: str, query: Mapping[str, Any] | None) -> requests.Response:
        """Send the call to `url`. Return the answer, its body unread, even if it is a redirect."""
        session = self._connection.session
        headers = {"x-api-key": self.key, "Content-Type": "application/json"}
        request = session.prepare_request(
            requests.Request(call.method, url, headers=headers, params=query, data=call.body)
        )
        address = request.url or url
        settings = session.merge_environment_settings(address, {}, True, None, None)
        # `Session.send` would read the bodies of redirects, whatever their size, and keep cookies.
        response = session.get_adapter(address).send(
            request,
            stream=True,
            timeout=(self._timeouts.connect_s, self._timeouts.read_s),
            verify=settings["verify"] or True,
            proxies=settings["proxies"],
        )
        if response.status_code < 200:
            response.close()  # the real answer may follow on this connection
            raise TryFailed(f"HTTP {response.status_code} instead of an answer")
        return response

    def _is_too_long(self, asked_s: float | None) -> bool:
        return asked_s is not None and asked_s > self._retries.longest_asked_wait_s

    def _clean(self, text: str) -> str:
        """Remove the key from `text`, because a server may quote it, and only then shorten it to one line."""
        return make_printable(text.replace(self.key, "<key>"), 400)
