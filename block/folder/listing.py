"""The audio files of a folder, in an order that does not change.

These are regular files, or links to them, with the ending of an audio file, at any depth. Names that begin with a dot
are skipped, and so are folders that are symbolic links: a link to a parent folder would never end. The order is that of
the bytes of the relative paths, whatever the machine's locale.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from block.audio import ENDINGS

UNKNOWN = -1  # a modification time that a store does not report


@dataclass(frozen=True)
class FileStamp:
    """A file's size in bytes and modification time in ns since 1970, or UNKNOWN; it changes when the file does."""

    size: int
    mtime_ns: int


@dataclass(frozen=True)
class FolderListing:
    """What is in a folder. Paths are relative to it, with "/" between parts.

    `files` are the audio files; `unreadable` the folders, with a "/" at the end, that could not be listed, and why.
    `linked_folders` counts folders that are links, `other_files` files with other endings. `stamps` are those of all
    `files`, by path, if the listing came with them.
    """

    files: tuple[str, ...]
    unreadable: dict[str, str]
    linked_folders: int
    other_files: int
    stamps: Mapping[str, FileStamp] | None = None


def find_recordings(root: Path, exclude: Path) -> FolderListing:
    """Return the audio files below `root`, an existing folder, but for those below `exclude`.

    Paths are as the operating system gives them: bytes that are not text appear as lone surrogates.
    """
    files: list[str] = []
    unreadable: dict[str, str] = {}
    linked_folders = other_files = 0

    def note(error: OSError) -> None:
        unreadable[_relative_folder(os.fsdecode(error.filename), root)] = error.strerror or str(error)

    excluded = exclude.resolve()
    for folder, subfolders, names in os.walk(root, onerror=note):
        paths = [Path(folder, name) for name in subfolders if not name.startswith(".")]
        unlinked = [path for path in paths if not path.is_symlink()]
        linked_folders += len(paths) - len(unlinked)
        subfolders[:] = [path.name for path in unlinked if path.resolve() != excluded]
        visible = [name for name in names if not name.startswith(".")]
        found = [name for name in visible if is_audio_file(name)]
        other_files += len(visible) - len(found)
        files += [_relative_folder(folder, root) + name for name in found]
    files.sort(key=os.fsencode)
    return FolderListing(tuple(files), dict(sorted(unreadable.items())), linked_folders, other_files)


def is_audio_file(name: str) -> bool:
    """Return True if the name ends like that of an audio file that can be read."""
    return name.lower().endswith(ENDINGS)


def format_path(path: str) -> str:
    r"""Return a path as text that every reader accepts: a byte that is not UTF-8 becomes `\xNN`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _relative_folder(folder: str, root: Path) -> str:
    """Return a folder below `root` with "/" between parts and at the end; the root itself is empty."""
    relative = os.path.relpath(folder, root)
    return "" if relative == os.curdir else relative.replace(os.sep, "/") + "/"
