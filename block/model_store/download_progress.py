"""How far a transfer has come: a bar on a terminal, a line every tenth of a large file elsewhere."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TextIO

from tqdm import tqdm

LARGE_BYTES = 32 << 20


def in_words(size: int) -> str:
    """A number of bytes as a reader takes it in."""
    return f"{size} bytes" if size < 100_000 else f"{size / 1e6:.1f} MB"


class DownloadProgress:
    """Shows the transfer of the file called `name`, from `with` to its end. Counts are bytes."""

    def __init__(self, name: str, stream: TextIO | None = None) -> None:
        self.name = name
        self.stream = stream or sys.stdout
        self._bar: tqdm[object] | None = None
        self._done = 0
        self._total: int | None = None

    def __enter__(self) -> DownloadProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def begin(self, done: int, total: int | None) -> None:
        """`done` of `total` are there already; total None if it is not known. May be called again after a break."""
        self._done, self._total = done, total
        if self.stream.isatty():
            if self._bar is not None:
                self._bar.close()
            self._bar = tqdm(desc=self.name, initial=done, total=total, file=self.stream, unit="B", unit_scale=True,
                             leave=False)  # fmt: skip
        else:
            carried_on = f", carrying on at {in_words(done)}" if done else ""
            self._say(f"{self.name}: {'size unknown' if total is None else in_words(total)}{carried_on}")

    def advance(self, count: int) -> None:
        before, self._done = self._done, self._done + count
        if self._bar is not None:
            self._bar.update(count)
        elif self._total is not None and self._total >= LARGE_BYTES:
            tenth = self._done * 10 // self._total
            if tenth > before * 10 // self._total:
                self._say(f"{self.name}: {tenth * 10} %")

    def _say(self, line: str) -> None:
        self.stream.write(f"{line}\n")
        self.stream.flush()
