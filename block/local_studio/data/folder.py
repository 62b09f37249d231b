"""A folder on disk → the audio files in it, and what their headers say.

Regular files with an audio ending, at any depth. Hidden files and directories are skipped. Directories
that are symbolic links are not entered; a file that is one counts when it leads into the folder.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from block.audio import ENDINGS
from block.folder.listing import FileStamp
from block.local_studio.data import wav
from block.runtime.hashing import compute_sha256


@dataclass(frozen=True)
class AudioFile:
    """One file: its path below the folder ("/" between parts, in the file system's bytes) and its stamp."""

    path: bytes
    stamp: FileStamp


@dataclass(frozen=True)
class InspectedFile:
    """A file and what it holds. `problem` says why it cannot be read, and then rate and frames are 0."""

    file: AudioFile
    sha256: str
    frequency_hz: int
    frames: int
    problem: str | None


def find(root: Path) -> list[AudioFile]:
    """Return all audio files below `root`, in the order of their relative paths."""
    top = root.resolve()
    found = []
    for directory, subdirectories, names in os.walk(top):
        subdirectories[:] = [name for name in subdirectories if not name.startswith(".")]
        for name in names:
            if name.startswith(".") or not name.lower().endswith(ENDINGS):
                continue
            path = Path(directory, name)
            relative = os.fsencode(path.relative_to(top).as_posix())
            if (real := locate(top, relative)) is not None:
                stat = real.stat()
                found.append(AudioFile(relative, FileStamp(stat.st_size, stat.st_mtime_ns)))
    return sorted(found, key=lambda file: file.path)


def locate(root: Path, relative: bytes) -> Path | None:
    """Return the regular file at a relative path that `find` gave, None if there is none (any more) in `root`."""
    top = root.resolve()
    try:
        real = (top / os.fsdecode(relative)).resolve(strict=True)
    except (OSError, RuntimeError):  # RuntimeError: a loop of links, before Python 3.13
        return None
    # A file that is a pipe or a device would block whoever opens it.
    return real if real.is_relative_to(top) and real.is_file() else None


def inspect(root: Path, file: AudioFile) -> InspectedFile:
    """Read the hash and the header of `file`. Never raises: what is wrong goes into `problem`."""
    real = locate(root, file.path)
    if real is None:
        return InspectedFile(file, "", 0, 0, "the file has gone")
    digest = ""
    try:
        digest = compute_sha256(real)
        with wav.open_audio(real) as sound:
            return InspectedFile(file, digest, sound.samplerate, sound.frames, None)
    except OSError as error:
        return InspectedFile(file, digest, 0, 0, f"the file cannot be opened ({error.strerror})")
    except wav.UnreadableAudio as error:
        return InspectedFile(file, digest, 0, 0, f"the file {error}")
