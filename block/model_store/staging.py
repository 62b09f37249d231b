"""Put a checkpoint together in a staging folder before it appears in the store.

Layout, all in the store's own file system, so that the last step is a rename:

    models/.store/NAME.lock              locked while NAME is fetched
    models/.store/NAME.partial/X         file X, received so far
    models/.store/NAME.partial/whole/X   file X, complete and with the right digest
    models/.store/NAME.partial/replaced  the previous checkpoint, while it is replaced

Invariants: nothing writes into `models/NAME`; it appears when `whole`, complete by then, is renamed. A fetch deletes
its staging folder when it ends, successful or not; if a fetch is killed, the next one deletes its leftovers.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from block.model.checkpoint import MAX_BYTES, CheckpointError
from block.model_store.catalog import ExpectedFile
from block.model_store.store import OWN_FILES, ModelStore, find_mismatch
from block.runtime.hashing import compute_sha256

SPARE_BYTES = 1 << 20  # for folders and small files


class Staging:
    """The staging folder of one checkpoint, whose place in the store is `target`; `open_staging` makes it."""

    def __init__(self, store: ModelStore, name: str) -> None:
        self.folder = store.hidden_path(name, "partial")
        self.whole = self.folder / "whole"
        self.replaced = self.folder / "replaced"
        self.target = store.path(name)

    def accept(self, name: str, expected: ExpectedFile | None) -> ExpectedFile:
        """Check the received file, add it to the checkpoint, and return it with its digest and size.

        Raise CheckpointError if it isn't the expected file.
        """
        path = self.folder / name
        if problem := find_mismatch(path, expected):
            raise CheckpointError(f"the fetched file is wrong and was deleted: {problem}")
        with path.open("rb") as file:
            # A rename may reach the disk before the data, so after a power cut the file could look complete.
            os.fsync(file.fileno())
        path.replace(self.whole / name)
        path = self.whole / name
        return ExpectedFile(name, expected.sha256 if expected else compute_sha256(path), path.stat().st_size)

    def install(self) -> None:
        """Move the checkpoint to its target, replacing what is there. Raise CheckpointError or OSError."""
        check_replaceable(self.target)
        if self.target.exists():
            self.target.rename(self.replaced)
        self.whole.rename(self.target)

    def clear(self) -> None:
        """Delete the folder. If `install` was interrupted between its two renames, restore the old checkpoint first."""
        if self.replaced.is_dir() and not self.target.exists():
            self.replaced.rename(self.target)
        if self.folder.is_symlink():
            self.folder.unlink()  # it would be followed
        shutil.rmtree(self.folder, ignore_errors=True)


def check_replaceable(target: Path) -> None:
    """Raise CheckpointError if replacing the folder `target` would lose other files."""
    if target.is_symlink():
        raise CheckpointError(f"{target} is a link; expected a folder: remove the link first")
    if not target.exists():
        return
    if not target.is_dir():
        raise CheckpointError(f"{target} is not a folder; remove it first")
    others = sorted(entry.name for entry in target.iterdir() if entry.name not in OWN_FILES)
    if others:
        raise CheckpointError(
            f"{target} also contains {', '.join(others[:3])}{' and more' if len(others) > 3 else ''}, which would be "
            "lost; move it elsewhere, or fetch under another name with --name"
        )


def size_limit(name: str) -> int:
    """Return the largest accepted size of a checkpoint's file, or of an archive, in bytes."""
    return MAX_BYTES.get(name, sum(MAX_BYTES.values()))


def check_size(what: object, name: str, there: int, size: int | None, folder: Path) -> None:
    """Raise CheckpointError unless `what`, which has `there` bytes, is valid as the file `name` and fits in `folder`.

    `size` is the expected number of bytes, None if unknown.
    """
    if size is not None and there != size:
        raise CheckpointError(f"{what} has {there} bytes; expected {size}")
    if there > size_limit(name):
        raise CheckpointError(f"{what} has {there} bytes; expected at most {size_limit(name)}")
    free, needed = shutil.disk_usage(folder).free, there + SPARE_BYTES
    if needed > free:
        raise CheckpointError(f"{folder.parent} has {free / 1e6:.1f} MB free; {needed / 1e6:.1f} MB are needed")


@contextmanager
def open_staging(store: ModelStore, name: str) -> Iterator[Staging]:
    """Make the staging folder of `name`, lock it against other fetches, and delete it at the end.

    Raise CheckpointError if another process fetches `name`, or if the store isn't writable.
    """
    staging = Staging(store, name)
    with _lock(store, name):
        staging.clear()
        staging.whole.mkdir(parents=True)
        try:
            yield staging
        finally:
            staging.clear()


def restore(store: ModelStore, name: str) -> None:
    """Undo an interrupted replacement; see `Staging.clear`."""
    staging = Staging(store, name)
    if staging.replaced.is_dir():
        with _lock(store, name):
            staging.clear()


@contextmanager
def _lock(store: ModelStore, name: str) -> Iterator[None]:
    path = store.hidden_path(name, "lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise CheckpointError(f"another process is already fetching {name}; wait for it to finish") from None
            yield
    except BrokenPipeError:
        raise  # from printing, not from the disk
    except OSError as error:
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        advice = "; free some space and run the same command again" if is_full else ""
        where = error.filename or store.hidden_path(name, "partial")
        raise CheckpointError(f"{where}: {error.strerror or error}{advice}") from None
