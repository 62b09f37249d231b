"""The REST client: one request method, timeouts always, status and `success` checked, retries by a declared rule.

Every call this block makes sets state or reads it, so each may be repeated. Tried again are: connections that fail
or break off, answers that end early, 429, 5xx, and bodies that should be JSON and are not. Everything else is final.

The key goes into the header `x-api-key` and nowhere else. `requests` would carry that header along to another host
when redirected, so redirects are followed here, by hand, and only to the same scheme, host and port.
"""

from __future__ import annotations

import email.utils
import json
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

import requests

from block.recording import printable
from block.studio.errors import BY_STATUS, BadAnswer, ConnectionFailed, Redirected, Refused, StudioError

Json = dict[str, Any]
Answer = TypeVar("Answer")

CONNECT_S, READ_S = 10.0, 60.0
DEFAULT_ENDPOINT = "https://studio.edgeimpulse.com/v1"


@dataclass(frozen=True)
class RetryPolicy:
    """How often a call is tried, and the seconds waited before each further try.

    The wait doubles from `first_wait_s` up to `longest_wait_s`, less up to half of it by chance, so that clients
    do not come back in step. A `Retry-After` of up to `longest_asked_wait_s` is honoured instead.
    """

    tries: int = 5
    first_wait_s: float = 1.0
    longest_wait_s: float = 30.0
    longest_asked_wait_s: float = 300.0

    def wait_s(self, tried: int, retry_after: str | None) -> float:
        """Seconds to wait after try number `tried`, from 1."""
        asked = _retry_after_s(retry_after)
        if asked is not None:
            return min(asked, self.longest_asked_wait_s)
        wait = min(self.first_wait_s * 2.0 ** (tried - 1), self.longest_wait_s)
        return wait * random.uniform(0.5, 1.0)


def normal_endpoint(text: str) -> str:
    """The API's base with `/v1` and no trailing slash, from any of the forms users write.

    Raises ValueError for anything that is no http or https address.
    """
    base = text.strip().rstrip("/")
    parts = urlsplit(base)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"got {text!r}; expected an address such as {DEFAULT_ENDPOINT}")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("it holds a user name, a query or a fragment; expected the bare address")
    return base if base.endswith("/v1") else f"{base}/v1"


class StudioClient:
    """Calls the API at `endpoint` with `key`. May be used from several threads.

    `sleep` and `session_factory` are there to be replaced in tests.
    """

    def __init__(
        self,
        endpoint: str,
        key: str,
        retries: RetryPolicy = RetryPolicy(),
        sleep: Callable[[float], None] = time.sleep,
        session_factory: Callable[[], requests.Session] = requests.Session,
    ) -> None:
        self.endpoint = normal_endpoint(endpoint)
        self._key = key
        self._retries = retries
        self._sleep = sleep
        self._session_factory = session_factory
        # A session is not promised to be safe between threads; one each keeps connections alive all the same.
        self._local = threading.local()

    def get_json(self, path: str, **query: Any) -> Json:
        """GET `path`, such as `/api/projects`; the answer's JSON object, its `success` checked."""
        return self._request("GET", path, query, None, _json_answer)

    def post_json(self, path: str, body: Mapping[str, Any]) -> Json:
        """POST `body` as JSON; the answer's JSON object, its `success` checked."""
        return self._request("POST", path, {}, json.dumps(body), _json_answer)

    def get_bytes(self, path: str, **query: Any) -> bytes:
        """GET `path`; the answer's body. An envelope with `success: false` in its place is an error."""
        return self._request("GET", path, query, None, _bytes_answer)

    def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any],
        body: str | None,
        read: Callable[[requests.Response, str], Answer],
    ) -> Answer:
        """The one place that sends. Raises the errors of `block.studio.errors`."""
        call = f"{method} {path}"
        for tried in range(1, self._retries.tries + 1):
            retry_after = None
            try:
                response = self._send(method, self.endpoint + path, query, body, call)
                status = response.status_code
                if status != 429 and status < 500:
                    return read(response, call)
                problem = f"{call}: HTTP {status}{_said(response)}"
                retry_after = response.headers.get("Retry-After")
            except requests.RequestException as error:
                # The exception's own text may quote headers; its type says enough.
                problem = f"{call}: {_in_words(error)}"
            except _WrongBody as error:
                problem = str(error)
            except StudioError as error:
                error.args = (self._clean(str(error)),)
                raise
            if tried < self._retries.tries:
                self._sleep(self._retries.wait_s(tried, retry_after))
        raise ConnectionFailed(self._clean(f"{problem}; tried {self._retries.tries} times"))

    def _send(self, method: str, url: str, query: Mapping[str, Any], body: str | None, call: str) -> requests.Response:
        session = self._session()
        params: Mapping[str, Any] | None = query
        for _ in range(5):
            response = session.request(
                method,
                url,
                params=params,
                data=None if body is None else body.encode(),
                headers={"x-api-key": self._key, "Content-Type": "application/json"},
                timeout=(CONNECT_S, READ_S),
                allow_redirects=False,
            )
            location = response.headers.get("Location")
            if not response.is_redirect or location is None:
                return response
            target = urljoin(url, location)
            if _origin(target) != _origin(url):
                host = urlsplit(target).hostname
                raise Redirected(f"{call}: redirected to another host, {host!r}; the key is not sent there")
            if method != "GET" and response.status_code not in (307, 308):
                raise Redirected(f"{call}: redirected with HTTP {response.status_code}, which drops what is written")
            url, params = target, None
        raise Redirected(f"{call}: redirected more than 5 times")

    def _session(self) -> requests.Session:
        if not hasattr(self._local, "session"):
            self._local.session = self._session_factory()
        session: requests.Session = self._local.session
        return session

    def _clean(self, text: str) -> str:
        """`text` without the key: a server may quote it back."""
        return text.replace(self._key, "<key>")


