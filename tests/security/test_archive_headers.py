"""Hostile headers of an archive cost an error message, not memory: `models fetch` runs with 1 GiB of address space."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from block.model.checkpoint import FILES
from tests.conftest import EMBEDDED
from tests.security.hostile import run_python

GIB = 1 << 30
FETCH = """
import resource, sys
from pathlib import Path
from block.model.checkpoint import CheckpointError
from block.model_store.fetch import FetchTarget, fetch
from block.model_store.store import ModelStore
resource.setrlimit(resource.RLIMIT_AS, ({limit}, {limit}))
Path("models").mkdir()
try:
    fetch(ModelStore(Path("models"), ()), FetchTarget("mine"), {archive!r})
except CheckpointError as error:
    sys.exit(f"error: {{error}}")
"""


def header(kind: bytes, size: int, name: str = "x") -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)


def pax_record(keyword: str, value: str) -> bytes:
    length = len(keyword) + len(value) + 3
    length += len(str(length + len(str(length))))
    return f"{length} {keyword}={value}\n".encode()


def pax(*records: bytes, kind: bytes = tarfile.XHDTYPE) -> bytes:
    content = b"".join(records)
    return header(kind, len(content)) + content.ljust(-(-len(content) // 512) * 512, b"\0")


def claims(kind: bytes) -> Callable[[BinaryIO], None]:
    """Write a header that claims 4 GiB, in a file that has them without taking up disk space."""

    def write(file: BinaryIO) -> None:
        file.write(header(kind, 4 * GIB))
        file.truncate(5 * GIB)

    return write


def maps_sparse_file_in_many_blocks(file: BinaryIO) -> None:
    """Write the extension of the old GNU format: 21 numbers per block, and a flag that says another one follows."""
    first = bytearray(header(tarfile.GNUTYPE_SPARSE, 0))
    first[482] = 1
    first[148:156] = b"%06o\0 " % (sum(first[:148]) + 8 * 32 + sum(first[156:]))
    file.write(first)
    block = b"00000000001\0" * 42 + b"\1".ljust(8, b"\0")
    for _ in range(64):
        file.write(block * 2048)


def maps_sparse_file_in_its_content(file: BinaryIO) -> None:
    """Write the pax format's version 1.0: a number of entries, and so many lines."""
    file.write(pax(pax_record("GNU.sparse.major", "1"), pax_record("GNU.sparse.minor", "0")))
    file.write(header(tarfile.REGTYPE, 0))
    file.write(b"999999999\n")
    for _ in range(64):
        file.write(b"1\n" * (1 << 19))


def maps_sparse_file_in_attributes(file: BinaryIO) -> None:
    file.write(pax(pax_record("GNU.sparse.map", "0,1")) + header(tarfile.REGTYPE, 0))


def adds_attributes_for_all_members(file: BinaryIO) -> None:
    for number in range(2000):
        value = pax_record(f"comment{number}", "x" * 10_000)
        file.write(pax(value, kind=tarfile.XGLTYPE) + header(tarfile.REGTYPE, 0))


def chains_headers(file: BinaryIO) -> None:
    for _ in range(2000):
        file.write(header(tarfile.GNUTYPE_LONGNAME, 1) + b"x".ljust(512, b"\0"))


def goes_backward(file: BinaryIO) -> None:
    backward = bytearray(header(tarfile.REGTYPE, 0))
    backward[124:136] = (-1024).to_bytes(12, "big", signed=True)
    backward[148:156] = b"%06o\0 " % (sum(backward[:148]) + 8 * 32 + sum(backward[156:]))
    file.write(header(tarfile.REGTYPE, 0) + backward)


def claims_a_size_of_many_digits(file: BinaryIO) -> None:
    file.write(header(tarfile.XHDTYPE, 8000) + b"9" * 7000 + b" size=1\n" + b"\0" * 1184)
    file.write(header(tarfile.REGTYPE, 0))


HOSTILE: dict[str, tuple[Callable[[BinaryIO], None], str]] = {
    "a long name of 4 GiB": (claims(tarfile.GNUTYPE_LONGNAME), "has a header of 4294967296 bytes; expected at most"),
    "a long link of 4 GiB": (claims(tarfile.GNUTYPE_LONGLINK), "has a header of 4294967296 bytes; expected at most"),
    "attributes of 4 GiB": (claims(tarfile.XHDTYPE), "has a header of 4294967296 bytes; expected at most"),
    "attributes of 4 GiB for all members": (claims(tarfile.XGLTYPE), "has a header of 4294967296 bytes"),
    "attributes of 4 GiB as in Solaris": (claims(tarfile.SOLARIS_XHDTYPE), "has a header of 4294967296 bytes"),
    "a sparse file's map in many blocks": (maps_sparse_file_in_many_blocks, "contains a sparse file"),
    "a sparse file's map in its content": (maps_sparse_file_in_its_content, "contains a sparse file"),
    "a sparse file's map in attributes": (maps_sparse_file_in_attributes, "contains a sparse file"),
    "many attributes for all members": (adds_attributes_for_all_members, "extension headers exceed 262144 bytes"),
    "a chain of headers": (chains_headers, "over 8 extension headers in a row"),
    "a negative size": (goes_backward, "has a header with the size -1024"),
    "a size of many digits": (claims_a_size_of_many_digits, "is damaged: "),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_header_of_an_archive_costs_an_error_and_no_memory(what: str, tmp_path: Path) -> None:
    write, message = HOSTILE[what]
    path = tmp_path / "hostile.tar"
    with path.open("wb") as file:
        write(file)
        file.write(bytes(1024) if file.tell() < 4 * GIB else b"")
    done = run_python(["-c", FETCH.format(limit=GIB, archive=str(path))], tmp_path)
    assert done.stderr.startswith(f"error: {path} ")
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "models" / "mine").exists()


def test_ordinary_extension_headers_are_read(tmp_path: Path) -> None:
    """GNU tar and bsdtar write such headers for long names, times with fractions and extended attributes."""
    path = tmp_path / "ordinary.tar"
    attributes = {"mtime": "1700000000.123456789", "SCHILY.xattr.security.selinux": "unconfined_u:object_r:user_home_t"}
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT, pax_headers={"comment": "a model"}) as tar:
        for name in FILES:
            info = tarfile.TarInfo(name)
            info.size, info.pax_headers = (EMBEDDED / name).stat().st_size, dict(attributes)
            with (EMBEDDED / name).open("rb") as content:
                tar.addfile(info, content)
        tar.addfile(tarfile.TarInfo("notes/" + "x" * 3000))
    done = run_python(["-c", FETCH.format(limit=GIB, archive=str(path))], tmp_path)
    assert done.returncode == 0, done.stderr
    assert sorted(one.name for one in (tmp_path / "models" / "mine").iterdir()) == sorted(FILES)
