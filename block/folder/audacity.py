"""Audacity label tracks: a text file a recording, for File, Import, Labels.

A line is the start in seconds, a tab, the end, a tab, and the label up to the end of the line.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from block.folder.labeled_file import LabeledFile
from block.runtime.atomic_file import temporary_path, write_atomic

ENDING = ".txt"
LONGEST_BYTES = 200  # of a name; file systems take 255, and a temporary name is longer
REPLACED = "\ufffd"
TROUBLE = re.compile(r'[<>:"|?*\\]')  # other systems, to which OUT may be copied, take none of these


def track(file: LabeledFile) -> str:
    """The recording's labels. Control characters in a label, a tab for example, become spaces."""
    return "".join(
        f"{file.seconds(segment.start):.6f}\t{file.seconds(segment.end):.6f}\t{_on_one_line(segment.label)}\n"
        for segment in file.segments
    )


def track_path(path: str) -> str:
    """Where the track of the recording at the relative `path` goes, relative to the tracks' folder.

    Recordings keep their folders and names, with `.txt` behind. Parts that are no printable text, are too long, begin
    with a dot or could be mistaken for a track are spelled differently, with a part of their hash so that they differ.
    """
    *folders, name = path.split("/")
    parts = [_safe(folder, folder.lower().endswith(ENDING)) for folder in folders]
    return "/".join([*parts, _safe(name, odd=False) + ENDING])


def _safe(name: str, odd: bool) -> str:
    encoded = os.fsencode(name)
    text = encoded.decode("utf-8", "replace")
    # Two names may be spelled alike only if neither was changed.
    plain = "".join(one if one.isprintable() and one != REPLACED and not TROUBLE.match(one) else "_" for one in text)
    if plain == text and text.encode() == encoded and len(encoded) <= LONGEST_BYTES and text[:1] != "." and not odd:
        return "~" + text if _looks_changed(text) else text
    cut = plain.lstrip(".").encode()[: LONGEST_BYTES // 2].decode("utf-8", "ignore")
    return f"{cut}~{hashlib.sha256(encoded).hexdigest()[:16]}"


def _looks_changed(text: str) -> bool:
    return re.search(r"~[0-9a-f]{16}$", text) is not None or text.startswith("~")


def _on_one_line(label: str) -> str:
    return "".join(one if one.isprintable() else " " for one in label)


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
        write_atomic(path, track(file), durable=False)
    for name in before - now.keys():
        _remove(folder, name)
    _list(folder, now.keys())
    if not now:
        (folder / LIST).unlink()
        _remove_if_empty(folder)


def _list(folder: Path, names: Iterable[str]) -> None:
    write_atomic(folder / LIST, json.dumps(sorted(names), indent=0) + "\n")


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
    temporary_path(path).unlink(missing_ok=True)
    for parent in path.parents:
        if parent == folder or not _remove_if_empty(parent):
            return


def _remove_if_empty(folder: Path) -> bool:
    try:
        folder.rmdir()
    except OSError:
        return False
    return True
