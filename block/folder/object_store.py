"""Recordings in an object store, fetched whole before decoding: each seek of a decoder would be a request."""

from __future__ import annotations

import io
import os
import tempfile
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from block.folder.listing import FileStamp, FolderListing, find_recordings, get_ending, is_audio_file
from block.folder.location import LocalFolder, Location, OpenRecording
from block.folder.object_store_filesystems import FileSystem, open_filesystem, translate_errors
from block.folder.object_store_uri import ObjectStoreUri, is_uri, parse_uri
from block.recording import RecordingError
from block.settings import SettingsError

# The size of a request, and of the largest file kept in memory: four of them, as many as are fetched at once, fill the
# memory for prefetching. A larger file goes into an unnamed temporary file, which disappears however the process ends.
MEMORY_BYTES = 64 << 20

_filesystems: dict[ObjectStoreUri, FileSystem] = {}
_lock = threading.Lock()


@dataclass(frozen=True)
class Bucket:
    """An object store, or a folder in one. Each process opens it once, on first use."""

    uri: ObjectStoreUri

    def __str__(self) -> str:
        return self.uri.name

    @property
    def name(self) -> str:
        return str(self) if self.folder is None else os.path.realpath(self.folder)

    @property
    def folder(self) -> Path | None:
        return Path(self.uri.path or "/") if self.uri.scheme == "file" else None

    def check(self) -> None:
        with self._refuse_unreadable():
            self._open_filesystem().check()

    def find_recordings(self, exclude: Path) -> FolderListing:
        if self.folder is not None:
            # On a local folder, Arrow would follow links in circles and miss names that are not UTF-8.
            return find_recordings(self.folder, exclude)
        stamps: dict[str, FileStamp] = {}
        unreadable: dict[str, str] = {}
        other_files: Counter[str] = Counter()
        with self._refuse_unreadable():
            for path, stamp in self._open_filesystem().list_files(unreadable):
                if path.startswith(".") or "/." in path:
                    continue
                if path.startswith("/") or "//" in path:
                    # Only object stores have folders without a name; no label file could be named after one.
                    unreadable[path[: f"/{path}".index("//") + 1]] = "it has no name"
                elif is_audio_file(path):
                    stamps[path] = stamp
                elif not path.endswith("/"):  # an object that stands for a folder
                    other_files[get_ending(path)] += 1
        files = tuple(sorted(stamps, key=os.fsencode))
        return FolderListing(files, dict(sorted(unreadable.items())), (), other_files, stamps)

    def read_stamp(self, path: str) -> FileStamp:
        with translate_errors():
            return self._open_filesystem().read_stamp(path)

    @contextmanager
    def open_recording(self, path: str) -> Iterator[OpenRecording]:
        stamp = self.read_stamp(path)
        with self._fetch(path, stamp) as file:
            yield OpenRecording(file, stamp, lambda: self.read_stamp(path))

    def _fetch(self, path: str, stamp: FileStamp) -> BinaryIO:
        """Return a file with the whole object, positioned at its start."""
        with translate_errors():
            parts = self._open_filesystem().read_parts(path, stamp.size, MEMORY_BYTES)
            # `join` returns a single part without copying it.
            file = io.BytesIO(b"".join(parts)) if stamp.size <= MEMORY_BYTES else _write_unnamed(parts, stamp.size)
        received = file.seek(0, os.SEEK_END)
        file.seek(0)
        if received < stamp.size:
            file.close()
            if self.read_stamp(path) != stamp:
                raise RecordingError("the file changed while it was being read")
            raise ConnectionError(f"only {received} of {stamp.size} bytes arrived")
        return file

    def _open_filesystem(self) -> FileSystem:
        with _lock:
            if self.uri not in _filesystems:
                _filesystems[self.uri] = open_filesystem(self.uri)
            return _filesystems[self.uri]

    @contextmanager
    def _refuse_unreadable(self) -> Iterator[None]:
        """Raise any error of the store as a SettingsError."""
        try:
            with translate_errors():
                yield
        except OSError as error:
            raise SettingsError(f"{self} can't be read: {error}") from None


def _write_unnamed(parts: Iterable[bytes], size: int) -> BinaryIO:
    """Return an unnamed file with `parts`, `size` bytes in all. Raise RecordingError if there is no room for it."""
    with ExitStack() as stack:
        file = stack.enter_context(tempfile.TemporaryFile())
        try:
            os.posix_fallocate(file.fileno(), 0, size)
            file.truncate(0)
        except OSError as error:
            where = tempfile.gettempdir()
            raise RecordingError(
                f"{where} has no room for the recording's {size} bytes: {error.strerror}; free some space or set TMPDIR"
            ) from None
        file.writelines(parts)
        stack.pop_all()
    return cast(BinaryIO, file)


def parse_location(source: str) -> Location:
    """Return the location for a folder's path or a URI, `scheme://…`, without opening it.

    Raise SettingsError for an invalid URI or one that contains a secret.
    """
    return Bucket(parse_uri(source)) if is_uri(source) else LocalFolder(os.fspath(Path(source)))
