"""Find the driver's checkpoint on a machine of the cluster, or copy it there, once per machine."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from block.model.checkpoint import CONFIG, FILES, PREPROCESSOR, Checkpoint, CheckpointError, read_checkpoint
from block.settings import SettingsError


def find_or_fetch_checkpoint(driver: Checkpoint, digest: str, fetch: Callable[[str], bytes]) -> Checkpoint:
    """Return the driver's checkpoint `driver` with a folder on this machine.

    Use the driver's folder if this machine has it too, with weights of SHA-256 `digest` and the same settings in its
    JSON files. Otherwise fill a temporary folder with `fetch`, which returns a file's bytes by its name. Raise
    SettingsError if neither works.
    """
    if _holds(driver, digest):
        return driver
    try:
        private = _make_private_folder(Path(tempfile.gettempdir()) / f"ast-ai-action-{os.getuid()}")
        return _fill(dataclasses.replace(driver, folder=private / _name_folder(driver, digest)), digest, fetch)
    except OSError as error:
        raise SettingsError(f"can't copy the checkpoint to this machine: {error.strerror or error}") from None


def _holds(checkpoint: Checkpoint, digest: str) -> bool:
    """Return True if the checkpoint's folder has these weights, and JSON files with its settings."""
    with contextlib.suppress(OSError, CheckpointError):
        here = read_checkpoint(checkpoint.folder)
        return dataclasses.replace(here, name=checkpoint.name) == checkpoint and here.sha256() == digest
    return False


def _name_folder(driver: Checkpoint, digest: str) -> str:
    """Return a folder name for these weights with these settings: jobs may use the same weights with others."""
    settings = repr((driver.class_names, driver.front_end.changes, driver.config))
    return f"{digest}-{hashlib.sha256(settings.encode()).hexdigest()[:12]}"


def _make_private_folder(folder: Path) -> Path:
    """Make `folder`. Raise SettingsError if others can write to it: they would control what is loaded."""
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise SettingsError(f"{folder} belongs to another user, or others can write to it; remove it")
    return folder


def _fill(here: Checkpoint, digest: str, fetch: Callable[[str], bytes]) -> Checkpoint:
    here.folder.mkdir(mode=0o700, exist_ok=True)
    if _holds(here, digest):
        return here
    for name in FILES:
        content = fetch(name)
        # Workers on one machine may do this at the same time; each writes whole files with the same bytes.
        with tempfile.NamedTemporaryFile(dir=here.folder, delete=False) as file:
            file.write(content)
        Path(file.name).replace(here.folder / name)
    if here.sha256() != digest:
        raise SettingsError(f"the copied checkpoint has SHA-256 {here.sha256()[:12]}; expected {digest[:12]}")
    if not _holds(here, digest):
        raise SettingsError(f"the copied {CONFIG} or {PREPROCESSOR} isn't the one that the job started with; try again")
    return here
