"""Find the audio files in a folder, and read them to find how long they are.

Finds the files that `label` finds in a folder, except symbolic links to files outside it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from block.audio import open_audio
from block.containers.inspect import inspect
from block.containers.structure import AudioCutOff
from block.folder.listing import FileStamp, find_recordings
from block.recording import RecordingError
from block.runtime.hashing import compute_sha256


@dataclass(frozen=True)
class AudioFile:
    """An audio file: its path relative to the folder ("/" between parts, in the file system's bytes), and its stamp."""

    path: bytes
    stamp: FileStamp


@dataclass(frozen=True)
class InspectedFile:
    """A file and its properties: `values` per channel at `frequency_hz`.

    If it can't be read, `problem` says why, and both are 0. `missing` says how much is there of a file that is cut off
    and served anyway. `notes` are warnings.
    """

    file: AudioFile
    sha256: str = ""
    frequency_hz: int = 0
    values: int = 0
    problem: str | None = None
    missing: str = ""
    notes: tuple[str, ...] = ()


def find(root: Path) -> list[AudioFile]:
    """Return all audio files below `root`, sorted by relative path."""
    top = root.resolve()
    found = []
    for relative in map(os.fsencode, find_recordings(top).files):
        if (real := locate(top, relative)) is not None:
            stat = real.stat()
            found.append(AudioFile(relative, FileStamp(stat.st_size, stat.st_mtime_ns)))
    return found


def locate(root: Path, relative: bytes) -> Path | None:
    """Return the regular file at a relative path from `find`. None if it's gone, or no longer inside `root`."""
    top = root.resolve()
    try:
        real = (top / os.fsdecode(relative)).resolve(strict=True)
    except (OSError, RuntimeError):  # Python before 3.13 raises RuntimeError for a loop of links
        return None
    # Opening a pipe or a device could block forever.
    return real if real.is_relative_to(top) and real.is_file() else None


def read_file(root: Path, file: AudioFile, allow_truncated: bool = False) -> InspectedFile:
    """Read all of `file`, as `label` does. Never raise: what `label` says about the file goes into `problem`."""
    real = locate(root, file.path)
    if real is None:
        return InspectedFile(file, problem="the file no longer exists")
    digest = ""
    try:
        with real.open("rb") as opened:
            if file.stamp.size == 0:
                raise RecordingError("the file is empty: it has 0 bytes")
            digest = compute_sha256(opened)
            with open_audio(opened, inspect(opened), allow_truncated) as audio:
                while audio.read_block() is not None:
                    pass
        return InspectedFile(file, digest, audio.rate_hz, audio.positions, None, audio.missing, audio.notes)
    except AudioCutOff as error:
        problem = error.describe_with_advice()
    except RecordingError as error:
        problem = str(error)
    except OSError as error:
        problem = f"the file can't be read: {error.strerror or error}"
    return InspectedFile(file, digest, problem=problem)
