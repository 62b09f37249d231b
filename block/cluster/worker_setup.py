"""The driver's checkpoint on the machines of a cluster: found there, or brought there once a machine."""

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
    """Return `driver`, the checkpoint as the driver knows it, with a folder on this machine.

    That is the driver's own folder if it is here too and holds the weights with the SHA-256 `digest`; else one below
    the folder for temporary files, filled by `fetch`, which returns the bytes of a file by its name. Raises
    SettingsError if there is neither.
    """
    with contextlib.suppress(OSError):
        if driver.weights.exists() and driver.sha256() == digest:
            return driver
    try:
        folder = _make_private_folder(Path(tempfile.gettempdir()) / f"ast-ai-action-{os.getuid()}") / digest
        return _fill(dataclasses.replace(driver, folder=folder), digest, fetch)
    except OSError as error:
        raise SettingsError(f"the checkpoint cannot be brought to this machine: {error.strerror or error}") from None


def _make_private_folder(folder: Path) -> Path:
    """Make `folder`, or check that it is this user's alone: who can write to it decides what is loaded."""
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise SettingsError(f"{folder} belongs to somebody else, or others can write to it; remove it")
    return folder


def _fill(here: Checkpoint, digest: str, fetch: Callable[[str], bytes]) -> Checkpoint:
    here.folder.mkdir(mode=0o700, exist_ok=True)
    if all((here.folder / name).exists() for name in FILES) and here.sha256() == digest:
        return here
    for name in FILES:
        content = fetch(name)
        # Workers of one machine may do this at the same time; each writes whole files of the same bytes.
        with tempfile.NamedTemporaryFile(dir=here.folder, delete=False) as file:
            file.write(content)
        Path(file.name).replace(here.folder / name)
    if here.sha256() != digest:
        raise SettingsError(f"the checkpoint came here with the SHA-256 {here.sha256()[:12]}; expected {digest[:12]}")
    return here
