"""The REST client: one request method, timeouts always, status and `success` checked, retries by a declared rule.

Every call this block makes sets state or reads it, so each may be repeated. Tried again are: connections that fail
or break off, answers that end early or stall, 429, 5xx, and bodies that should be JSON and are not. Everything else is
final.

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

from block.edge_impulse.endpoint import is_loopback, normal_endpoint, origin
from block.edge_impulse.errors import BadAnswer, ConnectionFailed, Redirected, Refused, StudioError, Unreachable
from block.edge_impulse.rate_limit import FAILED, GOOD, SLOWED, RateLimit, RequestOutcome
from block.edge_impulse.response import (
    BodyError,
    BodyTooLarge,
    Json,
    WrongBodyError,
    body_of,
    bytes_answer,
    found_nobody,
    in_words,
    json_answer,
    parsed,
    reason_in,
)
from block.edge_impulse.retries import RetryBudget, RetryPolicy, Timeouts
from block.recording import make_printable

# What no further try can mend.
NEVER_BETTER = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
    requests.exceptions.InvalidHeader,
    requests.exceptions.InvalidProxyURL,
)
Answer = TypeVar("Answer")

JSON_BYTES = 64 << 20


class _TryFailed(Exception):
    """A try that another one may mend. `never_asked`: no connection was made. `slowed`: the server bears no more.

    The others are headers of the answer.
    """

    def __init__(
        self,
        problem: str,
        never_asked: bool = False,
        slowed: bool = False,
        retry_after: str | None = None,
        date: str | None = None,
    ) -> None:
        super().__init__(problem)
        self.never_asked = never_asked
        self.slowed = slowed
        self.retry_after = retry_after
        self.date = date


@dataclass(frozen=True)
class _Call:
    """What is asked, and how many bytes the answer may have at most. As text: its method and path."""

    method: str
    path: str
    query: Mapping[str, Any]
    body: str | None = None
    limit_bytes: int = JSON_BYTES

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class StudioClient:
    """Calls the API at `endpoint` with `key`. May be used from several threads.

    Once `stop` is set, nothing is tried again. `sleep` is there to be replaced in tests. `gate` is asked before each
    try and told of its end, where others ask the same server.
    """

    def __init__(
        self,
        endpoint: str,
        key: str,
        retries: RetryPolicy | None = None,
        stop: threading.Event | None = None,
        sleep: Callable[[float], object] | None = None,
        timeouts: Timeouts | None = None,
        gate: RateLimit | None = None,
    ) -> None:
        self.endpoint = normal_endpoint(endpoint)
        self._key = key
        self._retries = retries or RetryPolicy()
        self._timeouts = timeouts or Timeouts()
        self._stop = stop or threading.Event()
        self._sleep = sleep or self._stop.wait
        self._gate = gate
        self._has_answered = False
        self._held_until = 0.0  # by the monotonic clock: until then the server wants to be left alone
        # A session is not promised to be safe between threads; one each keeps connections alive all the same.
        self._local = threading.local()

    def get_json(self, path: str, **query: Any) -> Json:
        """GET `path`, such as `/api/projects`; the answer's JSON object, its `success` checked."""
        return self._request(_Call("GET", path, query), json_answer)

    def post_json(self, path: str, body: Mapping[str, Any]) -> Json:
        """POST `body` as JSON; the answer's JSON object, its `success` checked."""
        return self._request(_Call("POST", path, {}, json.dumps(body)), json_answer)

    def get_bytes(self, path: str, limit_bytes: int, **query: Any) -> bytes:
        """GET `path`; the answer's body, of at most `limit_bytes`. An envelope in its place is an error."""
        return self._request(_Call("GET", path, query, limit_bytes=limit_bytes), bytes_answer)

    def _request(self, call: _Call, read: Callable[[requests.Response, bytes, str], Answer]) -> Answer:
        """Send until it is answered, or nothing speaks for another try. Raises those errors."""
        patience = RetryBudget(self._retries)
        self._wait_for_all()
        while True:
            try:
                return self._try(call, read)
            except _TryFailed as failure:
                problem, failed = self._clean(f"{call}: {failure}"), failure
            # Where nothing could be asked, that says nothing about the call: it is worth waiting longer for.
            out_of_reach = self._has_answered and failed.never_asked
            if told := patience.over(out_of_reach):
                raise (Unreachable if out_of_reach else ConnectionFailed)(f"{problem}; {told}")
            wait_s = patience.wait_s(failed.retry_after, failed.date)
            if wait_s is None:
                asked = make_printable(failed.retry_after)
                raise ConnectionFailed(f"{problem}; it asks to wait until {asked}, which is too long")
            if failed.retry_after is not None:
                self._held_until = max(self._held_until, time.monotonic() + wait_s)
            self._sleep(wait_s)
            if self._stop.is_set():
                raise ConnectionFailed(f"{problem}; not tried again, as the run is over")

    def _try(self, call: _Call, read: Callable[[requests.Response, bytes, str], Answer]) -> Answer:
        """As `_try_once`, when the gate lets it through. Raises RunEnded, too."""
        if self._gate is None:
            return self._try_once(call, read)
        number = self._gate.enter(self._stop)
        if number is None:
            raise ConnectionFailed(f"{call}: not asked, as the run is over")
        outcome: RequestOutcome = FAILED
        asked_s = None
        try:
            answer = self._try_once(call, read)
            outcome = GOOD
            return answer
        except _TryFailed as failure:
            if failure.slowed:
                outcome, asked_s = SLOWED, self._retries.asked_s(failure.retry_after, failure.date)
            raise
        except Refused:
            outcome = GOOD  # it was answered, and fast enough
            raise
        finally:
            self._gate.leave(number, outcome, asked_s)

    def _try_once(self, call: _Call, read: Callable[[requests.Response, bytes, str], Answer]) -> Answer:
        """The one place that sends. Raises _TryFailed where another try may mend it, else StudioError."""
        try:
            response = self._send(call)
            self._has_answered = True
            content = body_of(response, self._timeouts, call.limit_bytes)
            status = response.status_code
            if status != 429 and status < 500:
                return read(response, content, str(call))
        except NEVER_BETTER as error:
            raise ConnectionFailed(f"{call}: the address cannot be used ({type(error).__name__})") from None
        except requests.RequestException as error:
            # The exception's own text may quote headers; its type says enough.
            raise _TryFailed(in_words(error, self._timeouts), never_asked=found_nobody(error)) from None
        except (WrongBodyError, BodyError) as error:
            raise _TryFailed(str(error)) from None
        except BodyTooLarge as error:
            raise BadAnswer(f"{call}: {error}") from None
        except StudioError as error:
            error.args = (self._clean(str(error)),)
            raise
        except (OSError, ValueError) as error:  # such as certificates that are not where the environment says
            raise ConnectionFailed(self._clean(f"{call}: {error}")) from None
        headers = response.headers
        raise _TryFailed(
            f"HTTP {status}: {reason_in(parsed(content))}",
            slowed=status == 429 or "Retry-After" in headers,
            retry_after=headers.get("Retry-After"),
            date=headers.get("Date"),
        )

    def _wait_for_all(self) -> None:
        """A server that asks one thread to wait wants to be left alone by the others, too."""
        wait_s = self._held_until - time.monotonic()
        if wait_s > 0:
            self._sleep(wait_s)

    def _send(self, call: _Call) -> requests.Response:
        session, url = self._session(), self.endpoint + call.path
        params: Mapping[str, Any] | None = call.query
        for _ in range(5):
            response = session.request(
                call.method,
                url,
                params=params,
                data=None if call.body is None else call.body.encode(),
                headers={"x-api-key": self._key, "Content-Type": "application/json"},
                timeout=(self._timeouts.connect_s, self._timeouts.read_s),
                allow_redirects=False,
                stream=True,  # whoever reads the answer takes its body in
            )
            location = response.headers.get("Location")
            if not response.is_redirect or location is None:
                return response
            response.close()
            try:
                target = urljoin(url, location)
                elsewhere = origin(target) != origin(url)
            except ValueError:
                raise Redirected(f"{call}: redirected to what is no address: {location!r}") from None
            if elsewhere:
                host = urlsplit(target).hostname
                raise Redirected(f"{call}: redirected to another host, {host!r}; the key is not sent there")
            if call.method != "GET" and response.status_code not in (307, 308):
                raise Redirected(f"{call}: redirected with HTTP {response.status_code}, which drops what is written")
            url, params = target, None
        raise Redirected(f"{call}: redirected more than 5 times")

    def _session(self) -> requests.Session:
        if not hasattr(self._local, "session"):
            session = requests.Session()
            # A proxy cannot reach this machine's loopback, and has no business with a key that is meant for it.
            session.trust_env = not is_loopback(urlsplit(self.endpoint).hostname or "")
            # Without an `auth`, requests would send along what ~/.netrc has for the host, or for any host.
            session.auth = _nothing_more
            self._local.session = session
        kept: requests.Session = self._local.session
        return kept

    def _clean(self, text: str) -> str:
        """`text` without the key, which a server may quote back; then on one line and cut, in this order."""
        return make_printable(text.replace(self._key, "<key>"), 400)


def _nothing_more(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def in_the_open(endpoint: str) -> bool:
    """Can whoever is between here and `endpoint` read the key? On this machine's loopback nobody is."""
    parts = urlsplit(endpoint)
    return parts.scheme != "https" and not is_loopback(parts.hostname or "")
