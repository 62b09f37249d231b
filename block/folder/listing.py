"""A folder on disk, or an object store → the sound files in it, in an order that does not change.

Regular files with the ending of a sound file, at any depth. What begins with a dot is left alone, and so are folders
that are symbolic links: a link into a folder above would go round in circles. A file that is a link counts. The order
is that of the bytes of the relative paths, whatever the language of the machine.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from block.audio import ENDINGS

UNKNOWN = -1  # a time of change that a store does not tell


@dataclass(frozen=True)
class FileStamp:
    """By what a change of a file is noticed: its size in bytes, and its time of change in ns since 1970 or UNKNOWN."""

    size: int
    mtime_ns: int


@dataclass(frozen=True)
class FolderListing:
    """What a walk found, all as paths relative to the folder, with "/" between parts.

    `files` are the sound files; `unreadable` the folders, with a "/" at the end, that could not be listed, and why.
    `linked` counts folders that are links, `others` files with other endings. `stamps` are those of all `files`, by
    path, where the listing came with them; None where each file has to be asked for its own.
    """

    files: tuple[str, ...]
    unreadable: dict[str, str]
    linked: int
    others: int
    stamps: Mapping[str, FileStamp] | None = None


def find_recordings(root: Path, without: Path) -> FolderListing:
    """The sound files below `root`, an existing folder; nothing below `without`.

    Paths are as the operating system gives them: bytes that are no text stand there as lone surrogates.
    """
    files: list[str] = []
    unreadable: dict[str, str] = {}
    linked = others = 0

    def note(error: OSError) -> None:
        unreadable[_relative(os.fsdecode(error.filename), root)] = error.strerror or str(error)

    left_out = without.resolve()
    for folder, subfolders, names in os.walk(root, onerror=note):
        above = _relative(folder, root)
        keep = []
        for name in subfolders:
            path = Path(folder, name)
            if name.startswith("."):
                continue
            if path.is_symlink():
                linked += 1
            elif path.resolve() != left_out:
                keep.append(name)
        subfolders[:] = keep
        for name in names:
            if name.startswith("."):
                continue
            if is_audio_file(name):
                files.append(above + name)
            else:
                others += 1
    return FolderListing(tuple(sorted(files, key=os.fsencode)), dict(sorted(unreadable.items())), linked, others)


def is_audio_file(name: str) -> bool:
    """Has a file the ending of one that can be read?"""
    return name.lower().endswith(ENDINGS)


def format_path(path: str) -> str:
    r"""A path as text that every reader takes: a byte that is no UTF-8 becomes `\xNN`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _relative(folder: str, root: Path) -> str:
    """A folder below `root` with "/" between parts and at the end; the root itself is the empty text."""
    relative = os.path.relpath(folder, root)
    return "" if relative == os.curdir else relative.replace(os.sep, "/") + "/"
