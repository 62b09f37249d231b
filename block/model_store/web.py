"""Download a file from any web server. A failed download starts over; no part of it is kept."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests
from requests.auth import HTTPBasicAuth
from requests.utils import get_auth_from_url
from tqdm import tqdm

from block import __version__
from block.model.checkpoint import WEIGHTS, CheckpointError
from block.model_store.staging import check_size, size_limit
from block.runtime.deadline import Deadline, DeadlinePassed
from block.runtime.watched_adapter import WatchedAdapter

CONNECT_S, READ_S = 10.0, 30.0
TRY_S = 60.0  # from connecting to the end of the headers, redirects included
STALL_S, STALL_BYTES = 60.0, 1 << 20  # a body has to bring so many bytes, or its end, within so many seconds
ATTEMPTS, WAIT_S = 4, 1.0  # the wait doubles after each attempt
BUSY = (408, 425, 429, 500, 502, 503, 504)
BLOCK_BYTES = 1 << 16
PICKLE = "pytorch_model.bin"
HEADERS = {"Accept-Encoding": "identity", "User-Agent": f"ast-ai-action/{__version__}"}


class FileNotFound(CheckpointError):
    """The server doesn't have this file."""


class PickledWeights(CheckpointError):
    """The only weights are a pickle, which could run code when loaded."""

    def __init__(self, where: object, name: str = PICKLE) -> None:
        super().__init__(f"{where} has only pickled weights ({name}), which are never loaded; {WEIGHTS} is needed")


def hide_secrets(url: str) -> str:
    """Return `url` without user name, password and query, which may be secrets, for messages and records."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(invalid URL)"
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def download(url: str, path: Path, size: int | None = None) -> None:
    """Download `url` into the file `path`; it must have `size` bytes, if given.

    Raise FileNotFound or another CheckpointError, and OSError if the disk fails.
    """
    problem = ""
    for attempt in range(ATTEMPTS):
        try:
            return _download_once(url, path, size)
        except requests.exceptions.SSLError:
            raise CheckpointError("TLS failed, or the server's certificate could not be verified") from None
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, requests.TooManyRedirects) as error:
            raise CheckpointError(f"the URL can't be fetched: {type(error).__name__}") from None
        except requests.RequestException as error:
            problem = _describe(error)
        except DeadlinePassed as error:
            problem = str(error)
        if attempt + 1 < ATTEMPTS:
            time.sleep(WAIT_S * 2**attempt)
    raise CheckpointError(f"{hide_secrets(url)}: {problem}, {ATTEMPTS} times in a row")


def file_exists(url: str) -> bool:
    """Return True if the server has this file."""
    try:
        with Deadline(TRY_S), _Session(url) as session:
            return session.head(url, timeout=CONNECT_S, allow_redirects=True).status_code == 200
    except (requests.RequestException, DeadlinePassed):
        return False


def _download_once(url: str, path: Path, size: int | None) -> None:
    with (
        Deadline(TRY_S) as deadline,
        _Session(url) as session,
        session.get(url, headers=HEADERS, stream=True, timeout=(CONNECT_S, READ_S)) as response,
    ):
        _check_status(response, url)
        length = response.headers.get("Content-Length", "")
        is_encoded = response.headers.get("Content-Encoding", "identity") != "identity"
        total = int(length) if length.isdecimal() and not is_encoded else None
        if total is not None:
            check_size(hide_secrets(url), path.name, total, size, path.parent)
        with (
            path.open("wb") as file,
            tqdm(desc=path.name, total=total, unit="B", unit_scale=True, leave=False, disable=None) as progress,
        ):
            received = renewed_at = 0
            deadline.renew(STALL_S)
            for block in response.iter_content(BLOCK_BYTES):
                progress.update(len(block))
                received += len(block)
                if received > size_limit(path.name):
                    raise CheckpointError(f"{hide_secrets(url)} has more than {size_limit(path.name)} bytes")
                file.write(block)
                if received - renewed_at >= STALL_BYTES:
                    deadline.renew(STALL_S)
                    renewed_at = received


def _check_status(response: requests.Response, url: str) -> None:
    status = response.status_code
    if status == 200:
        return
    if status in BUSY:
        raise requests.HTTPError(response=response)
    if status in (404, 410):
        raise FileNotFound(f"{hide_secrets(url)} was not found: the server answered {status}")
    if status in (401, 403):
        raise CheckpointError(f"{hide_secrets(url)}: the server answered {status}, access refused")
    raise CheckpointError(f"{hide_secrets(url)}: the server answered {status} {response.reason}; expected 200")


def _describe(error: requests.RequestException) -> str:
    """Return a message for `error` in our own words: those of requests may contain the URL with its secrets."""
    if error.response is not None:
        return f"the server answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return f"no answer within {READ_S:g} s"
    if isinstance(error, requests.ConnectionError):
        return f"no data for {READ_S:g} s" if "timed out" in str(error) else "the connection failed"
    return "the connection was interrupted"


class _Adapter(WatchedAdapter):
    """Never read the body of a redirect, which requests would read into memory whatever its size."""

    def send(self, *arguments: Any, **options: Any) -> requests.Response:
        response = super().send(*arguments, **options)
        if response.is_redirect:
            response.close()
            response._content = b""
        return response


class _Session(requests.Session):
    """Send the user name and password in the URL only to its host.

    By default, requests also sends credentials from ~/.netrc, whose `default` entry matches every host, and looks there
    again at each redirect.
    """

    def __init__(self, url: str) -> None:
        super().__init__()
        for scheme in ("http://", "https://"):
            self.mount(scheme, _Adapter())
        user, password = get_auth_from_url(url)
        self.auth = HTTPBasicAuth(user, password) if user or password else lambda request: request

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        before, now = response.request.url or "", prepared_request.url or ""
        try:
            is_elsewhere = self.should_strip_auth(before, now)  # type: ignore[no-untyped-call]
        except ValueError:
            raise requests.exceptions.InvalidURL("redirected to an invalid address") from None
        if is_elsewhere:
            prepared_request.headers.pop("Authorization", None)
