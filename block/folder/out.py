"""The folder OUT: who may write into it."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from block.folder import run_file
from block.folder.address import is_uri
from block.folder.place import Place
from block.runtime.atomic_file import temporary_for
from block.settings import SettingsError

LOCK, SCORES, MANIFEST = ".lock", "scores", "manifest.json"


def folder_of(given: str) -> Path:
    """The folder that a user means. Raises SettingsError for a URI: as a path, it would become an odd folder here."""
    if is_uri(given):
        raise SettingsError("--out is a folder of this machine, also where the recordings are in an object store")
    return Path(given)


def check_folders(place: Place, out: Path) -> None:
    """Raises SettingsError unless the recordings can be read and `out` is new, empty, or an earlier run's."""
    place.check()
    recordings = place.folder
    if recordings is not None and out.resolve() == recordings.resolve():
        raise SettingsError(f"--out {out} is the folder of recordings itself; name one in it, or another")
    if recordings is not None and recordings.resolve().is_relative_to(out.resolve()):
        raise SettingsError(f"--out {out} holds the folder of recordings; name one beside it")
    try:
        names = {path.name for path in out.iterdir()} if out.exists() else set()
    except OSError as error:
        raise SettingsError(f"--out {out} cannot be read as a folder: {error.strerror or error}") from None
    at_once = {LOCK, temporary_for(out / run_file.NAME).name}  # what a run killed at once leaves
    if names - at_once and run_file.NAME not in names:
        raise SettingsError(f"--out {out} holds other things; expected a new or empty folder, or an earlier run's")


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """`out`, made if it is not there, for one process at a time. Raises SettingsError if another is at it."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        handle = os.open(out / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise SettingsError(f"--out {out} cannot be written: {error.strerror or error}") from None
    try:
        # The system lets go of it when the process ends, however it ends.
        with contextlib.suppress(ImportError):
            import fcntl

            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                    raise SettingsError(f"another run is writing to {out}; wait until it has ended") from None
                # Some mounted buckets know no locks; then nobody is kept out.
        yield
    finally:
        os.close(handle)
