"""The REST client: one request method, timeouts always, status and `success` checked, retries by a declared rule.

Every call this block makes sets state or reads it, so each may be repeated. Tried again are: connections that fail
or break off, answers that end early, 429, 5xx, and bodies that should be JSON and are not. Everything else is final.

The key goes into the header `x-api-key` and nowhere else. `requests` would carry that header along to another host
when redirected, so redirects are followed here, by hand, and only to the same scheme, host and port.
"""

from __future__ import annotations

import ipaddress
import json
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

import requests

from block.recording import printable
from block.studio.answers import Json, WrongBodyError, bytes_answer, json_answer, parsed, reason_in
from block.studio.errors import ConnectionFailed, Redirected, StudioError
from block.studio.retries import RetryPolicy

# What no further try can mend.
NEVER_BETTER = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
    requests.exceptions.InvalidHeader,
    requests.exceptions.InvalidProxyURL,
)
Answer = TypeVar("Answer")

CONNECT_S, READ_S = 10.0, 60.0
HOST = re.compile(r"[A-Za-z0-9_.:-]+")
DEFAULT_ENDPOINT = "https://studio.edgeimpulse.com/v1"


def normal_endpoint(text: str) -> str:
    """The API's base with `/v1` and no trailing slash, from any of the forms users write.

    Raises ValueError for anything that is no http or https address.
    """
    base = text.strip().rstrip("/")
    parts = urlsplit(base)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"got {text!r}; expected an address such as {DEFAULT_ENDPOINT}")
    try:
        port = parts.port
    except ValueError as error:
        raise ValueError(f"got {text!r} ({error}); expected an address such as {DEFAULT_ENDPOINT}") from None
    if port == 0 or not HOST.fullmatch(parts.hostname):
        raise ValueError(f"got {text!r}; expected an address such as {DEFAULT_ENDPOINT}")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("it holds a user name, a query or a fragment; expected the bare address")
    return base if base.endswith("/v1") else f"{base}/v1"


class StudioClient:
    """Calls the API at `endpoint` with `key`. May be used from several threads.

    Once `stop` is set, nothing is tried again. `sleep` is there to be replaced in tests.
    """

    def __init__(
        self,
        endpoint: str,
        key: str,
        retries: RetryPolicy | None = None,
        stop: threading.Event | None = None,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        self.endpoint = normal_endpoint(endpoint)
        self._key = key
        self._retries = retries or RetryPolicy()
        self._stop = stop or threading.Event()
        self._sleep = sleep or self._stop.wait
        # A session is not promised to be safe between threads; one each keeps connections alive all the same.
        self._local = threading.local()

    def get_json(self, path: str, **query: Any) -> Json:
        """GET `path`, such as `/api/projects`; the answer's JSON object, its `success` checked."""
        return self._request("GET", path, query, None, json_answer)

    def post_json(self, path: str, body: Mapping[str, Any]) -> Json:
        """POST `body` as JSON; the answer's JSON object, its `success` checked."""
        return self._request("POST", path, {}, json.dumps(body), json_answer)

    def get_bytes(self, path: str, **query: Any) -> bytes:
        """GET `path`; the answer's body. An envelope with `success: false` in its place is an error."""
        return self._request("GET", path, query, None, bytes_answer)

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
                problem = f"HTTP {status}: {reason_in(parsed(response.content))}"
                retry_after = response.headers.get("Retry-After")
            except NEVER_BETTER as error:
                raise ConnectionFailed(f"{call}: the address cannot be used ({type(error).__name__})") from None
            except requests.RequestException as error:
                # The exception's own text may quote headers; its type says enough.
                problem = _in_words(error)
            except WrongBodyError as error:
                problem = str(error)
            except StudioError as error:
                error.args = (self._clean(str(error)),)
                raise
            except (OSError, ValueError) as error:  # such as certificates that are not where the environment says
                raise ConnectionFailed(self._clean(f"{call}: {error}")) from None
            problem = self._clean(f"{call}: {problem}")
            if tried == self._retries.tries:
                raise ConnectionFailed(f"{problem}; tried {tried} times")
            wait_s = self._retries.wait_s(tried, retry_after)
            if wait_s is None:
                raise ConnectionFailed(f"{problem}; it asks to wait until {printable(retry_after)}, which is too long")
            self._sleep(wait_s)
            if self._stop.is_set():
                raise ConnectionFailed(f"{problem}; not tried again, as the run is over")
        raise AssertionError("the last try returns or raises")

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
                stream=True,  # whoever reads the answer takes its body in
            )
            location = response.headers.get("Location")
            if not response.is_redirect or location is None:
                return response
            response.close()
            try:
                target = urljoin(url, location)
                elsewhere = _origin(target) != _origin(url)
            except ValueError:
                raise Redirected(f"{call}: redirected to what is no address: {location!r}") from None
            if elsewhere:
                host = urlsplit(target).hostname
                raise Redirected(f"{call}: redirected to another host, {host!r}; the key is not sent there")
            if method != "GET" and response.status_code not in (307, 308):
                raise Redirected(f"{call}: redirected with HTTP {response.status_code}, which drops what is written")
            url, params = target, None
        raise Redirected(f"{call}: redirected more than 5 times")

    def _session(self) -> requests.Session:
        if not hasattr(self._local, "session"):
            session = requests.Session()
            # A proxy cannot reach this machine's loopback, and has no business with a key that is meant for it.
            session.trust_env = not _is_loopback(urlsplit(self.endpoint).hostname or "")
            self._local.session = session
        kept: requests.Session = self._local.session
        return kept

    def _clean(self, text: str) -> str:
        """`text` without the key, which a server may quote back; then on one line and cut, in this order."""
        return printable(text.replace(self._key, "<key>"), 400)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


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
