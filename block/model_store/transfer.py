"""One file over HTTP into a part file, carried on with where it broke off: within a fetch, and from one to the next.

huggingface_hub 2 begins each download in a file of its own and deletes that on failure, so what an interrupted fetch
had received would be lost; and mirrors that are no hub need a transfer too. So the bytes come this way for both.

A part is only continued if it belongs to the same version of the file, as named by an entity tag or a date of change.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import requests

from block import __version__
from block.model.checkpoint import CheckpointError
from block.model_store.download_progress import DownloadProgress
from block.model_store.session import FileSession

BLOCK_BYTES = 1 << 16  # at most this much of what was received is lost when the connection breaks off
BUSY = (408, 425, 429, 500, 502, 503, 504)
USER_AGENT = f"ast-ai-action/{__version__}"


@dataclass(frozen=True)
class DownloadTimeouts:
    """How long to wait for a server, in seconds, and how many attempts in a row may bring nothing new."""

    connect_s: float = 10.0
    read_s: float = 30.0
    attempts: int = 6
    wait_s: float = 1.0
    longest_wait_s: float = 16.0


@dataclass(frozen=True)
class Remote:
    """A file on a server. `size` in bytes and `etag`, which names its version, where they are known beforehand."""

    url: str
    size: int | None = None
    etag: str | None = None
    token: str | None = field(default=None, repr=False)


class Interrupted(Exception):
    """A transfer that may go better next time; the message says what happened, without any URL."""


class FileNotFound(CheckpointError):
    """The server has no such file."""


def shown(url: str) -> str:
    """`url` for messages and records: without user name, password and query, which may be secrets."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(no URL)"
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def patiently(attempt: Callable[[], None], progress: Callable[[], int], patience: DownloadTimeouts, what: str) -> None:
    """Repeat `attempt` while it is Interrupted, until `patience` is at its end: then raises CheckpointError.

    `progress` tells how many bytes there are; an attempt that adds to them costs no patience.
    """
    failures, best = 0, progress()
    while True:
        try:
            attempt()
            return
        except Interrupted as error:
            now = progress()
            failures = 1 if now > best else failures + 1
            best = max(best, now)
            if failures >= patience.attempts:
                kept = f"; {now} bytes are kept: run the same command again to carry on" if now else ""
                raise CheckpointError(f"{what}: {error}, {failures} times in a row{kept}") from None
        time.sleep(min(patience.wait_s * 2 ** (failures - 1), patience.longest_wait_s))


def receive(
    remote: Remote,
    part: Path,
    etag: Path,
    max_bytes: int,
    patience: DownloadTimeouts,
    meter: DownloadProgress,
    make_room: Callable[[int, Path], None],
) -> None:
    """Receive `remote` into `part`, continuing what is there if the file `etag` says that it is the same version.

    `make_room` is called with the whole size, in bytes, before anything is written. Raises NotFound, or
    CheckpointError with what is in `part` kept wherever it can be continued; and OSError if the disk fails.
    """
    transfer = _Transfer(remote, part, etag, max_bytes, patience, meter, make_room)
    with meter:
        patiently(transfer.attempt, transfer.offset, patience, shown(remote.url))


