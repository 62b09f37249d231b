"""Files that appear whole or not at all, whatever happens to the process or the machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, AnyStr


def temporary_for(path: Path) -> Path:
    """Where `path` is written before it is renamed; the same every time, so that what a killed run left is reused."""
    return path.with_name(f".{path.name}.tmp")


@contextmanager
def commit(file: IO[AnyStr], temporary: Path, path: Path, durable: bool = True) -> Iterator[IO[AnyStr]]:
    """Close `file`, just opened at `temporary`, after the block and rename it to `path`; remove it if the block raises.

    `durable` waits until it is on the disk. Raises OSError.
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
def written(path: Path, durable: bool = True) -> Iterator[IO[str]]:
    """A text file in UTF-8 that becomes `path` once the block has ended well; before that, `path` is as it was.

    `durable` waits until it is on the disk. Line ends are kept as given. Raises OSError.
    """
    temporary = temporary_for(path)
    with commit(temporary.open("w", encoding="utf-8", newline=""), temporary, path, durable) as file:
        yield file


def write(path: Path, text: str, durable: bool = True) -> None:
    """`written`, with all of `text`."""
    with written(path, durable) as file:
        file.write(text)
