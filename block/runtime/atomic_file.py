"""Write files that appear complete or not at all, even if the process or the machine dies."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, AnyStr


def temporary_path(path: Path) -> Path:
    """Return where `path` is written before the rename: always the same place, so that a later run reuses leftovers."""
    return path.with_name(f".{path.name}.tmp")


@contextmanager
def commit(file: IO[AnyStr], temporary: Path, path: Path, durable: bool = True) -> Iterator[IO[AnyStr]]:
    """Close `file`, just opened at `temporary`, after the block and rename it to `path`; remove it if the block raises.

    With `durable`, wait until it is on the disk. Raise OSError if it can't be written.
    """
    try:
        with file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def open_atomic(path: Path, durable: bool = True) -> Iterator[IO[str]]:
    """Open a UTF-8 text file that replaces `path` when the block ends without an exception.

    With `durable`, wait until it is on the disk. Line endings are not changed. Raise OSError if it can't be written.
    """
    temporary = temporary_path(path)
    temporary.unlink(missing_ok=True)  # opening it would follow a link
    with commit(temporary.open("x", encoding="utf-8", newline=""), temporary, path, durable) as file:
        yield file


def write_atomic(path: Path, text: str, durable: bool = True) -> None:
    """Write `text` to `path` as `open_atomic` does."""
    with open_atomic(path, durable) as file:
        file.write(text)
