"""The folder of Audacity label tracks, kept in step with the recordings.

`.written.json` in it lists the tracks that are this program's own, so that those of recordings which have gone can be
removed, and nobody else's files with them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from block.folder.audacity import track, track_path
from block.folder.labeled import LabeledFile
from block.runtime.atomic_file import temporary_for, write

FOLDER, LIST = "audacity", ".written.json"


def write_tracks(out: Path, files: Sequence[LabeledFile]) -> None:
    """Write a track for each of `files` below `out`, and remove those written for others. Raises OSError."""
    folder = out / FOLDER
    before = _listed(folder / LIST)
    now = {track_path(file.path): file for file in files}
    if not before and not now:
        return
    folder.mkdir(exist_ok=True)
    # First what may be there from now on: whenever this is interrupted, the next run knows what to remove.
    _list(folder, before | now.keys())
    for name, file in now.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # There may be very many; what a power failure leaves unfinished is written by the next run.
        write(path, track(file), durable=False)
    for name in before - now.keys():
        _remove(folder, name)
    _list(folder, now.keys())
    if not now:
        (folder / LIST).unlink()
        _remove_if_empty(folder)


def _list(folder: Path, names: Iterable[str]) -> None:
    write(folder / LIST, json.dumps(sorted(names), indent=0) + "\n")


def _listed(path: Path) -> set[str]:
    try:
        names = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return set()
    parts = [PurePosixPath(name) for name in names if isinstance(name, str)]
    return {str(name) for name in parts if not name.is_absolute() and ".." not in name.parts}


def _remove(folder: Path, name: str) -> None:
    path = folder / name
    path.unlink(missing_ok=True)
    temporary_for(path).unlink(missing_ok=True)
    for parent in path.parents:
        if parent == folder or not _remove_if_empty(parent):
            return


def _remove_if_empty(folder: Path) -> bool:
    try:
        folder.rmdir()
    except OSError:
        return False
    return True
