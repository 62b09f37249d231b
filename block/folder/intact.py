"""Does a sound file hold what its header promises? Decoders read a file that was cut off to where it ends, and say
nothing; labels for half of a recording would look like labels for the whole.
"""

from __future__ import annotations

import os
import struct
from typing import BinaryIO

from block.audio import LENGTH_TOLERANCE_MS
from block.recording import RecordingError

# Sizes that writers which cannot go back to the header, in a pipe for example, put there instead.
UNKNOWN_SIZES = (0, 0x7FFFFFFF, 0x7FFFFFFF - 36, 0x80000000, 0xFFFFFFFF - 36, 0xFFFFFFFF)


def check_whole(decoded: int, promised: int, rate_hz: int) -> None:
    """Raises RecordingError if a decoder gave fewer values than the header promised, by more than 10 ms."""
    if (promised - decoded) * 1000 > LENGTH_TOLERANCE_MS * rate_hz:
        raise RecordingError(f"the audio is damaged: {decoded} of the {promised} values its header promises are there")


def check_wav(file: BinaryIO) -> None:
    """Raises RecordingError if `file` is a WAV cut off before the end of its audio; leaves it at its start.

    Chunks as in Microsoft's and IBM's "Multimedia Programming Interface and Data Specifications 1.0": four letters, a
    size of 32 bits, and as many bytes, padded to an even number.
    """
    end = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(12)
    bytes_per_s = 0
    if head[:4] == b"RIFF" and head[8:] == b"WAVE":
        while len(chunk := file.read(8)) == 8:
            name, size = struct.unpack("<4sI", chunk)
            start = file.tell()
            if name == b"fmt ":
                bytes_per_s = int.from_bytes(file.read(12)[8:], "little")
            if name == b"data":
                missing = start + size - end
                if size not in UNKNOWN_SIZES and missing * 1000 > LENGTH_TOLERANCE_MS * bytes_per_s:
                    raise RecordingError(f"the audio is cut off: {end - start} of {size} bytes are there")
                break
            file.seek(start + size + size % 2)
    file.seek(0)
