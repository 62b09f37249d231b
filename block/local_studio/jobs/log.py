"""A job's log: written while the job runs, up to a size limit, and read in parts by its page."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from block.runtime.regular_file import open_regular

LARGEST_LOG = 10 << 20  # bytes
TAIL = 64 << 10  # bytes of the end that are kept too, because the end says what went wrong
LINES = 1000  # that a page shows, as Edge Impulse's own page does
PART_BYTES = 1 << 20  # that a page gets at a time

# Terminal sequences for colors and titles. A sequence that is cut off isn't matched.
ESCAPES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]{0,1000}(\x07|\x1b\\)|[@-Z\\-_])")
CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class LogWriter:
    """Writes a new log at `path`: up to `LARGEST_LOG` bytes, a line about what is omitted, and the last `TAIL` bytes.

    Raise OSError if the file can't be created. Later errors are ignored: a full disk costs only the log.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=0)
        self._left = LARGEST_LOG
        self._tail = b""
        self._lost = 0

    def write(self, data: bytes) -> None:
        now, later = data[: self._left], data[self._left :]
        self._left -= len(now)
        if now and not self._write(now):
            self._left, later = 0, data
        if later:
            self._lost += len(later)
            self._tail = (self._tail + later)[-TAIL:]

    def close(self) -> None:
        """Add the end of the output that exceeded the limit."""
        if self._tail:
            missing = self._lost - len(self._tail)
            self._write(f"\n… {missing:,} bytes omitted: the log is full …\n".encode())
            self._write(self._tail)
        self._file.close()

    def _write(self, data: bytes) -> bool:
        try:
            while data:
                data = data[self._file.write(data) :]
        except OSError:
            return False
        return True


@dataclass(frozen=True)
class Log:
    """A part of a log as plain text, and the byte offset at which the next part begins."""

    text: str
    offset: int


def read_part(path: Path, offset: int, is_over: bool) -> Log:
    """Return the log from `offset` to the last complete line, or to the end if the job is over."""
    data = _read(path, offset)
    end = len(data) if is_over and len(data) < PART_BYTES else data.rfind(b"\n") + 1
    if not end and len(data) >= PART_BYTES:
        end = len(data)  # a single, endless line
    return Log(strip_escapes(data[:end]), offset + end)


def read_end(path: Path, is_over: bool) -> Log:
    """Return the last `LINES` lines, or fewer if they're very long."""
    try:
        size = path.stat().st_size
    except OSError:
        return Log("", 0)
    start = max(0, size - PART_BYTES + 1)
    data = _read(path, start)
    end = len(data) if is_over else data.rfind(b"\n") + 1
    lines = strip_escapes(data[:end]).splitlines(keepends=True)
    return Log("".join(lines[-LINES:]), start + end)


def strip_escapes(data: bytes) -> str:
    """Return text without terminal sequences. A line that was overwritten becomes several lines."""
    text = ESCAPES.sub("", data.decode("utf-8", "replace").replace("\r\n", "\n"))
    return CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r", "\n"))


def _read(path: Path, offset: int) -> bytes:
    try:
        with open_regular(path) as file:
            file.seek(offset, os.SEEK_SET)
            return file.read(PART_BYTES)
    except (OSError, OverflowError):
        return b""
