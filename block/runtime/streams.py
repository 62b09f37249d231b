"""Standard streams that can't stop a command: closed ones lead nowhere, and text that can't be written is lost."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterable
from typing import Any

MODES = {"stdin": "r", "stdout": "w", "stderr": "w"}


def open_closed_streams() -> None:
    """Connect standard streams that were closed when this process started to the null device.

    Otherwise, the next file that is opened would get the number of a closed descriptor, and with it the output of
    libraries and child processes.
    """
    for descriptor in range(len(MODES)):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one
            os.set_inheritable(descriptor, True)
    for name, mode in MODES.items():
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - open until the end


def keep_output_from_failing(report: Callable[[OSError], None]) -> None:
    """Make `sys.stdout` and `sys.stderr` drop what can't be written, for example because a disk is full.

    Call `report` with the first error of `sys.stdout`.
    """
    for name, first in (("stderr", lambda error: None), ("stdout", report)):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            # Names may have characters that the log's encoding lacks, and people read a log while it grows.
            stream.reconfigure(errors="backslashreplace", line_buffering=True)
        setattr(sys, name, ForgivingStream(stream, first))


class WrappedStream:
    """A text stream that writes with its own `write`, and leaves everything else to `stream`."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        written: int = self.stream.write(text)
        return written

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def __iter__(self) -> Any:
        return iter(self.stream)


class ForgivingStream(WrappedStream):
    """A text stream that never raises OSError: what `stream` can't write is lost, and `has_lost` is True.

    `report` is called with the first error.
    """

    def __init__(self, stream: Any, report: Callable[[OSError], None]) -> None:
        super().__init__(stream)
        self.has_lost = False
        self._report = report

    def write(self, text: str) -> int:
        try:
            self.stream.write(text)
        except OSError as error:
            self._lose(error)
        return len(text)

    def flush(self) -> None:
        try:
            self.stream.flush()
        except OSError as error:
            self._lose(error)

    def _lose(self, error: OSError) -> None:
        if not self.has_lost:
            self.has_lost = True
            self._report(error)
