"""The files of a score store's folder: which there are, and whether another can be written."""

from __future__ import annotations

import uuid
from pathlib import Path

from block.score_store.shard import PREFIX, SUFFIX, TEMPORARY, ShardError, ShardHead, need_pyarrow, read_head
from block.settings import SettingsError


def check_folder(folder: Path) -> None:
    """Raises SettingsError where `folder`, made if there is none, cannot be written, or where pyarrow is missing."""
    need_pyarrow()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        trial = folder / f"{PREFIX}trial-{uuid.uuid4().hex}"
        trial.write_bytes(b"")
        trial.unlink()
    except OSError as error:
        raise SettingsError(f"the score store {folder} cannot be written: {error.strerror or error}") from None


def shards(folder: Path) -> list[Path]:
    """The files that may be shards, in the order in which they were written, by their names."""
    named = [path for path in _files(folder) if path.name.endswith(SUFFIX)]
    return sorted(named, key=lambda path: (path.name.removeprefix(PREFIX).partition("-")[2], path.name))


def unfinished(folder: Path) -> list[str]:
    """Names of files that are being written, or never were to their end."""
    return sorted(path.name for path in _files(folder) if path.name.endswith(TEMPORARY))


def digest(path: Path) -> str:
    """The key's digest in a shard's name; whether that is the key, its head says."""
    return path.name.removeprefix(PREFIX).partition("-")[0]


def head(path: Path) -> ShardHead | None:
    """A shard's head; None if it is no shard."""
    try:
        return read_head(path)
    except ShardError:
        return None


def _files(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.name.startswith(PREFIX)]
    except OSError as error:
        raise SettingsError(f"the score store {folder} cannot be read: {error.strerror or error}") from None
