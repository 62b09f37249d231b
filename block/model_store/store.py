"""The store as a place: which checkpoints it knows, where each one lives, and what is expected of its files."""

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

HIDDEN = ".store"  # records, locks and fetches under way, in the same file system as the checkpoints
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
OWN_FILES = frozenset((*FILES, MEMORY, SUMS))  # may lie in a checkpoint's folder and be replaced with it


@dataclass(frozen=True)
class ModelStore:
    """The checkpoints in `folder`, and the known ones of `catalog` whether they are there or not."""

    folder: Path = field(default_factory=lambda: checkpoint.STORE)
    catalog: tuple[KnownCheckpoint, ...] = CATALOG

    def path(self, name: str) -> Path:
        """Return the folder of the checkpoint of that name. Raise CheckpointError for what cannot be a name."""
        if not NAME.fullmatch(name):
            raise CheckpointError(
                f"{name!r} cannot be a checkpoint's name; expected letters, digits, '.', '_' and '-', at most 100, "
                "the first a letter or digit"
            )
        return self.folder / name

    def hidden_path(self, name: str, suffix: str) -> Path:
        """Return where something about the checkpoint of that name is kept out of sight."""
        return self.folder / HIDDEN / f"{self.path(name).name}.{suffix}"

    def find_known(self, name: str) -> KnownCheckpoint | None:
        """Return the catalog's entry of that name; None for somebody's own checkpoint."""
        return next((known for known in self.catalog if known.name == name), None)

    def read_record(self, name: str) -> Record | None:
        """Return what was recorded under that name on first sight.

        Of a known checkpoint, only at its pinned revision: another release of this block may have pinned another.
        """
        known, record = self.find_known(name), read_record(self.hidden_path(name, "json"))
        if known is not None and record is not None and record.revision not in (None, known.revision):
            return None
        return record

    def list_names(self) -> list[str]:
        """Return the known checkpoints, then the other folders in the store in order of name."""
        known = [entry.name for entry in self.catalog]
        paths = sorted(self.folder.iterdir()) if self.folder.is_dir() else []
        return known + [
            path.name for path in paths if path.is_dir() and not path.name.startswith(".") and path.name not in known
        ]

    def expected_files(self, name: str) -> Mapping[str, ExpectedFile]:
        """Return what the files of that name must be, as far as that is known, recorded or, embedded, kept in git."""
        folder, known, record = self.path(name), self.find_known(name), self.read_record(name)
        found: dict[str, ExpectedFile] = {}
        if known is not None and known.is_embedded:
            found |= read_sums(folder)
        elif record is not None:
            found |= {file.name: file for file in record.files}
        # What this block knows beats what somebody's disk says.
        return found | {file.name: file for file in (known.files if known is not None else ())}


def find_mismatch(path: Path, expected: ExpectedFile | None, trust_memory: bool = False) -> str | None:
    """Say why the file at `path` is not what is expected; return None if it is, or if nothing is expected.

    With `trust_memory` the digest of a large file is the remembered one, and not compared where there is none.
    Raise OSError if the file cannot be read.
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
    """Say what is wrong with the checkpoint in `folder`; return None if it is sound.

    Unless `deep`, a large file's digest is only compared where it is remembered.
    """
    try:
        checkpoint.find_checkpoint(str(folder.absolute()))
        for name in FILES:
            if problem := find_mismatch(folder / name, expected.get(name), trust_memory=not deep):
                return problem
    except CheckpointError as error:
        return drop_folder(folder.absolute(), error)
    except OSError as error:
        return f"{error.filename} cannot be read: {error.strerror or error}"
    return None


def drop_folder(folder: Path, error: CheckpointError) -> str:
    """Return the message without the path of the folder that it is about."""
    return str(error).replace(f"{folder}/", "").replace(str(folder), "it")
