"""Read tar archives with bounds on their headers, which tarfile reads into memory whatever size they claim.

Extension headers hold what a member's own header has no room for: long names, and in the pax format, any attributes. An
extension applies to the header after it, which may be another extension, and tarfile calls itself to read that.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager

# Archives that other programs make often have some of these headers, none of them longer than a path and attributes.
# Attributes are searched with a regular expression that takes quadratic time.
MAX_EXTENSION_BYTES, MAX_EXTENSIONS_BYTES = 16 << 10, 256 << 10
MAX_EXTENSIONS_IN_A_ROW = 8
EXTENSIONS = (
    tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE,
)  # fmt: skip


class UnboundedHeader(tarfile.TarError):
    """A header that a checkpoint doesn't need could take any amount of memory or time."""


class _BoundedMember(tarfile.TarInfo):
    """A header that is checked before tarfile reads what belongs to it. Sparse files are refused.

    `_proc_member` is where tarfile lets subclasses decide how to read a header.
    """

    def _proc_member(self, archive: BoundedTar) -> tarfile.TarInfo:
        if self.size < 0:
            raise UnboundedHeader(f"it has a header with the size {self.size}; expected 0 or more")
        if self.type == tarfile.GNUTYPE_SPARSE:
            self._refuse_sparse()
        if self.type not in EXTENSIONS:
            return super()._proc_member(archive)  # type: ignore[misc,no-any-return]
        with archive.count_extension(self.size):
            return super()._proc_member(archive)  # type: ignore[misc,no-any-return]

    def _refuse_sparse(self, *_: object) -> None:
        raise UnboundedHeader("it contains a sparse file, whose map can be of any length; expected regular files")

    # The three ways to describe a sparse file in the pax format.
    _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_gnusparse_10 = _refuse_sparse


class BoundedTar(tarfile.TarFile):
    """A tar archive. Reading its headers raises UnboundedHeader if they take too much memory."""

    tarinfo = _BoundedMember
    # Class attributes, because the constructor of TarFile reads the first header.
    _extensions_bytes = 0
    _extensions_in_a_row = 0

    @contextmanager
    def count_extension(self, size: int) -> Iterator[None]:
        """Count an extension header of `size` bytes, and all that follow it up to a member's header, within this block.

        Raise UnboundedHeader if they are too many or too large.
        """
        self._extensions_bytes += tarfile.BLOCKSIZE + size
        self._extensions_in_a_row += 1
        if size > MAX_EXTENSION_BYTES:
            raise UnboundedHeader(f"it has a header of {size} bytes; expected at most {MAX_EXTENSION_BYTES}")
        if self._extensions_bytes > MAX_EXTENSIONS_BYTES:
            raise UnboundedHeader(f"its extension headers exceed {MAX_EXTENSIONS_BYTES} bytes")
        if self._extensions_in_a_row > MAX_EXTENSIONS_IN_A_ROW:
            raise UnboundedHeader(f"it has over {MAX_EXTENSIONS_IN_A_ROW} extension headers in a row")
        yield
        self._extensions_in_a_row -= 1
