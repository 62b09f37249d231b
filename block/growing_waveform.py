"""A buffer for a waveform whose length isn't known beforehand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from block.recording import RecordingError, Waveform
from block.runtime.limits import THREADS, find_available_bytes

BYTES_PER_VALUE = 4
ASK_BYTES = 64 << 20  # smaller arrays are allocated without checking free memory


class GrowingWaveform:
    """A float32 waveform buffer that grows while decoding, within available memory.

    It has `length` values so far, of `expected` or more. `free` returns the free memory in bytes. Raise RecordingError
    if the waveform needs more.
    """

    def __init__(self, expected: int = 0, free: Callable[[], int] = find_available_bytes) -> None:
        self._free = free
        self._values: Waveform = np.empty(0, np.float32)
        self._check_memory(expected)
        # Untouched pages take no memory.
        self._values = np.empty(expected, np.float32)
        self.length = 0

    def reserve(self, values: int) -> Waveform:
        """Return an array for the next `values` values. The caller adds the number it fills to `length`.

        Arrays returned earlier become invalid.
        """
        end = self.length + values
        if end > len(self._values):
            longer = end + end // 4
            self._check_memory(longer - len(self._values))
            # The operating system remaps the pages of large arrays, so this doesn't need twice the memory.
            self._values.resize(longer, refcheck=False)
        return self._values[self.length : end]

    def finish(self) -> Waveform:
        """Return all values. Don't add any afterward."""
        self._values.resize(self.length, refcheck=False)
        return self._values

    def _check_memory(self, more: int) -> None:
        """Raise RecordingError if there isn't enough memory for `more` values.

        Each of the recordings decoded at the same time may use its share of the free memory: a small file can contain
        hours of silence, or claim to.
        """
        own_bytes = self._values.nbytes
        size_bytes = own_bytes + more * BYTES_PER_VALUE
        if size_bytes <= ASK_BYTES:
            return
        free_bytes = own_bytes + self._free()
        if size_bytes > free_bytes // THREADS:
            raise RecordingError(
                f"the waveform needs at least {size_bytes / 1e9:.1f} GB of memory; {free_bytes / 1e9:.1f} GB are free, "
                f"shared by {THREADS} recordings at a time; free some memory or split the recording"
            )
