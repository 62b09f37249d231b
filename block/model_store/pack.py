"""Make a checkpoint's digests hold from now on (`record`), and make the archive to carry elsewhere (`pack`)."""

from __future__ import annotations

from pathlib import Path

from block.model.checkpoint import FILES, CheckpointError, find_checkpoint
from block.model_store.archive import write_archive
from block.model_store.catalog import ExpectedFile
from block.model_store.records import SUMS, Record, format_sums, write_record
from block.model_store.store import ModelStore, problem_of
from block.runtime.hashing import sha256_of


def record(store: ModelStore, name: str, force: bool = False) -> Path:
    """Keep the digests of the checkpoint of that name; returns the file that holds them.

    Those of the embedded one go into its own SHA256SUMS, for git. Raises CheckpointError if the checkpoint cannot be
    used, or is not what was recorded before, unless `force`; what the block itself knows is always held to.
    """
    folder = store.path(name)
    find_checkpoint(str(folder.absolute()) if folder.is_dir() else name, store.folder)
    files = _files(folder)
    known = store.find_known(name)
    must_be = {file.name: file for file in known.files} if force and known else {} if force else store.expected(name)
    for file in files:
        expected = must_be.get(file.name)
        if expected is not None and expected.sha256 != file.sha256:
            raise CheckpointError(
                f"{folder / file.name} has SHA-256 {file.sha256}; expected {expected.sha256}"
                + ("" if force else " (--force records it all the same, unless the block itself knows it)")
            )
    before = store.record(name)
    try:
        if known is not None and known.embedded:
            path = folder / SUMS
            path.write_text(format_sums({file.name: file.sha256 for file in files}), encoding="utf-8")
            return path
        path = store.hidden(name, "json")
        same = before is not None and before.files == files
        write_record(path, before if before is not None and same else Record("put here by hand", files))
        return path
    except OSError as error:
        raise CheckpointError(f"{error.filename} cannot be written: {error.strerror or error}") from None


def pack(store: ModelStore, name: str, out: Path | None = None, force: bool = False) -> Path:
    """Write the archive of the checkpoint of that name, NAME.tar here if not said otherwise; returns its path.

    Raises CheckpointError if the checkpoint is not sound, or if the archive is there already, unless `force`.
    """
    folder = store.path(name)
    out = Path(f"{name}.tar") if out is None else out
    if out.is_dir():
        out /= f"{name}.tar"
    if not folder.is_dir():
        find_checkpoint(name, store.folder)  # says what is missing and how to get it
    problem = problem_of(folder, store.expected(name))
    if problem is not None:
        raise CheckpointError(f"{name} is not packed, as it is not sound: {problem}")
    if out.exists() and not force:
        raise CheckpointError(f"{out} is there already; --force replaces it")
    try:
        write_archive(folder, {file.name: file.sha256 for file in _files(folder)}, out)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CheckpointError(f"{out} cannot be written: {reason}") from None
    return out


def _files(folder: Path) -> tuple[ExpectedFile, ...]:
    try:
        return tuple(ExpectedFile(name, sha256_of(folder / name), (folder / name).stat().st_size) for name in FILES)
    except OSError as error:
        raise CheckpointError(f"{error.filename} cannot be read: {error.strerror or error}") from None
