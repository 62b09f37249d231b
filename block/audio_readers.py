"""Read the values of an audio file: uncompressed ones with NumPy, all others with FFmpeg through PyAV.

NumPy gives libsndfile's values several times faster, and doesn't hold up other threads: libsndfile calls back into
Python for every few kilobytes. It's used where audio has to be read from any position. It never sees a header: it gets
the audio alone, and its format from `block.containers`. FFmpeg never guesses the format either, and opens nothing but
the file it is given.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING

from block.containers.structure import FileParts, SeekableFile, Structure
from block.ffmpeg_decoder import Block, Findings, decode_compressed
from block.pcm_values import read_values
from block.recording import RecordingError
from block.runtime.imports import describe_import_error, describe_install

if TYPE_CHECKING:
    import soundfile

READ_VALUES = 1 << 16  # read at once, all channels together


@dataclass
class Blocks:
    """The values of a file at `rate_hz`, in blocks of shape `(values, channels)`, where full scale is 1.

    `expected` is about the number of values, or 0 if that isn't known. `findings` is complete after the last block.
    """

    rate_hz: int
    expected: int
    blocks: Iterator[Block]
    findings: Findings


@cache
def describe_missing_decoder() -> str:
    """Return why compressed audio can't be read, and what to do; empty if it can."""
    try:
        import av  # noqa: F401
    except Exception as error:  # a broken package, or a local file with its name, can raise anything
        return f"PyAV can't be imported ({describe_import_error(error)}); {describe_install('folder')}"
    return ""


@contextmanager
def open_blocks(file: SeekableFile, structure: Structure) -> Iterator[Blocks]:
    """Open the audio of `file`. Raise RecordingError if it can't be decoded, here or when blocks are read."""
    if structure.pcm is None:
        with _open_compressed(file, structure) as blocks:
            yield blocks
        return
    values = read_values(FileParts(file, structure.spans), structure.pcm, READ_VALUES)
    try:
        yield Blocks(structure.pcm.rate_hz, structure.audio_bytes // structure.pcm.frame_bytes, values, Findings())
    except OSError as error:
        raise RecordingError(f"the audio can't be read: {error.strerror or error}") from None


@contextmanager
def open_pcm(file: SeekableFile, structure: Structure) -> Iterator[soundfile.SoundFile]:
    """Open uncompressed audio, to read it from any position. Raise RecordingError if that fails."""
    pcm = structure.pcm
    if pcm is None:
        raise RecordingError(f"the audio is compressed ({structure.name}); expected uncompressed WAV")
    import soundfile

    raw = NonRaisingFile(FileParts(file, structure.spans))
    try:
        with soundfile.SoundFile(raw, "r", pcm.rate_hz, pcm.channels, pcm.subtype, pcm.endian, format="RAW") as sound:
            yield sound
    except (soundfile.SoundFileError, RuntimeError, ValueError, TypeError, OverflowError) as error:
        reason = getattr(error, "error_string", None) or " ".join(str(error).split()) or type(error).__name__
        raise RecordingError(f"the audio can't be decoded: {reason}") from None
    finally:
        if raw.problem is not None:
            raise RecordingError(f"the audio can't be read: {raw.problem.strerror or raw.problem}") from None


@contextmanager
def _open_compressed(file: SeekableFile, structure: Structure) -> Iterator[Blocks]:
    if problem := describe_missing_decoder():
        raise RecordingError(f"{structure.name} can't be read: {problem}; or convert the file to an uncompressed WAV")
    findings = Findings()
    with closing(decode_compressed(file, structure, findings)) as decoded:
        first = next(decoded, None)
        if first is None:
            raise RecordingError(f"the recording is empty: its {structure.name} has no audio")
        blocks = (block.values for block in chain((first,), decoded))
        yield Blocks(first.rate_hz, first.expected, blocks, findings)


class NonRaisingFile:
    """A file that never raises: like in C, a failed seek returns -1, and a failed read returns no bytes.

    `problem` is the first OSError of a read.
    """

    def __init__(self, file: FileParts | SeekableFile) -> None:
        self.problem: OSError | None = None
        self._file = file
        self._seek_failed = False

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        try:
            return self._file.seek(offset, whence)
        except (OSError, ValueError, OverflowError):
            self._seek_failed = True
            return -1

    def tell(self) -> int:
        """Return the position, or -1 once after a failed seek: libsndfile's binding ignores the result of `seek`."""
        if self._seek_failed:
            self._seek_failed = False
            return -1
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:
        try:
            return self._file.read(size)
        except OSError as error:
            self.problem = self.problem or error
            return b""
