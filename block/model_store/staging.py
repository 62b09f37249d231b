"""Where a checkpoint is put together before it appears in the store.

Layout, all in the store's own file system, so that the last step is a rename:

    models/.store/NAME.lock              held while a fetch of NAME is under way
    models/.store/NAME.partial/origin    what is being fetched, in one line
    models/.store/NAME.partial/X.part    file X as far as it has come
    models/.store/NAME.partial/X.etag    which version of X that is
    models/.store/NAME.partial/whole/X   file X, complete and held to its digest
    models/.store/NAME.partial/replaced  the checkpoint that stood there before, for the moment of the exchange

Invariants: `models/NAME` is never written into, it appears by the rename of `whole`, which by then holds every file.
What is left behind by a process that was killed is carried on with by the next one of the same origin, and thrown
away by one of another.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from block.model.checkpoint import FILES, CheckpointError
from block.model_store.catalog import ExpectedFile
from block.model_store.store import OWN_FILES, ModelStore, mismatch
from block.runtime.hashing import sha256_of

SPARE_BYTES = 1 << 20  # for folders and small files


class NoRoom(CheckpointError):
    """The file system is too full for what has to be written."""


class Staging:
    """The staging folder of one checkpoint; made by `staging`, which holds its lock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.whole = folder / "whole"

    def part(self, name: str) -> Path:
        return self.folder / f"{name}.part"

    def etag(self, name: str) -> Path:
        return self.folder / f"{name}.etag"

    def accept(self, name: str, expected: ExpectedFile | None) -> str:
        """Hold the part of `name` to its digest and make it whole; returns its SHA-256.

        A part that is not what is expected is deleted, so that the next fetch begins anew; raises CheckpointError.
        """
        part = self.part(name)
        problem = mismatch(part, expected)
        if problem is not None:
            self.discard(name)
            raise CheckpointError(f"what was received is wrong and was deleted: {problem}")
        digest = expected.sha256 if expected is not None else sha256_of(part)
        with part.open("rb") as file:
            # A rename may reach the disk before the data does; after a power cut the file would look whole.
            os.fsync(file.fileno())
        part.replace(self.whole / name)
        return digest

    def discard(self, name: str) -> None:
        for path in (self.part(name), self.etag(name), self.whole / name):
            path.unlink(missing_ok=True)

    def has_room(self, size: int, path: Path) -> None:
        """Raises NoRoom if the file system cannot take the rest of a file of `size` bytes at `path`."""
        there = path.stat().st_size if path.exists() else 0
        free = shutil.disk_usage(self.folder).free
        needed = size - there + SPARE_BYTES
        if needed > free:
            raise NoRoom(f"{self.folder.parent} has {free / 1e6:.1f} MB free; {needed / 1e6:.1f} MB are needed")

    def install(self, target: Path) -> None:
        """Put the whole checkpoint at `target`, in place of what is there. Raises CheckpointError or OSError."""
        missing = [name for name in FILES if not (self.whole / name).is_file()]
        if missing:
            raise CheckpointError(f"the checkpoint is not whole: {', '.join(missing)} missing in {self.whole}")
        check_replaceable(target)
        replaced = self.folder / "replaced"
        if target.exists():
            target.rename(replaced)
        self.whole.rename(target)
        shutil.rmtree(self.folder)


def check_replaceable(target: Path) -> None:
    """Raises CheckpointError if something would be lost by replacing the folder `target` as a whole."""
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


@contextmanager
def staging(store: ModelStore, name: str, origin: str) -> Iterator[Staging]:
    """The staging folder of `name` for what comes from `origin`, locked against other fetches of it.

    Raises CheckpointError if another process fetches it, or if the store cannot be written to.
    """
    folder = store.hidden(name, "partial")
    with _locked(store, name):
        _begin(folder, origin)
        yield Staging(folder)


def restore(store: ModelStore, name: str) -> None:
    """Undo an exchange that was cut short between its two renames: the old checkpoint is better than none."""
    target, folder = store.path(name), store.hidden(name, "partial")
    replaced = folder / "replaced"
    if not replaced.is_dir():
        return
    with _locked(store, name):
        if target.exists():
            shutil.rmtree(replaced)
        else:
            replaced.rename(target)


@contextmanager
def _locked(store: ModelStore, name: str) -> Iterator[None]:
    lock, folder = store.hidden(name, "lock"), store.hidden(name, "partial")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        with lock.open("a") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise CheckpointError(f"another process is fetching {name} already") from None
            yield
    except BrokenPipeError:
        raise  # of what is printed meanwhile, no matter of the disk
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        kept = "; what was received is kept: make room, and run the same command again to carry on" if full else ""
        raise CheckpointError(f"{error.filename or folder}: {error.strerror or error}{kept}") from None


def _begin(folder: Path, origin: str) -> None:
    marker = folder / "origin"
    if folder.exists() and (not marker.is_file() or marker.read_text(encoding="utf-8") != origin):
        shutil.rmtree(folder)
    (folder / "whole").mkdir(parents=True, exist_ok=True)
    if not marker.exists():
        marker.write_text(origin, encoding="utf-8")
