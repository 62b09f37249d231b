"""Where a checkpoint is put together before it appears in the store.

Layout, all in the store's own file system, so that the last step is a rename:

    models/.store/NAME.lock              locked while a fetch of NAME is under way
    models/.store/NAME.partial/X         file X as far as it has come
    models/.store/NAME.partial/whole/X   file X, complete and with the right digest
    models/.store/NAME.partial/replaced  the checkpoint that stood there before, for the moment of the exchange

Invariants: `models/NAME` is never written into; it appears by the rename of `whole`, which by then holds every file.
A fetch that ends, well or not, deletes its staging folder; what a killed one leaves behind is deleted by the next.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from block.model.checkpoint import CheckpointError
from block.model_store.catalog import MAX_BYTES, ExpectedFile
from block.model_store.store import OWN_FILES, ModelStore, find_mismatch
from block.runtime.hashing import compute_sha256

SPARE_BYTES = 1 << 20  # for folders and small files


class Staging:
    """The staging folder of one checkpoint, whose place in the store is `target`; made by `open_staging`."""

    def __init__(self, store: ModelStore, name: str) -> None:
        self.folder = store.hidden_path(name, "partial")
        self.whole = self.folder / "whole"
        self.replaced = self.folder / "replaced"
        self.target = store.path(name)

    def accept(self, name: str, expected: ExpectedFile | None) -> ExpectedFile:
        """Compare the received file with what is expected and make it part of the checkpoint; return what it is.

        Raise CheckpointError if it is something else.
        """
        path = self.folder / name
        if problem := find_mismatch(path, expected):
            raise CheckpointError(f"what was received is wrong and was deleted: {problem}")
        with path.open("rb") as file:
            # A rename may reach the disk before the data does; after a power cut the file would look whole.
            os.fsync(file.fileno())
        path.replace(self.whole / name)
        path = self.whole / name
        return ExpectedFile(name, expected.sha256 if expected else compute_sha256(path), path.stat().st_size)

    def install(self) -> None:
        """Put the checkpoint at its target, in place of what is there. Raise CheckpointError or OSError."""
        check_replaceable(self.target)
        if self.target.exists():
            self.target.rename(self.replaced)
        self.whole.rename(self.target)

    def clear(self) -> None:
        """Delete the folder. Undo an exchange cut short between its two renames: the old checkpoint beats none."""
        if self.replaced.is_dir() and not self.target.exists():
            self.replaced.rename(self.target)
        shutil.rmtree(self.folder, ignore_errors=True)


def check_replaceable(target: Path) -> None:
    """Raise CheckpointError if something would be lost by replacing the folder `target` as a whole."""
    if target.is_symlink():
        raise CheckpointError(f"{target} is a link; remove it before something is fetched in its place")
    if not target.exists():
        return
    if not target.is_dir():
        raise CheckpointError(f"{target} is no folder; remove it before something is fetched in its place")
    others = sorted(entry.name for entry in target.iterdir() if entry.name not in OWN_FILES)
    if others:
        raise CheckpointError(
            f"{target} also holds {', '.join(others[:3])}{' and more' if len(others) > 3 else ''}, which would be "
            "lost; move that away, or fetch under another name with --name"
        )


def size_limit(name: str) -> int:
    """Return how many bytes the file of a checkpoint, or a whole archive, may have at most."""
    return MAX_BYTES.get(name, sum(MAX_BYTES.values()))


def check_size(what: object, name: str, there: int, size: int | None, folder: Path) -> None:
    """Raise CheckpointError unless `what`, which has `there` bytes, can become the file `name` and fits in `folder`.

    `size` is what it must have, None if any will do.
    """
    if size is not None and there != size:
        raise CheckpointError(f"{what} has {there} bytes; expected {size}")
    if there > size_limit(name):
        raise CheckpointError(f"{what} has {there} bytes; at most {size_limit(name)} are accepted")
    free, needed = shutil.disk_usage(folder).free, there + SPARE_BYTES
    if needed > free:
        raise CheckpointError(f"{folder.parent} has {free / 1e6:.1f} MB free; {needed / 1e6:.1f} MB are needed")


@contextmanager
def open_staging(store: ModelStore, name: str) -> Iterator[Staging]:
    """Make the staging folder of `name`, locked against other fetches of it, and delete it in the end.

    Raise CheckpointError if another process fetches it, or if the store cannot be written to.
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
    """Undo an exchange that was cut short; see `Staging.clear`."""
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
                raise CheckpointError(f"another process is fetching {name} already") from None
            yield
    except BrokenPipeError:
        raise  # of what is printed meanwhile, no matter of the disk
    except OSError as error:
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        advice = "; make room, and run the same command again" if is_full else ""
        where = error.filename or store.hidden_path(name, "partial")
        raise CheckpointError(f"{where}: {error.strerror or error}{advice}") from None