@dataclass(frozen=True)
class _Transfer:
    remote: Remote
    part: Path
    etag: Path
    max_bytes: int
    patience: DownloadTimeouts
    meter: DownloadProgress
    make_room: Callable[[int, Path], None]

    def offset(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def attempt(self) -> None:
        version = self.etag.read_text(encoding="utf-8") if self.etag.exists() else None
        if version is None or self.remote.etag not in (None, version):
            self._begin_anew()
        offset = self.offset()
        if self.remote.size is not None and offset >= self.remote.size > 0:
            if offset == self.remote.size:
                return
            self._begin_anew()
            offset = 0
        self._check_size(self.remote.size)
        headers = {"Accept-Encoding": "identity", "User-Agent": USER_AGENT}
        if offset:
            headers["Range"] = f"bytes={offset}-"
            if self.remote.etag is None and version is not None:
                # Without the hub's word on what the file is now, the server compares.
                headers["If-Range"] = version
        with _errors(self.patience), FileSession(self.remote.token) as session:
            response = session.get(
                self.remote.url,
                headers=headers,
                stream=True,
                timeout=(self.patience.connect_s, self.patience.read_s),
            )
            with response:
                self._take(response, offset)

    def _take(self, response: requests.Response, offset: int) -> None:
        given = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+)", response.headers.get("Content-Range", ""))
        if response.status_code == 416:
            if given is not None and int(given[2]) == offset:
                return  # it was complete already
            self._begin_anew()
            raise Interrupted("the server has no more than what was received, which is not all")
        _check_status(response, self.remote.url)
        total: int | None = None
        if response.status_code == 206:
            if given is None or given[1] is None or int(given[1]) != offset:
                self._begin_anew()
                raise Interrupted("the server sent another part than asked for")
            total = int(given[2])
        else:
            offset = 0
            if response.headers.get("Content-Encoding", "identity") == "identity":
                length = response.headers.get("Content-Length", "")
                total = int(length) if length.isdecimal() else None
        self._check_size(total)
        self._remember_version(response, offset)
        self.meter.begin(offset, total)
        with self.part.open("ab" if offset else "wb") as file:
            for block in response.iter_content(BLOCK_BYTES):
                offset += len(block)
                if offset > (self.max_bytes if total is None else total):
                    raise CheckpointError(f"{shown(self.remote.url)}: the server sends more than it should")
                file.write(block)
                self.meter.advance(len(block))
        if total is not None and offset < total:
            raise Interrupted(f"the connection broke off at {offset} of {total} bytes")

    def _check_size(self, total: int | None) -> None:
        expected = self.remote.size
        if total is not None and expected is not None and total != expected:
            raise CheckpointError(f"{shown(self.remote.url)} has {total} bytes; expected {expected}")
        if total is not None and total > self.max_bytes:
            raise CheckpointError(f"{shown(self.remote.url)} has {total} bytes; at most {self.max_bytes} are accepted")
        if total is not None:
            self.make_room(total, self.part)

    def _remember_version(self, response: requests.Response, offset: int) -> None:
        if offset:
            return
        version = self.remote.etag
        if version is None:
            tag = response.headers.get("ETag", "")
            # A weak tag does not promise the same bytes.
            version = tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified")
        if version is None:
            self.etag.unlink(missing_ok=True)
        else:
            self.etag.write_text(version, encoding="utf-8")

    def _begin_anew(self) -> None:
        self.part.unlink(missing_ok=True)
        self.etag.unlink(missing_ok=True)


def _check_status(response: requests.Response, url: str) -> None:
    status = response.status_code
    if status in (200, 206):
        return
    if status in BUSY:
        raise Interrupted(f"the server answered {status} {response.reason}")
    if status in (404, 410):
        raise FileNotFound(f"{shown(url)} is not there: the server answered {status}")
    if status in (401, 403):
        raise CheckpointError(f"{shown(url)}: the server answered {status}, access refused")
    raise CheckpointError(f"{shown(url)}: the server answered {status} {response.reason}; expected 200")


@contextmanager
def _errors(patience: DownloadTimeouts) -> Iterator[None]:
    """requests' errors in our words; theirs may hold the URL with its secrets."""
    try:
        yield
    except requests.exceptions.SSLError:
        raise CheckpointError("the server's certificate could not be verified, or TLS failed otherwise") from None
    except requests.Timeout:
        raise Interrupted(f"no answer within {patience.read_s:g} s") from None
    except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, requests.TooManyRedirects) as error:
        raise CheckpointError(f"the URL cannot be fetched: {type(error).__name__}") from None
    except requests.ConnectionError as error:
        stalled = "timed out" in str(error)
        raise Interrupted(f"no data for {patience.read_s:g} s" if stalled else "the connection failed") from None
    except requests.RequestException:
        raise Interrupted("the connection broke off") from None
