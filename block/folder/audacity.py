"""Audacity label tracks: one text file per recording, for File > Import > Labels in Audacity.

Each line is the start in seconds, a tab, the end, a tab, and the label.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from block.folder.labeled_file import LabeledFile
from block.folder.safe_names import distinguish, make_safe
from block.folder.written_files import is_inside, remove_file
from block.runtime.atomic_file import write_atomic
from block.runtime.regular_file import MAX_FILE_BYTES, read_text

FOLDER, LIST, ENDING = "audacity", ".written.json", ".txt"


def format_track(file: LabeledFile) -> str:
    """Return the recording's track. Control characters in a label, such as tabs, become spaces."""
    lines = []
    for segment in file.segments:
        label = "".join(character if character.isprintable() else " " for character in segment.label)
        lines.append(f"{file.to_seconds(segment.start):.6f}\t{file.to_seconds(segment.end):.6f}\t{label}\n")
    return "".join(lines)


def track_path(path: str) -> str:
    """Return the path of the track of the recording at the relative `path`, relative to the tracks' folder.

    The track keeps the recording's folders and name, with `.txt` appended. A part that isn't printable text, is too
    long, begins with a dot or could be mistaken for a track is changed and ends in part of its hash, to stay unique.
    """
    *folders, name = path.split("/")
    parts = [make_safe(folder, folder.lower().endswith(ENDING)) for folder in folders]
    return "/".join([*parts, make_safe(name) + ENDING])


def track_paths(paths: Iterable[str]) -> dict[str, str]:
    """Return the path of the track of each recording, by the recording's path.

    Some systems ignore case, or how accents are composed. Tracks that would be one file there end in part of a hash.
    """
    return distinguish({path: track_path(path) for path in paths}, ENDING)


def write_tracks(out: Path, files: Sequence[LabeledFile]) -> None:
    """Write a track for each of `files` below `out`, and remove tracks of other recordings. Raise OSError."""
    folder = out / FOLDER
    before = _read_list(folder / LIST)
    tracks = track_paths(file.path for file in files)
    now = {tracks[file.path]: file for file in files}
    if not before and not now:
        return
    folder.mkdir(exist_ok=True)
    # List every track that may exist from now on first: if this run is interrupted, the next one can remove them.
    _write_list(folder, before | now.keys())
    for name, file in now.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not durable, because there may be very many: the next run rewrites what a power failure damaged.
        write_atomic(path, format_track(file), durable=False)
    for name in before - now.keys():
        remove_file(folder, name)
    _write_list(folder, now.keys())
    if not now:
        (folder / LIST).unlink()
        with contextlib.suppress(OSError):  # it is not empty
            folder.rmdir()


def _write_list(folder: Path, names: Iterable[str]) -> None:
    write_atomic(folder / LIST, json.dumps(sorted(names), indent=0) + "\n")


def _read_list(path: Path) -> set[str]:
    try:
        names = json.loads(read_text(path, MAX_FILE_BYTES))
    except (FileNotFoundError, ValueError, RecursionError):
        return set()
    return {name for name in names if isinstance(name, str) and is_inside(name)}
