"""Recordings in an object store: each is fetched whole, in one go, before it is decoded.

A decoder seeks to and fro, and each step would be a request.
"""

from __future__ import annotations

import io
import os
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from block.folder.filesystems import FileSystem, open_filesystem, translate_errors
from block.folder.listing import FileStamp, FolderListing, find_recordings, is_audio_file
from block.folder.location import LocalFolder, Location, OpenRecording
from block.folder.object_store_uri import ObjectStoreUri, is_uri, parse_uri
from block.recording import RecordingError
from block.settings import SettingsError

# Fetched in one request, and held in memory: with four recordings at once, as much as a run may hold ahead. What is
# longer is held in a file without a name, which is gone when it is closed, however the process ends.
MEMORY_BYTES = 64 << 20

_stores: dict[ObjectStoreUri, FileSystem] = {}
_opening = threading.Lock()


@dataclass(frozen=True)
class Bucket:
    """An object store, or a folder in one. It is opened when it is first asked, once in a process."""

    uri: ObjectStoreUri

    @classmethod
    def from_uri(cls, uri: str) -> Bucket:
        """The one at `uri`. Raises SettingsError for a URI that cannot be understood, or holds a secret."""
        return cls(parse_uri(uri))

    def __str__(self) -> str:
        return self.uri.name

    @property
    def name(self) -> str:
        return str(self) if self.folder is None else os.path.realpath(self.folder)

    @property
    def folder(self) -> Path | None:
        return Path(self.uri.path or "/") if self.uri.scheme == "file" else None

    def check(self) -> None:
        with self._at_start():
            self._store().check()

    def find_recordings(self, without: Path) -> FolderListing:
        if self.folder is not None:
            # Arrow would follow links in circles there, and knows no names that are not UTF-8.
            return find_recordings(self.folder, without)
        stamps: dict[str, FileStamp] = {}
        unreadable: dict[str, str] = {}
        others = 0
        with self._at_start():
            for path, stamp in self._store().list_files(unreadable):
                if path.startswith(".") or "/." in path:
                    continue
                if path.startswith("/") or "//" in path:
                    # Object stores alone have such folders: nothing that is written of it could be named like it.
                    unreadable[path[: f"/{path}".index("//") + 1]] = "it has no name"
                elif is_audio_file(path):
                    stamps[path] = stamp
                else:
                    others += not path.endswith("/")  # an object that stands for a folder
        files = tuple(sorted(stamps, key=os.fsencode))
        return FolderListing(files, dict(sorted(unreadable.items())), 0, others, stamps)

    def read_stamp(self, path: str) -> FileStamp:
        try:
            return self._stamp(path)
        except RecordingError as error:
            raise OSError(str(error)) from None

    @contextmanager
    def open_recording(self, path: str) -> Iterator[OpenRecording]:
        stamp = self._stamp(path)
        with self._fetched(path, stamp) as file:
            yield OpenRecording(file, stamp, lambda: self._stamp(path))

    def _stamp(self, path: str) -> FileStamp:
        with translate_errors():
            return self._store().read_stamp(path)

    def _fetched(self, path: str, stamp: FileStamp) -> BinaryIO:
        """All of an object, at its start."""
        with translate_errors():
            parts = self._store().read_parts(path, stamp.size, MEMORY_BYTES)
            # A single part is shared, not copied.
            file = io.BytesIO(b"".join(parts)) if stamp.size <= MEMORY_BYTES else _unnamed(parts, stamp.size)
        came = file.seek(0, os.SEEK_END)
        file.seek(0)
        if came < stamp.size:
            file.close()
            if self._stamp(path) != stamp:
                raise RecordingError("the file was changed while it was read")
            raise ConnectionError(f"{came} of {stamp.size} bytes came")
        return file

    def _store(self) -> FileSystem:
        with _opening:
            if self.uri not in _stores:
                _stores[self.uri] = open_filesystem(self.uri)
            return _stores[self.uri]

    @contextmanager
    def _at_start(self) -> Iterator[None]:
        try:
            with translate_errors():
                yield
        except OSError as error:
            raise SettingsError(f"{self} cannot be read: {error}") from None


def _unnamed(parts: Iterable[bytes], size: int) -> BinaryIO:
    """A file of this machine without a name that holds `parts`, `size` bytes.

    Raises RecordingError where there is no room for it.
    """
    with ExitStack() as stack:
        file = stack.enter_context(tempfile.TemporaryFile())
        try:
            os.posix_fallocate(file.fileno(), 0, size)
            file.truncate(0)
        except OSError as error:
            where = tempfile.gettempdir()
            raise RecordingError(f"there is no room for its {size} bytes in {where}: {error.strerror}") from None
        for part in parts:
            file.write(part)
        stack.pop_all()
    return cast(BinaryIO, file)


def parse_location(source: str) -> Location:
    """The place that a user means: `source` is the path of a folder, or a URI, `scheme://…`.

    Raises SettingsError for a URI that nobody should read, or that cannot be understood. Nothing is opened yet.
    """
    if not is_uri(source):
        return LocalFolder(os.fspath(Path(source)))
    from block.folder.object_store import Bucket

    return Bucket.from_uri(source)
