"""The content of a file is the SHA-256 of its bytes, however they come."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest

from block.runtime import hashing
from block.runtime.hashing import sha256_of


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 24])
def test_bytes_paths_and_open_files_give_the_same_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(hashing, "BLOCK_BYTES", 8)
    data = bytes(range(size))
    (tmp_path / "file").write_bytes(data)
    file = io.BytesIO(data)
    file.seek(size // 2)
    expected = hashlib.sha256(data).hexdigest()
    assert sha256_of(data) == sha256_of(tmp_path / "file") == sha256_of(str(tmp_path / "file")) == expected
    assert sha256_of(file) == expected
    assert file.tell() == 0
