"""What a sound file is known by wherever its name does not matter: the SHA-256 of its bytes."""

from __future__ import annotations

import hashlib
import os
from typing import BinaryIO

READ_BYTES = 1 << 20


def content_of(source: bytes | str | os.PathLike[str] | BinaryIO) -> str:
    """The SHA-256, in hexadecimal, of bytes, of the file at a path, or of what an open file holds, from its start.

    Files are read in parts. An open file is left at its start. Raises OSError where a file cannot be read.
    """
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    if isinstance(source, (str, os.PathLike)):
        with open(source, "rb") as file:
            return content_of(file)
    digest = hashlib.sha256()
    source.seek(0)
    while part := source.read(READ_BYTES):
        digest.update(part)
    source.seek(0)
    return digest.hexdigest()
