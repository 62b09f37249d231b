"""Write files that appear whole or not at all, whatever happens to the process or the machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


def temporary_path(path: Path) -> Path:
    """Return where `path` is written before the rename. Always the same, so that a later run reuses what is left."""
    return path.with_name(f".{path.name}.tmp")


@contextmanager
def open_atomic(path: Path, durable: bool = True) -> Iterator[TextIO]:
    """Open a text file in UTF-8 that replaces `path` when the block ends without an exception.

    `durable` waits until it is on the disk. Line ends are kept as given. Raises OSError.
    """
    temporary = temporary_path(path)
    try:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_atomic(path: Path, text: str, durable: bool = True) -> None:
    """Write `text` as `open_atomic` does."""
    with open_atomic(path, durable) as file:
        file.write(text)
