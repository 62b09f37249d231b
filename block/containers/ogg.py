"""Ogg: pages of one or more streams, one after the other in a chained file. Source: RFC 3533."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from itertools import pairwise

from block.containers.structure import SeekableFile, Structure, find_next, find_size, note_rest, read_at
from block.containers.tags import trim_tags
from block.formatting import count
from block.recording import RecordingError, Span

PAGE_BYTES, FIRST, LAST = 27, 2, 4  # a page's head without its lacing table; flags of the first and last page
CODECS = {b"\x01vorbis": "Vorbis", b"OpusHead": "Opus", b"\x7fFLAC": "FLAC", b"Speex   ": "Speex"}
MIRRORED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))


def inspect_ogg(file: SeekableFile) -> Structure:
    """Walk the pages. An Ogg is whole if every stream in it ends with a page marked as its last, and no page is lost.

    FFmpeg silently skips pages with a wrong checksum, so they count as lost.
    """
    total = trim_tags(file, Span(0, find_size(file))).end
    at = end = 0
    links: list[int] = []  # where they begin
    has_data = True
    numbers = _PageNumbers()
    open_streams: set[bytes] = set()
    codec = ""
    while at < total:
        page = _read_page(file, at)
        if page is None:
            following = find_next(file, b"OggS", at + 1, total)
            if following is None:
                break
            at = following
            continue
        if at + page.size > total:
            open_streams.add(b"")  # the last page is incomplete
            end = total
            break
        if not page.is_valid(file, at):
            at += 1
            continue
        if page.is_first:
            if has_data:
                links.append(at)
            open_streams.add(page.serial)
            start = read_at(file, at + page.head_bytes, 8)
            codec = codec or next((name for magic, name in CODECS.items() if start.startswith(magic)), "")
        has_data = not page.is_first
        if page.is_last:
            open_streams.discard(page.serial)
        numbers.add(page)
        at = end = at + page.size
    if not links:
        raise RecordingError(f"the Ogg has no beginning of a stream in its {total} bytes")
    missing = f"its stream has no end within the {find_size(file)} bytes that are there" if open_streams else ""
    if numbers.lost:
        missing = f"{numbers.lost} of {count(numbers.seen + numbers.lost, 'page')} are missing or damaged"
    spans = tuple(Span(start, stop) for start, stop in pairwise((*links, end)))
    notes = note_rest(total - end)
    if numbers.skipped:
        skipped = count(numbers.skipped, "page")
        notes += (f"{skipped} before its first audio are missing: it's part of a broadcast, or its beginning was lost",)
    return Structure(f"Ogg {codec}".rstrip(), spans, "ogg", is_chained=True, missing=missing, notes=notes)


@dataclass(frozen=True)
class _Page:
    """The head of a page with its lacing table. The page has `size` bytes, so far as its head is there."""

    head: bytes
    size: int

    @property
    def head_bytes(self) -> int:
        return len(self.head)

    @property
    def is_first(self) -> bool:
        return bool(self.head[5] & FIRST)

    @property
    def is_last(self) -> bool:
        return bool(self.head[5] & LAST)

    @property
    def serial(self) -> bytes:
        return self.head[14:18]

    @property
    def number(self) -> int:
        """Its place in its stream."""
        return int.from_bytes(self.head[18:22], "little")

    @property
    def has_audio(self) -> bool:
        """True if audio ends in it. The position is 0 in pages of headers, and -1 where no packet ends."""
        return self.head[6:14] not in (bytes(8), b"\xff" * 8)

    def is_valid(self, file: SeekableFile, at: int) -> bool:
        """Return True if the page at `at` has the checksum that its head gives."""
        content = self.head[:22] + bytes(4) + read_at(file, at + 26, self.size - 26)
        return _compute_checksum(content) == int.from_bytes(self.head[22:26], "little")


@dataclass
class _PageNumbers:
    """Count the pages of all streams that are there, and those that are lost between them.

    `skipped` are those between the headers of a stream and its first audio. A recording of a broadcast has the headers
    from the broadcast's beginning, so they need not be lost.
    """

    seen: int = 0
    lost: int = 0
    skipped: int = 0
    _last: dict[bytes, int] = field(default_factory=dict)  # by stream
    _started: set[bytes] = field(default_factory=set)  # the streams that have had audio

    def add(self, page: _Page) -> None:
        self.seen += 1
        if page.is_first:
            self._started.discard(page.serial)
        else:
            # Of a stream without a first page, that page is lost, too.
            between = max(0, page.number - self._last.get(page.serial, -1) - 1)
            if page.serial in self._last and page.serial not in self._started:
                self.skipped += between
            else:
                self.lost += between
        self._last[page.serial] = page.number
        if page.has_audio:
            self._started.add(page.serial)


def _read_page(file: SeekableFile, at: int) -> _Page | None:
    """Return the head of the page at `at`; None if there is no page."""
    head = read_at(file, at, PAGE_BYTES + 255)
    if head[:4] != b"OggS":
        return None
    entries = head[26] if len(head) >= PAGE_BYTES else 255
    lacing = head[PAGE_BYTES : PAGE_BYTES + entries]
    is_cut = len(lacing) < entries
    size = PAGE_BYTES + entries + sum(lacing)
    return _Page(head[: PAGE_BYTES + entries].ljust(PAGE_BYTES, b"\0"), size + is_cut)


def _compute_checksum(content: bytes) -> int:
    """Return Ogg's CRC-32: zlib's with the bits of each byte, and of the result, in the opposite order."""
    mirrored = ~zlib.crc32(content.translate(MIRRORED), 0xFFFFFFFF) & 0xFFFFFFFF
    return int.from_bytes(mirrored.to_bytes(4, "little").translate(MIRRORED), "big")
