"""The folder OUT: check and lock it, and read and write run.json, the settings behind its label files."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from block import __version__
from block.folder.listing import show_path
from block.folder.location import Location
from block.folder.object_store_uri import is_uri
from block.runtime.atomic_file import temporary_path, write_atomic
from block.runtime.links import find_link_out
from block.runtime.places import name_program
from block.runtime.regular_file import read_text
from block.score_store import Key
from block.settings import FAST, SettingsError

LOCK, SCORES, MANIFEST, RUN_FILE = ".lock", "scores", "manifest.json", "run.json"
VERSION = 1  # of run.json
OLD_OPTIONS = "options_of_scores_without_errors"


def parse_out(given: str) -> Path:
    """Return the folder for `--out`. Raise SettingsError for a URI, which would become an odd local path."""
    if is_uri(given):
        raise SettingsError("--out is a URI; expected a folder on this machine, even for recordings in an object store")
    return Path(given)


def check_folders(location: Location, out: Path) -> None:
    """Raise SettingsError unless the recordings can be read and `out` is new, empty, or from an earlier run."""
    location.check()
    if location.folder is not None:
        recordings, target = location.folder.resolve(), out.resolve()
        if target == recordings:
            raise SettingsError(f"--out {out} is the folder of recordings; give a folder inside it, or another one")
        if recordings.is_relative_to(target):
            raise SettingsError(f"--out {out} contains the folder of recordings; give a folder next to it")
    try:
        names = {path.name for path in out.iterdir()} if out.exists() else set()
    except OSError as error:
        raise SettingsError(f"--out {out} can't be read as a folder: {error.strerror or error}") from None
    leftovers = {LOCK, temporary_path(out / RUN_FILE).name}  # from a run that was killed early
    if names - leftovers and RUN_FILE not in names:
        raise SettingsError(f"--out {out} contains other files; expected a new or empty folder, or an earlier run's")


@contextmanager
def lock(out: Path) -> Iterator[None]:
    """Create `out` if needed and lock it.

    Raise SettingsError if another process has locked it, or if it has a link that leads out of it.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        if link := find_link_out(out, out.iterdir()):
            raise SettingsError(
                f"{show_path(link)} is a link that leads out of {out}; remove it, or give another folder"
            )
        handle = os.open(out / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise SettingsError(f"--out {out} can't be written: {error.strerror or error}") from None
    try:
        # The operating system releases the lock however the process ends.
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise SettingsError(f"another run is writing to {out}; wait until it ends") from None
            # Some mounted buckets have no locks: continue without one.
        yield
    finally:
        os.close(handle)


@dataclass(frozen=True)
class RunFile:
    """A run's settings. `folder` is where the recordings are; `options` are those that labels depend on, by name.

    `model` is the name of the checkpoint with the weights `key.checkpoint` and the classes `class_names`. `stored` is
    True if the run stored its scores. Fast scores of block 0.1.0 have no errors beside them; `old_options`, if there
    are any, are the options of the run that computed them, for which it kept their labels exact.
    """

    folder: str
    model: str
    class_names: tuple[str, ...]
    key: Key
    options: dict[str, Any]
    stored: bool
    old_options: dict[str, Any] | None = None

    def save(self, out: Path) -> None:
        """Write run.json into `out`. Raise OSError."""
        content = {
            "version": VERSION, "block": __version__, "folder": self.folder, "model": self.model,
            "key": json.loads(self.key.to_json()), "stored": self.stored, "options": self.options,
            "class_names": self.class_names,
        }  # fmt: skip
        if self.key.mode == FAST:
            content[OLD_OPTIONS] = self.old_options
        write_atomic(out / RUN_FILE, json.dumps(content, indent=1) + "\n")


def find_old_options(out: Path, key: Key) -> dict[str, Any] | None:
    """Return the options for which fast scores without errors in `out` were computed; None if there are none."""
    try:
        last = load_run(out)
    except SettingsError:  # a new folder, or a damaged run.json
        return None
    return last.old_options if last.key == key else None


def load_run(out: Path) -> RunFile:
    """Return what `RunFile.save` wrote. Raise SettingsError if run.json is missing or damaged."""
    path = out / RUN_FILE
    try:
        content = json.loads(read_text(path))
        if content["version"] != VERSION:
            raise ValueError(f"its version is {content['version']!r}; expected {VERSION}")
        key, options = Key.from_json(json.dumps(content["key"])), dict(content["options"])
        old_options = content.get(OLD_OPTIONS, options) if key.mode == FAST else None
        return RunFile(
            content["folder"], content["model"], tuple(content["class_names"]), key, options, content["stored"],
            old_options,
        )  # fmt: skip
    except FileNotFoundError:
        raise SettingsError(
            f"{out} was not written by `{name_program()} label`: it has no {RUN_FILE}; give the "
            "folder that was its --out"
        ) from None
    except OSError as error:
        raise SettingsError(f"{path} can't be read: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SettingsError(f"{path} can't be used: {error}; run label again with another --out") from None
