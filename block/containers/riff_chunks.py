"""Walk the chunks of RIFF and its relatives: each has a name, a size, and that many bytes, padded.

"Chunk" is the formats' own word here; elsewhere in the block, a chunk is a part of a long window. Sizes of audio are
often wrong, because a writer couldn't know them, or because they don't fit into 32 bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from block.containers.structure import SeekableFile, find_size, is_placeholder, read_at

MOST_CHUNKS = 10_000
COMMON_NAMES = (b"fmt ", b"data", b"LIST", b"fact", b"bext", b"ds64", b"JUNK", b"junk", b"PAD ", b"cue ", b"id3 ",
                b"ID3 ", b"COMM", b"SSND", b"desc", b"pakt", b"free", b"chan", b"info", b"kuki")  # fmt: skip
W64_END = b"\x00\xc0\x4f\x8e\xdb\x8a"  # of the names in Wave64, which are GUIDs


@dataclass(frozen=True)
class ChunkLayout:
    """How a format stores its chunks. A size includes the chunk's head if `counts_head`."""

    order: Literal["little", "big"]
    name_bytes: int = 4
    size_bytes: int = 4
    padding: int = 2
    counts_head: bool = False

    @property
    def head_bytes(self) -> int:
        return self.name_bytes + self.size_bytes

    def parse_size(self, head: bytes) -> int:
        """Return the size of a chunk's content, as its head states it."""
        size = int.from_bytes(head[self.name_bytes :], self.order)
        return max(0, size - self.head_bytes) if self.counts_head else size

    def is_name(self, head: bytes) -> bool:
        """Return True if `head` can be that of a chunk."""
        if len(head) < self.head_bytes:
            return False
        return head[10:16] == W64_END if self.counts_head else all(32 <= byte < 127 for byte in head[:4])


@dataclass(frozen=True)
class FileChunk:
    """A chunk: its content begins at `start`, and should have `size` bytes. Of these, `available` are in the file."""

    name: bytes
    start: int
    size: int
    available: int

    @property
    def end(self) -> int:
        """The position of the byte after its content, as far as it's there."""
        return self.start + min(self.size, self.available)


def walk(file: SeekableFile, layout: ChunkLayout, at: int, audio: bytes) -> Iterator[FileChunk]:
    """Yield the chunks from `at` on. For a chunk named `audio`, correct a stated size that can't be right."""
    total, long_size = find_size(file), 0
    for _ in range(MOST_CHUNKS):
        head = read_at(file, at, layout.head_bytes)
        if not layout.is_name(head):
            return
        size, start = layout.parse_size(head), at + layout.head_bytes
        if head[:4] == b"ds64":
            long_size = int.from_bytes(read_at(file, start + 8, 8), layout.order)
        elif head[:4] == audio:
            size = _find_meant_size(file, layout, start, long_size if size == 0xFFFFFFFF and long_size else size)
        yield FileChunk(head[:4], start, size, max(0, total - start))
        if (following := find_next(file, layout, start + size)) is None:
            return
        at = following


def find_next(file: SeekableFile, layout: ChunkLayout, end: int) -> int | None:
    """Return where the next chunk begins after one that ends at `end`; the size of the file if that was the last chunk.

    Return None if neither a chunk nor the end of the file follows. Some writers forget the padding.
    """
    total = find_size(file)
    padded = end + -end % layout.padding
    if total <= padded:
        return total if total >= end else None
    heads = {at: read_at(file, at, layout.head_bytes) for at in (padded, end)}
    for at, head in heads.items():
        if head[:4] in COMMON_NAMES and layout.is_name(head):
            return at
    for at, head in heads.items():
        if layout.is_name(head) and layout.parse_size(head) <= total - at:
            return at
    return None


def measure_rest(file: SeekableFile, end: int) -> int:
    """Return the number of bytes after the last chunk, which ends at `end`; 0 if they are a few zeros, or padding."""
    rest = find_size(file) - end
    return rest if rest > 1 << 16 or (rest > 1 and any(read_at(file, end, rest))) else 0


def _find_meant_size(file: SeekableFile, layout: ChunkLayout, start: int, stated: int) -> int:
    """Return the size in bytes of the audio at `start`. The `stated` one may be a placeholder, or lack its upper bits.

    A size that doesn't fit into 32 bits is often stated as its remainder after a division by 2^32.
    """
    available = find_size(file) - start
    if stated <= available and find_next(file, layout, start + stated) is not None:
        return stated
    if is_placeholder(stated):
        return available
    wrapped = stated + (available - stated >> 32 << 32)
    if wrapped > stated and find_next(file, layout, start + wrapped) is not None:
        return wrapped
    return stated
