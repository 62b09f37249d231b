"""Where a checkpoint's files can come from: a hub, a folder, an archive, or either of the last two behind a URL.

A source brings one file at a time into the staging folder's part. What it states of the files' digests is held to,
besides what the store knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, urlsplit, urlunsplit

from block.model.checkpoint import FILES, PICKLES, WEIGHTS, CheckpointError
from block.model_store.archive import Archive, open_archive
from block.model_store.catalog import MAX_BYTES, ExpectedFile
from block.model_store.download_progress import DownloadProgress
from block.model_store.hub import PICKLE, HubFiles
from block.model_store.staging import NoRoom, Staging
from block.model_store.store import read_sums
from block.model_store.transfer import DownloadTimeouts, FileNotFound, Remote, receive, shown
from block.runtime.hashing import SHA256

ARCHIVE = "archive.tar"


class CheckpointSource(Protocol):
    """A place that has the three files of a checkpoint."""

    def stated(self) -> Mapping[str, ExpectedFile]:
        """What the place itself says that its files are."""

    def is_current(self, name: str, staging: Staging) -> bool:
        """Is the file that an earlier fetch from here made whole still what this place would give?"""

    def bring(self, name: str, size: int | None, staging: Staging) -> None:
        """Put the file into `staging.part(name)`; `size` in bytes is what it must have, where that is known."""


class HubSource:
    """The files of a repository at one commit, as `hub.locate` found them."""

    def __init__(self, located: HubFiles, patience: DownloadTimeouts) -> None:
        self._located = located
        self._patience = patience

    def stated(self) -> Mapping[str, ExpectedFile]:
        # The entity tag of a large file is its SHA-256, that of a small one is git's name for it.
        return {
            name: ExpectedFile(name, remote.etag, remote.size)
            for name, remote in self._located.files.items()
            if remote.etag is not None and SHA256.fullmatch(remote.etag)
        }

    def is_current(self, name: str, staging: Staging) -> bool:
        etag = self._located.files[name].etag
        return etag is not None and staging.etag(name).exists() and staging.etag(name).read_text() == etag

    def bring(self, name: str, size: int | None, staging: Staging) -> None:
        remote = self._located.files[name]
        if size is not None and remote.size is not None and remote.size != size:
            raise CheckpointError(f"{shown(remote.url)} has {remote.size} bytes; expected {size}")
        _receive(remote, name, staging, self._patience)


class UrlSource:
    """A folder on a web server that holds the files."""

    def __init__(self, url: str, patience: DownloadTimeouts) -> None:
        self._url = url
        self._patience = patience

    def stated(self) -> Mapping[str, ExpectedFile]:
        return {}

    def is_current(self, name: str, staging: Staging) -> bool:
        return False

    def bring(self, name: str, size: int | None, staging: Staging) -> None:
        try:
            _receive(Remote(self._below(name), size), name, staging, self._patience)
        except FileNotFound:
            if name == WEIGHTS and self._has_pickle(staging):
                raise CheckpointError(
                    f"{shown(self._url)} holds pickled weights only ({PICKLE}), which are never loaded; {WEIGHTS} is "
                    "needed"
                ) from None
            raise

    def _below(self, name: str) -> str:
        parts = urlsplit(self._url)
        return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{quote(name)}"))

    def _has_pickle(self, staging: Staging) -> bool:
        import requests

        from block.model_store.session import FileSession

        try:
            with FileSession() as session:
                answer = session.head(self._below(PICKLE), timeout=self._patience.connect_s, allow_redirects=True)
        except requests.RequestException:
            return False
        return answer.status_code == 200


class FolderSource:
    """A folder on this machine, a USB stick say."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        missing = [name for name in FILES if not (folder / name).is_file()]
        pickled = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLES)
        if WEIGHTS in missing and pickled:
            raise CheckpointError(
                f"{folder} holds pickled weights only ({pickled[0]}), which are never loaded; {WEIGHTS} is needed"
            )
        if missing:
            raise CheckpointError(f"{folder} does not hold {', '.join(missing)}")

    def stated(self) -> Mapping[str, ExpectedFile]:
        return read_sums(self._folder)

    def is_current(self, name: str, staging: Staging) -> bool:
        return False

    def bring(self, name: str, size: int | None, staging: Staging) -> None:
        source = self._folder / name
        there = source.stat().st_size
        _check_size(source, there, size, name)
        staging.has_room(there, staging.part(name))
        with source.open("rb") as file, staging.part(name).open("wb") as part, DownloadProgress(name) as meter:
            meter.begin(0, there)
            while block := file.read(1 << 20):
                part.write(block)
                meter.advance(len(block))


class ArchiveSource:
    """An archive as `models pack` makes it."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._sums = archive.sums()

    def stated(self) -> Mapping[str, ExpectedFile]:
        return {name: ExpectedFile(name, digest) for name, digest in self._sums.items() if name in FILES}

    def is_current(self, name: str, staging: Staging) -> bool:
        return False

    def bring(self, name: str, size: int | None, staging: Staging) -> None:
        there = self._archive.size(name)
        _check_size(f"{self._archive.path}: {name}", there, size, name)
        part = staging.part(name)
        part.unlink(missing_ok=True)
        staging.has_room(there, part)
        self._archive.extract(name, part, DownloadProgress(name))


def is_url(place: str) -> bool:
    """Is that a URL of http or https, and not a path?"""
    return place.lower().startswith(("http://", "https://"))


def origin_of(place: str) -> str:
    """In one line, where `--from place` points: without secrets. Raises CheckpointError for a broken URL."""
    if is_url(place):
        try:
            parts = urlsplit(place)
            valid = bool(parts.hostname) and parts.port != 0
        except ValueError:
            valid = False
        if not valid:
            raise CheckpointError("--from is no URL; expected http:// or https:// with a host and, if any, a port")
    return shown(place) if is_url(place) else str(Path(place).resolve())


@contextmanager
def open_place(place: str, staging: Staging, patience: DownloadTimeouts) -> Iterator[CheckpointSource]:
    """The source that `--from place` names. A URL whose path ends in .tar is an archive, any other a folder.

    Raises CheckpointError if there is nothing of the kind.
    """
    if is_url(place):
        if not urlsplit(place).path.lower().endswith(".tar"):
            yield UrlSource(place, patience)
            return
        _receive(Remote(place), ARCHIVE, staging, patience)
        try:
            with open_archive(staging.part(ARCHIVE)) as archive:
                yield ArchiveSource(archive)
        except NoRoom:
            raise
        except CheckpointError as error:
            # Whatever is wrong with it will not go away by reading it again.
            staging.discard(ARCHIVE)
            raise CheckpointError(str(error).replace(str(staging.part(ARCHIVE)), shown(place))) from None
        return
    path = Path(place)
    if path.is_dir():
        yield FolderSource(path)
    elif path.is_file():
        with open_archive(path) as archive:
            yield ArchiveSource(archive)
    else:
        raise CheckpointError(f"--from {place}: expected a folder, an archive, or a URL of http:// or https://")


def _receive(remote: Remote, name: str, staging: Staging, patience: DownloadTimeouts) -> None:
    limit = MAX_BYTES.get(name, sum(MAX_BYTES.values()))
    receive(remote, staging.part(name), staging.etag(name), limit, patience, DownloadProgress(name), staging.has_room)


def _check_size(what: object, there: int, size: int | None, name: str) -> None:
    if size is not None and there != size:
        raise CheckpointError(f"{what} has {there} bytes; expected {size}")
    if there > MAX_BYTES[name]:
        raise CheckpointError(f"{what} has {there} bytes; at most {MAX_BYTES[name]} are accepted")
