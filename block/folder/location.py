"""Locations of recordings: a folder on this machine, or an object store (`block.folder.object_store`)."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from block.folder.listing import FileStamp, FolderListing, find_recordings
from block.recording import RecordingError
from block.settings import SettingsError


@dataclass(frozen=True)
class OpenRecording:
    """An open recording: a seekable `file`, and its `stamp` from before reading; `read_stamp` reads a new stamp."""

    file: BinaryIO
    stamp: FileStamp
    read_stamp: Callable[[], FileStamp]


class Location(Protocol):
    """Where recordings are. Can be pickled, so that other processes can read them, and is thread-safe.

    Paths are relative to the location, with "/" between parts. `str(location)` is for messages.
    """

    @property
    def name(self) -> str:
        """The name stored with the labels: a folder's real path, or an object store's URI without credentials."""

    @property
    def folder(self) -> Path | None:
        """The folder on this machine; None for an object store."""

    def check(self) -> None:
        """Raise SettingsError if the location can't be read."""

    def find_recordings(self, exclude: Path) -> FolderListing:
        """Return the audio files, except those below the folder `exclude`. Raise SettingsError if listing fails."""

    def read_stamp(self, path: str) -> FileStamp:
        """Return the stamp of a recording. Raise RecordingError or OSError as `open_recording` does."""

    def open_recording(self, path: str) -> AbstractContextManager[OpenRecording]:
        """Open a recording. Raise RecordingError if it is not a regular file, OSError if it can't be read.

        The OSError is a ConnectionError if a network or a server does not answer.
        """


@dataclass(frozen=True)
class LocalFolder:
    """The folder `root` on this machine."""

    root: str

    def __str__(self) -> str:
        return self.root

    @property
    def name(self) -> str:
        return os.path.realpath(self.root)

    @property
    def folder(self) -> Path:
        return Path(self.root)

    def check(self) -> None:
        try:
            os.scandir(self.root).close()
        except OSError as error:
            raise SettingsError(f"{self.root} can't be read as a folder: {error.strerror or error}") from None

    def find_recordings(self, exclude: Path) -> FolderListing:
        return find_recordings(self.folder, exclude)

    def read_stamp(self, path: str) -> FileStamp:
        return _to_stamp(os.stat(os.path.join(self.root, path)))

    @contextmanager
    def open_recording(self, path: str) -> Iterator[OpenRecording]:
        # Without O_NONBLOCK, opening a pipe that is named like an audio file would wait for a writer.
        handle = os.open(os.path.join(self.root, path), os.O_RDONLY | os.O_NONBLOCK)
        with open(handle, "rb") as file:
            now = os.fstat(handle)
            if not stat.S_ISREG(now.st_mode):
                raise RecordingError("it is not a regular file")
            yield OpenRecording(file, _to_stamp(now), lambda: _to_stamp(os.fstat(handle)))


def _to_stamp(found: os.stat_result) -> FileStamp:
    return FileStamp(found.st_size, found.st_mtime_ns)
