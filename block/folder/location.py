"""Where recordings are: a folder of this machine, or an object store (`block.folder.object_store`)."""

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
    """An open recording: `file` can seek; `stamp` is what it had before it was read, `read_stamp` asks again.

    `read_stamp` raises OSError.
    """

    file: BinaryIO
    stamp: FileStamp
    read_stamp: Callable[[], FileStamp]


class Location(Protocol):
    """Where recordings are. Can be pickled: another process reads the same ones. Used from several threads.

    Paths are relative to the place, with "/" between parts. `str()` of it is for messages.
    """

    @property
    def name(self) -> str:
        """As it is kept beside the labels: the real path of a folder, the URI of an object store, no credentials."""
        ...

    @property
    def folder(self) -> Path | None:
        """The folder of this machine that it is, if it is one."""
        ...

    def check(self) -> None:
        """Raises SettingsError where it cannot be read."""
        ...

    def find_recordings(self, without: Path) -> FolderListing:
        """The sound files, but for those below the folder `without`. Raises SettingsError."""
        ...

    def read_stamp(self, path: str) -> FileStamp:
        """A recording's. Raises OSError."""
        ...

    def open_recording(self, path: str) -> AbstractContextManager[OpenRecording]:
        """A recording, open for as long as the block runs.

        Raises RecordingError for what is no regular file, OSError for what cannot be read: a ConnectionError where
        that is for a network or a server that does not answer, and not for the recording.
        """
        ...


@dataclass(frozen=True)
class LocalFolder:
    """The folder `root` of this machine."""

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
            raise SettingsError(f"{self.root} cannot be read as a folder: {error.strerror or error}") from None

    def find_recordings(self, without: Path) -> FolderListing:
        return find_recordings(self.folder, without)

    def read_stamp(self, path: str) -> FileStamp:
        return _stamp(os.stat(os.path.join(self.root, path)))

    @contextmanager
    def open_recording(self, path: str) -> Iterator[OpenRecording]:
        # A pipe with the name of a sound file would make whoever opens it wait.
        handle = os.open(os.path.join(self.root, path), os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with open(handle, "rb") as file:
            now = os.fstat(file.fileno())
            if not stat.S_ISREG(now.st_mode):
                raise RecordingError("it is no regular file")
            yield OpenRecording(file, _stamp(now), lambda: _stamp(os.fstat(file.fileno())))


def _stamp(found: os.stat_result) -> FileStamp:
    return FileStamp(found.st_size, found.st_mtime_ns)
