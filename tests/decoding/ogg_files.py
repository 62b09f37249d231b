"""Take Ogg files apart and put them together again."""

from __future__ import annotations

from functools import cache

LAST_PAGE = 4  # a flag of the last page of a stream


@cache
def _table() -> list[int]:
    table = []
    for value in range(256):
        checksum = value << 24
        for _ in range(8):
            checksum = checksum << 1 ^ (0x04C11DB7 if checksum & 0x80000000 else 0)
        table.append(checksum & 0xFFFFFFFF)
    return table


def compute_checksum(page: bytes) -> int:
    """Return the checksum of a page whose own field for it is 0 (RFC 3533, section 6)."""
    table, checksum = _table(), 0
    for byte in page:
        checksum = (checksum << 8 & 0xFFFFFFFF) ^ table[checksum >> 24 ^ byte]
    return checksum


def split_pages(content: bytes) -> list[bytes]:
    """Return the pages of an Ogg file."""
    pages, at = [], 0
    while at < len(content):
        assert content[at : at + 4] == b"OggS", f"no page at byte {at}"
        lengths = content[at + 27 : at + 27 + content[at + 26]]
        size = 27 + len(lengths) + sum(lengths)
        pages.append(content[at : at + size])
        at += size
    return pages


def change_page(page: bytes, *, flags: int | None = None, serial: int | None = None) -> bytes:
    """Return the page with other flags or another serial number, and the checksum that fits."""
    new = bytearray(page)
    if flags is not None:
        new[5] = flags
    if serial is not None:
        new[14:18] = serial.to_bytes(4, "little")
    new[22:26] = bytes(4)
    new[22:26] = compute_checksum(bytes(new)).to_bytes(4, "little")
    return bytes(new)


def set_serial(content: bytes, serial: int) -> bytes:
    """Return the file with another serial number."""
    return b"".join(change_page(page, serial=serial) for page in split_pages(content))


def clear_end(content: bytes) -> bytes:
    """Return the file without the flag that marks the last page, as a recorder that was killed leaves it."""
    pages = split_pages(content)
    return b"".join(pages[:-1]) + change_page(pages[-1], flags=pages[-1][5] & ~LAST_PAGE)
