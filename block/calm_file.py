"""An open file as libsndfile may have it: it asks through callbacks, and an error that left one would be printed."""

from __future__ import annotations

import os
from typing import BinaryIO


class CalmFile:
    """`file`, whose trouble is not raised: a seek out of it gives -1 as in C, a read that fails gives its end.

    `problem` is the first OSError that reading gave.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.problem: OSError | None = None
        self._file = file
        self._astray = False

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        try:
            return self._file.seek(offset, whence)
        except (OSError, ValueError, OverflowError):
            self._astray = True
            return -1

    def tell(self) -> int:
        """The position, or -1 once after a seek that failed: libsndfile's binding asks here how it went."""
        if self._astray:
            self._astray = False
            return -1
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:
        try:
            return self._file.read(size)
        except OSError as error:
            self.problem = self.problem or error
            return b""
