"""Archives for machines without a network: an uncompressed tar of the three files and their SHA256SUMS.

Packing the same files gives the same bytes. Members are read by their plain names, and only their content is copied: no
path in an archive becomes a path on disk, and no link or device is followed.
"""

from __future__ import annotations

import io
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from block.model.checkpoint import FILES, MAX_BYTES, PICKLES, WEIGHTS, CheckpointError
from block.model_store.bounded_tar import BoundedTar, UnboundedHeader
from block.model_store.catalog import ExpectedFile
from block.model_store.records import MAX_SUMS_BYTES, SUMS, format_sums, parse_sums
from block.model_store.staging import check_size

MAX_MEMBERS = 1000
BLOCK_BYTES = 1 << 20


def write_archive(folder: Path, digests: Mapping[str, str], out: Path) -> None:
    """Pack the checkpoint in `folder` with the SHA-256s in `digests` into `out`, or write nothing and raise OSError."""
    temporary = out.with_name(f".{out.name}.part")
    sums = format_sums({name: digests[name] for name in FILES}).encode()
    try:
        temporary.unlink(missing_ok=True)  # opening it would follow a link
        with tarfile.open(temporary, "x", format=tarfile.USTAR_FORMAT) as tar:
            _add(tar, SUMS, len(sums), io.BytesIO(sums))
            for name in FILES:
                with (folder / name).open("rb") as file:
                    _add(tar, name, (folder / name).stat().st_size, file)
        temporary.replace(out)
    finally:
        temporary.unlink(missing_ok=True)


def _add(tar: tarfile.TarFile, name: str, size: int, content: IO[bytes]) -> None:
    # A new TarInfo has no owner and time 0, so the bytes don't depend on who packs and when.
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    tar.addfile(member, content)


class ArchiveSource:
    """The files in an open archive; `open_archive` makes it."""

    def __init__(self, path: Path, tar: tarfile.TarFile) -> None:
        self._path = path
        self._tar = tar
        self._members = _find_members(path, tar)

    def read_sums(self) -> dict[str, ExpectedFile]:
        """Return the digests in the archive's SHA256SUMS; empty if it has none."""
        if SUMS not in self._members:
            return {}
        with self._open(SUMS) as file:
            text = file.read().decode("utf-8", errors="replace")
        sums = parse_sums(text, f"{SUMS} in {self._path}")
        return {name: ExpectedFile(name, digest) for name, digest in sums.items() if name in FILES}

    def copy(self, name: str, folder: Path, size: int | None) -> None:
        """Extract the file; see `CheckpointSource`."""
        there = self._members[name].size
        check_size(f"{self._path}: {name}", name, there, size, folder)
        with self._open(name) as content, (folder / name).open("wb") as file:
            try:
                shutil.copyfileobj(content, file, BLOCK_BYTES)
            except tarfile.ReadError:
                left = there - file.tell()
                raise CheckpointError(f"{self._path} is truncated: {left} bytes of {name} are missing") from None

    def _open(self, name: str) -> IO[bytes]:
        content = self._tar.extractfile(self._members[name])
        if content is None:
            raise CheckpointError(f"{self._path}: {name} is not a regular file")
        return content


@contextmanager
def open_archive(path: Path) -> Iterator[ArchiveSource]:
    """Open the archive at `path` and find its files; ignore members with other names.

    Raise CheckpointError if it isn't an uncompressed tar, or if a file is missing, too large, duplicate or not a
    regular file.
    """
    with _name_damage(path):
        try:
            tar = BoundedTar.open(path, "r:")
        except tarfile.ReadError:
            with path.open("rb") as file:
                start = file.read(6)
            is_compressed = start.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"PK"))
            raise CheckpointError(
                f"{path} is {'compressed' if is_compressed else 'not a tar archive'}; expected an uncompressed tar, as "
                "`models pack` makes"
            ) from None
    with tar:
        yield ArchiveSource(path, tar)


def _find_members(path: Path, tar: tarfile.TarFile) -> Mapping[str, tarfile.TarInfo]:
    found: dict[str, tarfile.TarInfo] = {}
    pickles: list[str] = []
    limits = {**MAX_BYTES, SUMS: MAX_SUMS_BYTES}
    with _name_damage(path):
        for count, member in enumerate(tar):
            if count >= MAX_MEMBERS:
                raise CheckpointError(f"{path} has over {MAX_MEMBERS} members; expected {len(FILES)} files and {SUMS}")
            name = member.name.removeprefix("./")
            if name in found:
                raise CheckpointError(f"{path} contains {name} twice")
            if name.endswith(PICKLES):
                pickles.append(name)
            if name not in limits:
                continue
            if not member.isreg() or member.issparse():
                raise CheckpointError(f"{path}: {name} is a link or another special member; expected a regular file")
            if member.size > limits[name]:
                raise CheckpointError(f"{path}: {name} has {member.size} bytes; expected at most {limits[name]}")
            found[name] = member
    if WEIGHTS not in found and pickles:
        raise CheckpointError(
            f"{path} has only pickled weights ({pickles[0][:80]}), which are never loaded; {WEIGHTS} is needed"
        )
    if missing := [name for name in FILES if name not in found]:
        raise CheckpointError(f"{path} does not contain {', '.join(missing)} at its top level")
    return found


@contextmanager
def _name_damage(path: Path) -> Iterator[None]:
    """Turn the errors that tarfile raises for odd headers into CheckpointError."""
    try:
        yield
    except UnboundedHeader as error:
        raise CheckpointError(f"{path} is refused: {error}; make the archive with `models pack`") from None
    except (tarfile.TarError, ValueError, ArithmeticError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from None
