"""The store: its checkpoints, their paths, and the digests expected of their files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from block.model import checkpoint
from block.model.checkpoint import FILES, CheckpointError
from block.model_store.catalog import CATALOG, ExpectedFile, KnownCheckpoint
from block.model_store.records import SUMS, Record, read_record, read_sums
from block.runtime.hashing import LARGE_BYTES, MEMORY, compute_sha256, recall

HIDDEN = ".store"  # records, locks and staging folders, in the same file system as the checkpoints
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
OWN_FILES = frozenset((*FILES, MEMORY, SUMS))  # may be in a checkpoint's folder and are replaced with it


@dataclass(frozen=True)
class ModelStore:
    """The checkpoints in `folder`, and those of `catalog`, present or not."""

    folder: Path = field(default_factory=lambda: checkpoint.STORE)
    catalog: tuple[KnownCheckpoint, ...] = CATALOG

    def path(self, name: str) -> Path:
        """Return the folder of the checkpoint `name`. Raise CheckpointError for an invalid name."""
        if not NAME.fullmatch(name):
            raise CheckpointError(
                f"{name!r} is not a valid checkpoint name; expected at most 100 letters, digits, '.', '_' and '-', "
                "starting with a letter or digit"
            )
        return checkpoint.find_folder(name, self.folder)

    def hidden_path(self, name: str, suffix: str) -> Path:
        """Return the path of a file or folder about the checkpoint `name` in the hidden folder."""
        return self.folder / HIDDEN / f"{self.path(name).name}.{suffix}"

    def find_known(self, name: str) -> KnownCheckpoint | None:
        """Return the catalog's entry for `name`, or None if there is none."""
        return next((known for known in self.catalog if known.name == name), None)

    def read_record(self, name: str) -> Record | None:
        """Return the record of the checkpoint `name`, or None if there is none.

        Ignore records of built-in checkpoints at revisions that other releases of this block pinned.
        """
        known, record = self.find_known(name), read_record(self.hidden_path(name, "json"))
        if known is not None and record is not None and record.revision not in (None, known.revision):
            return None
        return record

    def list_names(self) -> list[str]:
        """Return the names in the catalog, then the other folders in the store, sorted."""
        known = [entry.name for entry in self.catalog]
        paths = sorted(self.folder.iterdir()) if self.folder.is_dir() else []
        return known + [
            path.name for path in paths if path.is_dir() and not path.name.startswith(".") and path.name not in known
        ]

    def expected_files(self, name: str) -> Mapping[str, ExpectedFile]:
        """Return the expected files of the checkpoint `name`: built in, recorded, or (if embedded) from git."""
        folder, known, record = self.path(name), self.find_known(name), self.read_record(name)
        found: dict[str, ExpectedFile] = {}
        if known is not None and known.is_embedded:
            found |= read_sums(folder)
        elif record is not None:
            found |= {file.name: file for file in record.files}
        # Built-in digests override those on disk.
        return found | {file.name: file for file in (known.files if known is not None else ())}


def find_mismatch(path: Path, expected: ExpectedFile | None, trust_memory: bool = False) -> str | None:
    """Return how the file at `path` differs from `expected`; None if it matches or nothing is expected.

    With `trust_memory`, large files aren't hashed: their cached digest is compared, if there is one.
    Raise OSError if the file can't be read.
    """
    if expected is None:
        return None
    size = path.stat().st_size
    if expected.size is not None and size != expected.size:
        return f"{expected.name} has {size} bytes; expected {expected.size}"
    digest = recall(path) if trust_memory and size >= LARGE_BYTES else compute_sha256(path)
    if digest is not None and digest != expected.sha256:
        return f"{expected.name} has SHA-256 {digest}; expected {expected.sha256}"
    return None


def find_problem(folder: Path, expected: Mapping[str, ExpectedFile], deep: bool = True) -> str | None:
    """Return what is wrong with the checkpoint in `folder`, or None if it is valid.

    Unless `deep`, a large file's digest is only compared if it is cached.
    """
    try:
        checkpoint.find_checkpoint(str(folder.absolute()))
        for name in FILES:
            if problem := find_mismatch(folder / name, expected.get(name), trust_memory=not deep):
                return problem
    except CheckpointError as error:
        return drop_folder(folder.absolute(), error)
    except OSError as error:
        return f"{error.filename} can't be read: {error.strerror or error}"
    return None


def drop_folder(folder: Path, error: CheckpointError) -> str:
    """Return the message of `error` without the path of `folder`."""
    return str(error).replace(f"{folder}/", "").replace(str(folder), "it")
