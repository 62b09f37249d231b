"""Sources of a checkpoint other than a hub: a folder, an archive, or a URL of either."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, urlsplit, urlunsplit

from block.model.checkpoint import FILES, PICKLES, WEIGHTS, CheckpointError
from block.model_store.archive import open_archive
from block.model_store.catalog import ExpectedFile
from block.model_store.records import read_sums
from block.model_store.staging import check_size
from block.model_store.web import PICKLE, FileNotFound, PickledWeights, download, file_exists, hide_secrets

ARCHIVE = "archive.tar"


class CheckpointSource(Protocol):
    """A source of the three files of a checkpoint."""

    def read_sums(self) -> Mapping[str, ExpectedFile]:
        """Return the digests that the source states; files must match them as well as those the store expects."""

    def copy(self, name: str, folder: Path, size: int | None) -> None:
        """Copy the file `name` into `folder`; it must have `size` bytes, if given."""


class FolderSource:
    """A folder on this machine, for example on a USB stick."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        missing = [name for name in FILES if not (folder / name).is_file()]
        pickles = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLES)
        if WEIGHTS in missing and pickles:
            raise PickledWeights(folder, pickles[0])
        if missing:
            raise CheckpointError(f"{folder} does not contain {', '.join(missing)}")

    def read_sums(self) -> Mapping[str, ExpectedFile]:
        return read_sums(self._folder)

    def copy(self, name: str, folder: Path, size: int | None) -> None:
        path = self._folder / name
        check_size(path, name, path.stat().st_size, size, folder)
        shutil.copyfile(path, folder / name)


class UrlSource:
    """A folder on a web server."""

    def __init__(self, url: str) -> None:
        self._url = url

    def read_sums(self) -> Mapping[str, ExpectedFile]:
        return {}

    def copy(self, name: str, folder: Path, size: int | None) -> None:
        try:
            download(self._url_of(name), folder / name, size)
        except FileNotFound:
            if name == WEIGHTS and file_exists(self._url_of(PICKLE)):
                raise PickledWeights(hide_secrets(self._url)) from None
            raise

    def _url_of(self, name: str) -> str:
        parts = urlsplit(self._url)
        return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{quote(name)}"))


def describe_place(place: str) -> str:
    """Return `--from place` as a path or URL without secrets. Raise CheckpointError for an invalid URL."""
    if not _is_url(place):
        return str(Path(place).resolve())
    try:
        parts = urlsplit(place)
        is_valid = bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_valid = False
    if not is_valid:
        raise CheckpointError("--from is an invalid URL; expected http:// or https:// with a host and an optional port")
    return hide_secrets(place)


@contextmanager
def open_place(place: str, folder: Path) -> Iterator[CheckpointSource]:
    """Open the source `--from place`. A URL whose path ends in .tar is an archive, any other a folder.

    Archives are downloaded into `folder`. Raise CheckpointError if there is no such source.
    """
    path = Path(place)
    if _is_url(place):
        if not urlsplit(place).path.lower().endswith(".tar"):
            yield UrlSource(place)
            return
        path = folder / ARCHIVE
        download(place, path)
        try:
            with open_archive(path) as archive:
                yield archive
        except CheckpointError as error:
            raise CheckpointError(str(error).replace(str(path), hide_secrets(place))) from None
    elif path.is_dir():
        yield FolderSource(path)
    elif path.is_file():
        with open_archive(path) as archive:
            yield archive
    else:
        raise CheckpointError(f"--from {place} does not exist; expected a folder, an archive, or a URL with http(s)://")


def _is_url(place: str) -> bool:
    return place.lower().startswith(("http://", "https://"))
