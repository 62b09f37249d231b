"""List the audio files of a folder, always in the same order.

Audio files are files, or links to files, with the ending of an audio format, at any depth. Names that begin with a dot
are skipped, and so are links to folders: a link to a parent folder would never end. Paths are sorted by their bytes,
whatever the machine's locale.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from block.audio import ENDINGS
from block.formatting import count, list_first, make_printable
from block.settings import SettingsError

UNKNOWN = -1  # the modification time, if a store does not report it


@dataclass(frozen=True)
class FileStamp:
    """A file's size in bytes and its modification time in ns since 1970, or UNKNOWN. Both change when the file does."""

    size: int
    mtime_ns: int


@dataclass(frozen=True)
class FolderListing:
    """What is in a folder. Paths are relative to it, with "/" between parts.

    `files` are the audio files. `unreadable` maps each folder that can't be listed, with a "/" at the end, to the
    reason. `linked_folders` are links to folders, also with a "/". `other_files` counts the other files by ending, in
    lower case, such as ".txt". `stamps` are those of all `files`, by path, if the location lists them.
    """

    files: tuple[str, ...]
    unreadable: dict[str, str]
    linked_folders: tuple[str, ...]
    other_files: Counter[str]
    stamps: Mapping[str, FileStamp] | None = None


def find_recordings(root: Path, exclude: Path | None = None) -> FolderListing:
    """Return the audio files below `root`, an existing folder, except those below the folder `exclude`.

    Paths are as the operating system gives them: bytes that are not UTF-8 appear as lone surrogates.
    """
    files: list[str] = []
    unreadable: dict[str, str] = {}
    linked_folders: list[str] = []
    other_files: Counter[str] = Counter()

    def note(error: OSError) -> None:
        unreadable[_relative_folder(os.fsdecode(error.filename), root)] = error.strerror or str(error)

    excluded = exclude.resolve() if exclude is not None else None
    for folder, subfolders, names in os.walk(root, onerror=note):
        paths = [Path(folder, name) for name in subfolders if not name.startswith(".")]
        links = {path for path in paths if path.is_symlink()}
        linked_folders += [_relative_folder(str(path), root) for path in links]
        subfolders[:] = [path.name for path in paths if path not in links and path.resolve() != excluded]
        visible = [name for name in names if not name.startswith(".")]
        other_files.update(get_ending(name) for name in visible if not is_audio_file(name))
        files += [_relative_folder(folder, root) + name for name in visible if is_audio_file(name)]
    files.sort(key=os.fsencode)
    linked_folders.sort()
    return FolderListing(tuple(files), dict(sorted(unreadable.items())), tuple(linked_folders), other_files)


def check_any_recording(listing: FolderListing, where: object) -> None:
    """Raise SettingsError, with what is in the folder `where` instead, if `listing` has no recordings."""
    if not listing.files:
        raise SettingsError(describe_no_recordings(listing, where))


def describe_no_recordings(listing: FolderListing, where: object) -> str:
    """Return that `where` has no recordings, what it has instead, and what was expected."""
    found = "; ".join(describe_left_out(listing)) or "it has no visible files"
    return f"no recordings in {show_path(where)}: {found}; expected files ending in {', '.join(ENDINGS)}"


def describe_left_out(listing: FolderListing) -> list[str]:
    """Return what `listing` left out, one text for each kind, with the most frequent endings or the first names."""
    lines = []
    if listing.other_files:
        endings = [
            f"{number:,} {make_printable(format_path(ending), 20) or 'without an ending'}"
            for ending, number in sorted(listing.other_files.items(), key=lambda item: (-item[1], item[0]))
        ]
        lines.append(f"{count(listing.other_files.total(), 'other file')}: {list_first(endings)}")
    if listing.linked_folders:
        names = [show_path(folder, 80) for folder in listing.linked_folders]
        lines.append(f"{count(len(names), 'linked folder')} (links to folders aren't followed): {list_first(names)}")
    if listing.unreadable:
        reasons = [f"{show_path(folder, 80)} ({why})" for folder, why in listing.unreadable.items()]
        lines.append(f"{count(len(reasons), 'unreadable folder')}: {list_first(reasons)}")
    return lines


def is_audio_file(name: str) -> bool:
    """Return True if the name has the ending of an audio format that the block reads."""
    return name.lower().endswith(ENDINGS)


def get_ending(path: str) -> str:
    """Return the ending of a file's name in lower case, with its dot; empty if it has none."""
    return os.path.splitext(path)[1].lower()


def format_path(path: str) -> str:
    r"""Return a path as valid Unicode text: a byte that is not UTF-8 becomes `\xNN`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def show_path(path: object, limit: int = 300) -> str:
    """Return a path as text for a message: one line without control characters."""
    return make_printable(format_path(str(path)), limit)


def name_uniquely(path: str) -> str:
    r"""Return a path as valid Unicode text that no other path has: `format_path`, but `\x5c` for a `\` before `xNN`."""
    return format_path(re.sub(r"\\(?=x[0-9a-f]{2})", r"\\x5c", path))


def _relative_folder(folder: str, root: Path) -> str:
    """Return the path of a folder below `root`, with "/" between parts and at the end; the root's is empty."""
    relative = os.path.relpath(folder, root)
    return "" if relative == os.curdir else relative.replace(os.sep, "/") + "/"