class _WrongBody(Exception):
    """A success whose body is of another kind, such as a proxy's page; it may be right the next time."""


def _json_answer(response: requests.Response, call: str) -> Json:
    try:
        answer = json.loads(response.content)
    except ValueError:
        answer = None
    if not response.ok:
        raise _refused(response, answer, call)
    if not isinstance(answer, dict):
        raise _WrongBody(f"{call}: HTTP {response.status_code} with a body that is not a JSON object")
    if answer.get("success") is not True:
        raise _refused(response, answer, call)
    return answer


def _bytes_answer(response: requests.Response, call: str) -> bytes:
    content: bytes = response.content
    if not response.ok:
        try:
            answer = json.loads(content)
        except ValueError:
            answer = None
        raise _refused(response, answer, call)
    if content.lstrip()[:1] == b"<":
        raise _WrongBody(f"{call}: HTTP {response.status_code} with a page in place of audio")
    if content.lstrip()[:1] == b"{" or "json" in response.headers.get("Content-Type", ""):
        answer = _json_answer(response, call)
        raise BadAnswer(f"{call}: got JSON with the keys {sorted(answer)}; expected audio")
    return content


def _refused(response: requests.Response, answer: Any, call: str) -> Refused:
    status = response.status_code
    detail = answer.get("error") if isinstance(answer, dict) else None
    said = printable(detail, 300) if isinstance(detail, str) and detail else "no reason given"
    return BY_STATUS.get(status, Refused)(f"{call}: HTTP {status}: {said}", status)


def _said(response: requests.Response) -> str:
    try:
        detail = json.loads(response.content).get("error")
    except (ValueError, AttributeError, requests.RequestException):
        return ""
    return f": {printable(detail, 300)}" if isinstance(detail, str) else ""


def _in_words(error: requests.RequestException) -> str:
    if isinstance(error, requests.exceptions.SSLError):
        return "the server's certificate could not be verified"
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return f"no connection within {CONNECT_S:.0f} s"
    if isinstance(error, requests.exceptions.Timeout):
        return f"no answer within {READ_S:.0f} s"
    if isinstance(error, (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError)):
        return "the answer broke off"
    if isinstance(error, requests.exceptions.ConnectionError):
        return "the connection failed or broke off"
    return type(error).__name__


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _retry_after_s(header: str | None) -> float | None:
    """Seconds to wait by a `Retry-After` header, which is a number of seconds or an HTTP date (RFC 9110, 10.2.3)."""
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(header).timestamp() - time.time())
    except (TypeError, ValueError):
        return None
