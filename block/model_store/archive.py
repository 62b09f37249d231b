"""The archive to carry where there is no network: an uncompressed tar of the three files and their SHA256SUMS.

Packing the same files gives the same bytes. Reading takes members by their plain name alone and copies their content:
no path in an archive ever becomes a path on disk, and no link or device is followed.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from block.model.checkpoint import FILES, PICKLES, WEIGHTS, CheckpointError
from block.model_store.catalog import MAX_BYTES
from block.model_store.download_progress import DownloadProgress
from block.model_store.records import MAX_SUMS_BYTES, SUMS, format_sums, parse_sums

MAX_MEMBERS = 1000
BLOCK_BYTES = 1 << 20


def write_archive(folder: Path, digests: Mapping[str, str], out: Path) -> None:
    """Pack the checkpoint in `folder`, whose files have these SHA-256s, into `out`, whole or not at all.

    Raises OSError.
    """
    temporary = out.with_name(f".{out.name}.part")
    sums = format_sums({name: digests[name] for name in FILES}).encode()
    try:
        with tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as tar:
            _add(tar, SUMS, len(sums), io.BytesIO(sums))
            for name in FILES:
                with (folder / name).open("rb") as file:
                    _add(tar, name, (folder / name).stat().st_size, file)
        temporary.replace(out)
    finally:
        temporary.unlink(missing_ok=True)


def _add(tar: tarfile.TarFile, name: str, size: int, content: IO[bytes]) -> None:
    # A fresh TarInfo has no owner and time 0: nothing of whoever packs gets into the bytes.
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    tar.addfile(member, content)


class Archive:
    """An archive opened for reading; made by `open_archive`."""

    def __init__(self, path: Path, tar: tarfile.TarFile, members: Mapping[str, tarfile.TarInfo]) -> None:
        self.path = path
        self._tar = tar
        self._members = members

    def sums(self) -> dict[str, str]:
        """The digests that the archive states of its files; empty if it has no SHA256SUMS."""
        if SUMS not in self._members:
            return {}
        text = b"".join(self._blocks(SUMS)).decode("utf-8", errors="replace")
        return parse_sums(text, f"{SUMS} in {self.path}")

    def size(self, name: str) -> int:
        return self._members[name].size

    def extract(self, name: str, to: Path, meter: DownloadProgress) -> None:
        """Copy the content of a member into the file `to`. Raises CheckpointError if the archive is cut short."""
        with meter, to.open("wb") as file:
            meter.begin(0, self.size(name))
            for block in self._blocks(name):
                file.write(block)
                meter.advance(len(block))

    def _blocks(self, name: str) -> Iterator[bytes]:
        content = self._tar.extractfile(self._members[name])
        if content is None:
            raise CheckpointError(f"{self.path}: {name} is no plain file")
        with content:
            left = self.size(name)
            while left:
                try:
                    block = content.read(min(BLOCK_BYTES, left))
                except tarfile.ReadError:
                    block = b""
                if not block:
                    raise CheckpointError(f"{self.path} is cut short: {left} bytes of {name} are missing")
                left -= len(block)
                yield block


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Open the archive at `path` and look through its members.

    Raises CheckpointError if it is none, if it is compressed, if a file is missing, too large, given twice or no
    plain file. Members of other names are left alone.
    """
    try:
        tar = tarfile.open(path, "r:")  # noqa: SIM115 (closed below)
    except tarfile.TarError:
        with path.open("rb") as file:
            start = file.read(6)
        packed = start.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"PK"))
        raise CheckpointError(
            f"{path} is {'compressed' if packed else 'no tar archive'}; expected an uncompressed tar, as "
            "`models pack` makes"
        ) from None
    with tar:
        yield Archive(path, tar, _members(path, tar))


def _members(path: Path, tar: tarfile.TarFile) -> Mapping[str, tarfile.TarInfo]:
    found: dict[str, tarfile.TarInfo] = {}
    others: list[str] = []
    limits = {**MAX_BYTES, SUMS: MAX_SUMS_BYTES}
    try:
        for count, member in enumerate(tar):
            if count >= MAX_MEMBERS:
                raise CheckpointError(f"{path} has over {MAX_MEMBERS} members; expected {len(FILES)} files and {SUMS}")
            name = member.name.removeprefix("./")
            if name not in limits:
                others.append(name)
                continue
            if name in found:
                raise CheckpointError(f"{path} holds {name} twice")
            if not member.isreg() or member.issparse():
                raise CheckpointError(f"{path}: {name} is no plain file in it, but a link or something else")
            if member.size > limits[name]:
                raise CheckpointError(f"{path}: {name} has {member.size} bytes; at most {limits[name]} are accepted")
            found[name] = member
    except tarfile.TarError as error:
        raise CheckpointError(f"{path} is damaged: {error}") from None
    pickled = [name for name in others if name.endswith(PICKLES)]
    if WEIGHTS not in found and pickled:
        raise CheckpointError(f"{path} holds pickled weights ({pickled[0][:80]}), which are never loaded; "
                              f"{WEIGHTS} is needed")  # fmt: skip
    missing = [name for name in FILES if name not in found]
    if missing:
        raise CheckpointError(f"{path} does not hold {', '.join(missing)} at its top level")
    return found
