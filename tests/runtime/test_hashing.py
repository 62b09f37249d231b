"""The SHA-256 of a file is the same for bytes, a path and an open file."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest

from block.runtime.hashing import compute_sha256


@pytest.mark.parametrize("size", [0, 1, (1 << 18) - 1, 1 << 18, (1 << 18) + 1, 3 << 18])
def test_bytes_paths_and_open_files_give_the_same_digest(tmp_path: Path, size: int) -> None:
    data = bytes(range(256)) * (size // 256) + bytes(range(size % 256))
    (tmp_path / "file").write_bytes(data)
    file = io.BytesIO(data)
    file.seek(size // 2)
    expected = hashlib.sha256(data).hexdigest()
    assert (
        compute_sha256(data) == compute_sha256(tmp_path / "file") == compute_sha256(str(tmp_path / "file")) == expected
    )
    assert compute_sha256(file) == expected
    assert file.tell() == 0
