"""Records of fetched checkpoints: where each came from, and the sizes and digests of its files.

A record is the JSON file `models/.store/NAME.json`. It is written at the first fetch and outlives the
checkpoint's folder, so that a later fetch is compared with it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from block.model.checkpoint import FILES, CheckpointError
from block.model_store.catalog import ExpectedFile
from block.runtime.atomic_file import write_atomic
from block.runtime.hashing import SHA256
from block.runtime.regular_file import read_text

SUMS = "SHA256SUMS"
MAX_SUMS_BYTES = 1 << 16
MAX_RECORD_BYTES = 1 << 16


@dataclass(frozen=True)
class Record:
    """The record of a checkpoint: `origin` is text; `repository` and `revision` (a commit) if it came from a hub."""

    origin: str
    files: tuple[ExpectedFile, ...]
    repository: str | None = None
    revision: str | None = None


def read_record(path: Path) -> Record | None:
    """Return the record at `path`, or None if there is none.

    Raise CheckpointError if it can't be read: treating it as missing would accept any file.
    """
    try:
        content = json.loads(read_text(path, MAX_RECORD_BYTES))
        files = tuple(
            ExpectedFile(name, entry["sha256"], int(entry["size"])) for name, entry in content["files"].items()
        )
        for file in files:
            if file.name not in FILES:
                raise ValueError("it lists unknown files")
            if not SHA256.fullmatch(file.sha256):
                raise ValueError(f"{file.sha256!r} is not a SHA-256")
        return Record(str(content["origin"]), files, content.get("repository"), content.get("revision"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CheckpointError(f"the record {path} can't be read: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(
            f"the record {path} is damaged ({error}); delete it to record the checkpoint's digests again"
        ) from None


def write_record(path: Path, record: Record) -> None:
    """Write `record`, completely or not at all. Raise OSError."""
    content = {
        "origin": record.origin,
        "repository": record.repository,
        "revision": record.revision,
        "files": {file.name: {"sha256": file.sha256, "size": file.size} for file in record.files},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps(content, indent=1) + "\n")


def format_sums(digests: Mapping[str, str]) -> str:
    """Return the text of a SHA256SUMS file for digests by file name, in the mapping's order."""
    return "".join(f"{digest}  {name}\n" for name, digest in digests.items())


def read_sums(folder: Path) -> Mapping[str, ExpectedFile]:
    """Return the digests of a checkpoint's files from SHA256SUMS in `folder`; empty if there is no such file."""
    path = folder / SUMS
    try:
        sums = parse_sums(read_text(path, MAX_SUMS_BYTES), path)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} can't be read: {error}") from None
    return {name: ExpectedFile(name, digest) for name, digest in sums.items() if name in FILES}


def parse_sums(text: str, where: object) -> dict[str, str]:
    """Return digests by file name. Raise CheckpointError for a malformed line, with its number and `where`."""
    digests: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        digest, _, name = line.partition(" ")
        # After the digest come a space and a mark: a space for text, an asterisk for binary.
        if not SHA256.fullmatch(digest) or name[:1] not in (" ", "*") or not name[1:]:
            raise CheckpointError(f"{where}: line {number} isn't a SHA-256, two spaces and a file name")
        digests[name[1:]] = digest
    return digests
