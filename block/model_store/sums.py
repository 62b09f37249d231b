"""The file SHA256SUMS, as `sha256sum` writes and checks it: a digest, two spaces and a file name a line."""

from __future__ import annotations

from collections.abc import Mapping

from block.model.checkpoint import CheckpointError
from block.runtime.hashing import SHA256

SUMS = "SHA256SUMS"
MAX_SUMS_BYTES = 1 << 16


def format_sums(digests: Mapping[str, str]) -> str:
    """The text of a SHA256SUMS for files by name, in the mapping's order."""
    return "".join(f"{digest}  {name}\n" for name, digest in digests.items())


def parse_sums(text: str, where: object) -> dict[str, str]:
    """Digests by file name. Raises CheckpointError for a line that is none, naming it and `where`."""
    digests: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        digest, _, name = line.partition(" ")
        # After the digest come a space and a mark: a space for text, an asterisk for binary.
        if not SHA256.fullmatch(digest) or name[:1] not in (" ", "*") or not name[1:]:
            raise CheckpointError(f"{where}, line {number}: expected a SHA-256, two spaces and a file name")
        digests[name[1:]] = digest
    return digests
