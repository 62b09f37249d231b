"""A waveform of a length that is known once it is there: memory is taken as values come, within what is free."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from block.ahead import THREADS
from block.recording import RecordingError, Waveform
from block.runtime.limits import available_bytes

BYTES_PER_VALUE = 4
ASK_BYTES = 64 << 20  # to take less than this, nobody asks how much is free


class Growing:
    """A float32 waveform of `length` values so far, `expected` in the end, or more. `free`: the bytes that are free."""

    def __init__(self, expected: int = 0, free: Callable[[], int] = available_bytes) -> None:
        """Raises RecordingError where `expected` values take more memory than is free."""
        self._free = free
        self._values: Waveform = np.empty(0, np.float32)
        self._check(expected)
        # What is not filled of it is never touched, and takes no memory.
        self._values = np.empty(expected, np.float32)
        self.length = 0

    def room(self, values: int) -> Waveform:
        """Where the next `values` values go; whoever has filled some of it adds these to `length`.

        What was given before is no longer valid. Raises RecordingError where that takes more memory than is free.
        """
        end = self.length + values
        if end > len(self._values):
            longer = end + end // 4
            self._check(longer - len(self._values))
            # The operating system moves the pages of large arrays: nothing is held twice.
            self._values.resize(longer, refcheck=False)
        return self._values[self.length : end]

    def whole(self) -> Waveform:
        """All values. Nothing can be added after that."""
        self._values.resize(self.length, refcheck=False)
        return self._values

    def _check(self, more: int) -> None:
        """Raises RecordingError if there is no memory for so many values more.

        Not all that is free may be taken: several recordings are decoded at once, and a small file may hold hours of
        nothing, or say so.
        """
        held_bytes = self._values.nbytes
        size_bytes = held_bytes + more * BYTES_PER_VALUE
        if size_bytes <= ASK_BYTES:
            return
        free_bytes = held_bytes + self._free()
        if size_bytes > free_bytes // THREADS:
            raise RecordingError(
                f"its waveform takes {size_bytes / 1e9:.1f} GB of memory or more; {free_bytes / 1e9:.1f} GB are free "
                f"for {THREADS} recordings at once"
            )
