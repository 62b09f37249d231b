"""Read files, but neither pipes, which may never end or begin, nor devices, such as /dev/zero."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file to read bytes. Raise OSError if it can't be opened, or is a pipe or a device."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "it is not a file but a folder, a pipe or a device", os.fspath(path))
    return open(handle, "rb")


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file. Raise OSError as `open_regular` does, or UnicodeDecodeError."""
    with open_regular(path) as file:
        return file.read().decode("utf-8")
