"""Record a checkpoint's digests (`record`), and make an archive of it for other machines (`pack`)."""

from __future__ import annotations

from pathlib import Path

from block.model.checkpoint import FILES, CheckpointError, find_checkpoint
from block.model_store.archive import write_archive
from block.model_store.catalog import ExpectedFile
from block.model_store.records import SUMS, Record, format_sums, write_record
from block.model_store.store import ModelStore, find_problem
from block.runtime.atomic_file import write_atomic
from block.runtime.hashing import compute_sha256
from block.runtime.links import find_link_out


def record(store: ModelStore, name: str, force: bool = False) -> Path:
    """Record the digests of the checkpoint `name`; return the path of the record.

    For the embedded checkpoint that is its SHA256SUMS, which is in git. Raise CheckpointError if the checkpoint is
    unusable, differs from built-in digests, or, unless `force`, from recorded ones.
    """
    folder = store.path(name)
    find_checkpoint(str(folder.absolute()) if folder.is_dir() else name, store.folder)
    files = _read_files(folder)
    known = store.find_known(name)
    expected = {file.name: file for file in (known.files if known else ())} if force else store.expected_files(name)
    for file in files:
        if file.name in expected and expected[file.name].sha256 != file.sha256:
            raise CheckpointError(
                f"{folder / file.name} has SHA-256 {file.sha256}; expected {expected[file.name].sha256}"
                + ("" if force else " (--force records it anyway, except for built-in digests)")
            )
    before = store.read_record(name)
    try:
        if known is not None and known.is_embedded:
            path = folder / SUMS
            write_atomic(path, format_sums({file.name: file.sha256 for file in files}))
        else:
            path = store.hidden_path(name, "json")
            is_same = before is not None and before.files == files
            write_record(path, before if before is not None and is_same else Record("put here by hand", files))
        return path
    except OSError as error:
        raise CheckpointError(f"{error.filename} can't be written: {error.strerror or error}") from None


def pack(store: ModelStore, name: str, out: Path | None = None, force: bool = False) -> Path:
    """Write the archive of the checkpoint `name` (default: NAME.tar in the current folder); return its path.

    Raise CheckpointError if the checkpoint is invalid, or if the archive exists, unless `force`.
    """
    folder = store.path(name)
    out = Path(f"{name}.tar") if out is None else out
    if out.is_dir():
        out /= f"{name}.tar"
    if not folder.is_dir():
        find_checkpoint(name, store.folder)  # raises with what is missing and how to get it
    if problem := find_problem(folder, store.expected_files(name)):
        raise CheckpointError(f"{name} is invalid, so it was not packed: {problem}")
    if link := find_link_out(folder, (folder / name for name in FILES)):
        raise CheckpointError(f"{link} is a link that leads out of the checkpoint; replace it with the file")
    if out.exists() and not force:
        raise CheckpointError(f"{out} already exists; use --force to overwrite it")
    try:
        write_archive(folder, {file.name: file.sha256 for file in _read_files(folder)}, out)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{out} can't be written: {getattr(error, 'strerror', None) or error}") from None
    return out


def _read_files(folder: Path) -> tuple[ExpectedFile, ...]:
    try:
        return tuple(
            ExpectedFile(name, compute_sha256(folder / name), (folder / name).stat().st_size) for name in FILES
        )
    except OSError as error:
        raise CheckpointError(f"{error.filename} can't be read: {error.strerror or error}") from None
