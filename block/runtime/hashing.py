"""SHA-256 of files; that of a large file is remembered beside it, so that it is computed once and not before every run.

The memory is the file `.sha256.json` in the file's own folder: for each file name a size in bytes, a time of change
in nanoseconds and the digest. It is believed only while size and time are what they were. It is a convenience, no
proof: whoever can write the weights can write it too, so `models verify` and `models pack` always read the file.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any, BinaryIO

MEMORY = ".sha256.json"
# Below this, reading the file again costs less than 0.1 s; and the embedded checkpoint's folder stays as git has it.
LARGE_BYTES = 32 << 20
BLOCK_BYTES = 1 << 20
SHA256 = re.compile(r"[0-9a-f]{64}")


def sha256_of(source: bytes | str | os.PathLike[str] | BinaryIO) -> str:
    """Return the SHA-256, in hexadecimal, of bytes, of the file at a path, or of all that an open file holds.

    An open file is left at its start. Raises OSError where a file cannot be read.
    """
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    if isinstance(source, (str, os.PathLike)):
        with open(source, "rb") as file:
            return sha256_of(file)
    digest = hashlib.sha256()
    source.seek(0)
    while block := source.read(BLOCK_BYTES):
        digest.update(block)
    source.seek(0)
    return digest.hexdigest()


def remembered_sha256(path: Path) -> str:
    """As `sha256_of`, but a large file is read only if it is not known by its size and time. Raises OSError."""
    known = recall(path)
    if known is not None:
        return known
    before = path.stat()
    digest = sha256_of(path)
    remember(path, digest, before)
    return digest


def recall(path: Path) -> str | None:
    """What is remembered of the file as it now is; None if nothing, or if its size or time have changed."""
    entry = _read(path.parent / MEMORY).get(path.name)
    if not isinstance(entry, dict):
        return None
    now = path.stat()
    if (entry.get("size"), entry.get("mtime_ns")) != (now.st_size, now.st_mtime_ns):
        return None
    digest = entry.get("sha256")
    return digest if isinstance(digest, str) and SHA256.fullmatch(digest) else None


def remember(path: Path, digest: str, hashed: os.stat_result) -> None:
    """Remember `digest` of a large file that was as `hashed` says when it was read.

    Where the folder cannot be written to, or the file has changed since, nothing is remembered and nothing said.
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
        try:
            temporary.unlink(missing_ok=True)
        except OSError:
            return


def _read(memory: Path) -> dict[str, Any]:
    try:
        content = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
