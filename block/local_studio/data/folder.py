"""Find the audio files in a folder, and read their headers.

Finds regular files with an audio ending at any depth. Skips hidden files and directories, symbolic links to
directories, and symbolic links to files outside the folder.
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
    """An audio file: its path relative to the folder ("/" between parts, in the file system's bytes), and its stamp."""

    path: bytes
    stamp: FileStamp


@dataclass(frozen=True)
class InspectedFile:
    """A file and its properties. If it can't be read, `problem` says why, and rate and frames are 0."""

    file: AudioFile
    sha256: str
    frequency_hz: int
    frames: int
    problem: str | None


def find(root: Path) -> list[AudioFile]:
    """Return all audio files below `root`, sorted by relative path."""
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
    """Return the regular file at a relative path from `find`. None if it's gone, or no longer inside `root`."""
    top = root.resolve()
    try:
        real = (top / os.fsdecode(relative)).resolve(strict=True)
    except (OSError, RuntimeError):  # Python before 3.13 raises RuntimeError for a loop of links
        return None
    # Opening a pipe or a device could block forever.
    return real if real.is_relative_to(top) and real.is_file() else None


def inspect(root: Path, file: AudioFile) -> InspectedFile:
    """Read the hash and the header of `file`. Never raise: errors go into `problem`."""
    real = locate(root, file.path)
    if real is None:
        return InspectedFile(file, "", 0, 0, "the file no longer exists")
    digest = ""
    try:
        digest = compute_sha256(real)
        with wav.open_audio(real) as sound:
            return InspectedFile(file, digest, sound.samplerate, sound.frames, None)
    except OSError as error:
        return InspectedFile(file, digest, 0, 0, f"the file cannot be opened ({error.strerror})")
    except wav.UnreadableAudio as error:
        return InspectedFile(file, digest, 0, 0, f"the file {error}")
