"""A file in memory that is freed while it is read."""

from __future__ import annotations

import errno
import hashlib
import os

import pytest

from block.runtime.memory_file import BLOCK_BYTES, MemoryFile

CONTENT = os.urandom(1 << 16) * (5 * BLOCK_BYTES // 2 >> 16)


def test_what_was_written_is_read_from_any_position() -> None:
    file = MemoryFile()
    for start in range(0, len(CONTENT), 999_983):
        file.write(CONTENT[start : start + 999_983])
    assert file.size == len(CONTENT)
    assert file.read() == CONTENT
    assert file.read(1) == b""
    file.seek(BLOCK_BYTES - 2)
    assert file.read(4) == CONTENT[BLOCK_BYTES - 2 : BLOCK_BYTES + 2]
    assert file.tell() == BLOCK_BYTES + 2
    file.seek(-3, os.SEEK_END)
    assert file.read(10) == CONTENT[-3:]
    with pytest.raises(ValueError, match="before the start"):
        file.seek(-1)


def test_the_digest_is_that_of_all_bytes_wherever_the_file_was() -> None:
    file = MemoryFile(CONTENT)
    file.seek(5)
    assert file.compute_sha256() == hashlib.sha256(CONTENT).hexdigest()
    assert file.tell() == 0


def test_memory_is_freed_as_it_is_read_and_not_before() -> None:
    file = MemoryFile(CONTENT)
    file.read(BLOCK_BYTES)
    file.seek(0)
    assert file.read(4) == CONTENT[:4]
    file.free_as_read()
    file.seek(0)
    assert file.read(BLOCK_BYTES - 1) == CONTENT[: BLOCK_BYTES - 1]
    file.seek(0)
    assert file.read(BLOCK_BYTES + 1) == CONTENT[: BLOCK_BYTES + 1]
    file.seek(0)
    with pytest.raises(ValueError, match="freed"):
        file.read(1)
    file.seek(BLOCK_BYTES)
    assert file.read() == CONTENT[BLOCK_BYTES:]


def test_a_closed_file_holds_no_memory() -> None:
    file = MemoryFile(CONTENT)
    file.close()
    with pytest.raises(ValueError, match="freed"):
        file.read(1)


def test_running_out_of_memory_is_a_memory_error_and_not_one_of_files(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> object:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    file = MemoryFile(b"x")
    monkeypatch.setattr("mmap.mmap", refuse)
    with pytest.raises(MemoryError, match=r"no room for another 4 MiB \(Cannot allocate memory\)"):
        file.write(bytes(BLOCK_BYTES))
