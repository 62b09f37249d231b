"""Read files, but neither pipes, which may never end or begin, nor devices, such as /dev/zero."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

MAX_FILE_BYTES = 1 << 30  # for the largest: lists of millions of recordings


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file to read bytes. Raise OSError if it can't be opened, or is a pipe or a device."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "it is not a file but a folder, a pipe or a device", os.fspath(path))
    return open(handle, "rb")


def read_text(path: Path, most: int = 64 << 20) -> str:
    """Return the text of a UTF-8 file of at most `most` bytes. Raise OSError as `open_regular` does, or ValueError."""
    with open_regular(path) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"it has over {most} bytes; expected at most {most}")
    return content.decode("utf-8")
