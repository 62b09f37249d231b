"""Find the driver's checkpoint on a machine of the cluster, or copy it there, once per machine."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from block.model.checkpoint import FILES, Checkpoint
from block.settings import SettingsError


def find_or_fetch_checkpoint(driver: Checkpoint, digest: str, fetch: Callable[[str], bytes]) -> Checkpoint:
    """Return the driver's checkpoint `driver` with a folder on this machine.

    Use the driver's folder if this machine has it too, with weights of SHA-256 `digest`. Otherwise fill a temporary
    folder with `fetch`, which returns a file's bytes by its name. Raise SettingsError if neither works.
    """
    with contextlib.suppress(OSError):
        if driver.weights.exists() and driver.sha256() == digest:
            return driver
    try:
        folder = _make_private_folder(Path(tempfile.gettempdir()) / f"ast-ai-action-{os.getuid()}") / digest
        return _fill(dataclasses.replace(driver, folder=folder), digest, fetch)
    except OSError as error:
        raise SettingsError(f"can't copy the checkpoint to this machine: {error.strerror or error}") from None


def _make_private_folder(folder: Path) -> Path:
    """Make `folder`. Raise SettingsError if others can write to it: they would control what is loaded."""
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise SettingsError(f"{folder} belongs to another user, or others can write to it; remove it")
    return folder


def _fill(here: Checkpoint, digest: str, fetch: Callable[[str], bytes]) -> Checkpoint:
    here.folder.mkdir(mode=0o700, exist_ok=True)
    if all((here.folder / name).exists() for name in FILES) and here.sha256() == digest:
        return here
    for name in FILES:
        content = fetch(name)
        # Workers on one machine may do this at the same time; each writes whole files with the same bytes.
        with tempfile.NamedTemporaryFile(dir=here.folder, delete=False) as file:
            file.write(content)
        Path(file.name).replace(here.folder / name)
    if here.sha256() != digest:
        raise SettingsError(f"the copied checkpoint has SHA-256 {here.sha256()[:12]}; expected {digest[:12]}")
    return here
