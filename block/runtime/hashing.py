"""SHA-256 of files. The digest of a large file is cached next to it, so that runs don't have to compute it again.

`.sha256.json` in the same folder has, for each file name, the size in bytes, the modification time in nanoseconds and
the digest, which is valid only while size and time are unchanged. The cache proves nothing: anyone who can write the
weights can write it too, so `models verify` and `models pack` always read the weights.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any, BinaryIO

from block.runtime.regular_file import open_regular, read_text

MEMORY = ".sha256.json"
MAX_MEMORY_BYTES = 1 << 20
# Smaller files take less than 0.1 s to hash; and so the embedded checkpoint's folder stays as it is in git.
LARGE_BYTES = 32 << 20
SHA256 = re.compile(r"[0-9a-f]{64}")


def compute_sha256(source: bytes | str | os.PathLike[str] | BinaryIO) -> str:
    """Return the SHA-256, in hexadecimal, of bytes, of the file at a path, or of a whole open file.

    An open file is left at its start. Raise OSError if a file can't be read.
    """
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    if isinstance(source, (str, os.PathLike)):
        with open_regular(source) as file:
            return compute_sha256(file)
    source.seek(0)
    digest = hashlib.file_digest(source, "sha256").hexdigest()  # type: ignore[arg-type]
    source.seek(0)
    return digest


def find_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, from the cache if possible. Raise OSError if the file can't be read."""
    if (cached := recall(path)) is not None:
        return cached
    before = path.stat()
    digest = compute_sha256(path)
    remember(path, digest, before)
    return digest


def recall(path: Path) -> str | None:
    """Return the cached SHA-256 of a file; None if there is none, or if the file's size or time have changed."""
    entry = _read(path.parent / MEMORY).get(path.name)
    if not isinstance(entry, dict):
        return None
    now = path.stat()
    if (entry.get("size"), entry.get("mtime_ns")) != (now.st_size, now.st_mtime_ns):
        return None
    digest = entry.get("sha256")
    return digest if isinstance(digest, str) and SHA256.fullmatch(digest) else None


def remember(path: Path, digest: str, hashed: os.stat_result) -> None:
    """Cache the `digest` of a large file, which had the status `hashed` when it was read.

    Do nothing if the folder can't be written to, or if the file has changed since.
    """
    if hashed.st_size < LARGE_BYTES:
        return
    cache = path.parent / MEMORY
    temporary = cache.with_name(f"{MEMORY}.{os.getpid()}")
    try:
        now = path.stat()
        if (now.st_size, now.st_mtime_ns) != (hashed.st_size, hashed.st_mtime_ns):
            return
        entries = _read(cache)
        entries[path.name] = {"size": now.st_size, "mtime_ns": now.st_mtime_ns, "sha256": digest}
        temporary.unlink(missing_ok=True)
        with temporary.open("x", encoding="utf-8") as file:
            file.write(json.dumps(entries, indent=1) + "\n")
        temporary.replace(cache)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _read(cache: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_text(cache, MAX_MEMORY_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
