"""A file in memory that can be given back to the operating system while it is read."""

from __future__ import annotations

import hashlib
import mmap
import os

BLOCK_BYTES = 4 << 20


class PositionedFile:
    """A file of `size` bytes with a position, which `seek` and `tell` handle as in Python's own files."""

    def __init__(self, size: int = 0) -> None:
        self.size = size
        self._at = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise ValueError(f"position {base + offset} is before the start of the file")
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at


class MemoryFile(PositionedFile):
    """Bytes in blocks of anonymous memory: write them one after the other, then read them from any position.

    After `free_as_read`, reading a position frees the blocks before it, and reading there again raises ValueError.
    """

    def __init__(self, content: bytes = b"") -> None:
        super().__init__()
        self._blocks: list[mmap.mmap | None] = []
        self._frees = False
        self.write(content)

    def write(self, content: bytes) -> int:
        """Add `content` at the end. Raise MemoryError if memory runs out."""
        at = 0
        while at < len(content):
            offset = self.size % BLOCK_BYTES
            if not offset:
                self._blocks.append(_allocate())
            block = self._blocks[-1]
            assert block is not None
            part = content[at : at + BLOCK_BYTES - offset]
            block[offset : offset + len(part)] = part
            self.size += len(part)
            at += len(part)
        return len(content)

    def close(self) -> None:
        """Free all memory now, even if an error that is kept refers to this file."""
        self._free(len(self._blocks))

    def free_as_read(self) -> None:
        """Free memory as it's read from now on."""
        self._frees = True

    def compute_sha256(self) -> str:
        """Return the SHA-256 of all bytes, in hexadecimal."""
        digest = hashlib.sha256()
        self.seek(0)
        while block := self.read(BLOCK_BYTES):
            digest.update(block)
        self.seek(0)
        return digest.hexdigest()

    def read(self, size: int = -1) -> bytes:
        end = self.size if size < 0 else min(self.size, self._at + size)
        parts = []
        while self._at < end:
            index, start = divmod(self._at, BLOCK_BYTES)
            block = self._blocks[index]
            if block is None:
                raise ValueError(f"position {self._at} was freed after it was read")
            parts.append(block[start : min(BLOCK_BYTES, start + end - self._at)])
            self._at += len(parts[-1])
            if self._frees:
                self._free(self._at // BLOCK_BYTES)
        return b"".join(parts)

    def _free(self, count: int) -> None:
        for index in range(count - 1, -1, -1):
            block = self._blocks[index]
            if block is None:
                break
            block.close()
            self._blocks[index] = None


def _allocate() -> mmap.mmap:
    try:
        return mmap.mmap(-1, BLOCK_BYTES, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:
        raise MemoryError(f"no room for another {BLOCK_BYTES >> 20} MiB ({error.strerror})") from None
