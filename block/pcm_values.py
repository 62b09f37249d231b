"""Read uncompressed audio with NumPy alone: the same values as libsndfile's, several times faster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt

from block.containers.structure import Pcm

# NumPy's types by libsndfile's names, and full scale. 24-bit values are read as the upper bytes of 32-bit ones.
TYPES = {"PCM_S8": "i1", "PCM_U8": "u1", "PCM_16": "i2", "PCM_24": "i4", "PCM_32": "i4", "FLOAT": "f4", "DOUBLE": "f8"}
FULL_SCALE = {"i1": 1 << 7, "u1": 1 << 7, "i2": 1 << 15, "i4": 1 << 31}
ORDERS = {"LITTLE": "<", "BIG": ">"}
WIDTH_24, WIDTH_32 = 3, 4  # bytes

Values = npt.NDArray[np.float32]


class Readable(Protocol):
    """A file that is read from its current position on."""

    def read(self, size: int = -1) -> bytes: ...


def read_values(file: Readable, pcm: Pcm, at_once: int) -> Iterator[Values]:
    """Yield the values in `file`, which holds nothing else, shape `(values, channels)`, where full scale is 1.

    A block has about `at_once` values, all channels together. They are equal to libsndfile's, bit for bit. An
    incomplete value at the end is left out.
    """
    block_bytes = pcm.frame_bytes * max(1, at_once // pcm.channels)
    while True:
        data = b""
        while len(data) < block_bytes and (more := file.read(block_bytes - len(data))):
            data += more
        whole = len(data) - len(data) % pcm.frame_bytes
        if whole:
            yield _convert(data[:whole], pcm).reshape(-1, pcm.channels)
        if len(data) < block_bytes:
            return


def _convert(data: bytes, pcm: Pcm) -> Values:
    kind, order = TYPES[pcm.subtype], ORDERS[pcm.endian]
    if pcm.subtype == "PCM_24":
        wide = np.zeros((len(data) // WIDTH_24, WIDTH_32), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, WIDTH_24)[:, :: 1 if order == "<" else -1]
        values = wide.view("<i4").reshape(-1)
    else:
        values = np.frombuffer(data, order + kind)
    if kind not in FULL_SCALE:
        # Doubles beyond float32's range become infinite, as with libsndfile; a reader refuses them, and NaN.
        with np.errstate(over="ignore", invalid="ignore"):
            return values.astype(np.float32)
    offset = 128 if kind == "u1" else 0
    return (values.astype(np.float32) - np.float32(offset)) / np.float32(FULL_SCALE[kind])
