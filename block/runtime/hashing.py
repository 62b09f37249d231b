"""SHA-256 of files. That of a large file is kept beside it, so that it is not computed before every run.

The file `.sha256.json` in the same folder has, for each file name, the size in bytes, the time of change in nanoseconds
and the digest, which holds only while size and time are the same. It is a convenience, no proof: whoever can write the
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

MEMORY = ".sha256.json"
# Below this, reading the file again costs less than 0.1 s; and the embedded checkpoint's folder stays as git has it.
LARGE_BYTES = 32 << 20
SHA256 = re.compile(r"[0-9a-f]{64}")


def compute_sha256(source: bytes | str | os.PathLike[str] | BinaryIO) -> str:
    """Return the SHA-256, in hexadecimal, of bytes, of the file at a path, or of all of an open file.

    An open file is left at its start. Raises OSError if a file cannot be read.
    """
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    if isinstance(source, (str, os.PathLike)):
        with open(source, "rb") as file:
            return compute_sha256(file)
    source.seek(0)
    digest = hashlib.file_digest(source, "sha256").hexdigest()  # type: ignore[arg-type]
    source.seek(0)
    return digest


def find_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, computed only if it is not known. Raises OSError."""
    if (known := recall(path)) is not None:
        return known
    before = path.stat()
    digest = compute_sha256(path)
    remember(path, digest, before)
    return digest


def recall(path: Path) -> str | None:
    """Return the SHA-256 known of a file; None if there is none, or if its size or time have changed."""
    entry = _read(path.parent / MEMORY).get(path.name)
    if not isinstance(entry, dict):
        return None
    now = path.stat()
    if (entry.get("size"), entry.get("mtime_ns")) != (now.st_size, now.st_mtime_ns):
        return None
    digest = entry.get("sha256")
    return digest if isinstance(digest, str) and SHA256.fullmatch(digest) else None


def remember(path: Path, digest: str, hashed: os.stat_result) -> None:
    """Remember `digest` of a large file, which had the status `hashed` when it was read.

    Do nothing if the folder cannot be written to, or if the file has changed since.
    """
    if hashed.st_size < LARGE_BYTES:
        return
    memory = path.parent / MEMORY
    temporary = memory.with_name(f"{MEMORY}.{os.getpid()}")
    try:
        now = path.stat()
        if (now.st_size, now.st_mtime_ns) != (hashed.st_size, hashed.st_mtime_ns):
            return
        entries = _read(memory)
        entries[path.name] = {"size": now.st_size, "mtime_ns": now.st_mtime_ns, "sha256": digest}
        temporary.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")
        temporary.replace(memory)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _read(memory: Path) -> dict[str, Any]:
    try:
        content = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
