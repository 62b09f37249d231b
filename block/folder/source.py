"""A folder as the source of a run's recordings and as the sink of their labels."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

import soundfile

from block import audio
from block.audio import LENGTH_TOLERANCE_MS
from block.folder.listing import UNKNOWN, FileStamp, FolderListing, format_path
from block.folder.location import Location
from block.folder.manifest import FileEntry
from block.recording import LabeledRecording, Recording, RecordingError, RecordingLost
from block.runtime.hashing import compute_sha256

# Sizes in headers by writers that can't go back and fill in the real one, for example because they write to a pipe.
UNKNOWN_SIZES = (0, 0x7FFFFFFF, 0x7FFFFFFF - 36, 0x80000000, 0xFFFFFFFF - 36, 0xFFFFFFFF)


class KnownFiles(Protocol):
    """The entries of a folder's files, such as its `Manifest`. Must be thread-safe."""

    def get_entry(self, recording_id: int) -> FileEntry: ...
    def put(self, entry: FileEntry) -> None: ...
    def save_if_due(self) -> None: ...


@dataclass
class Folder:
    """The files of `manifest` at `location`. A file's id is its position in the manifest, counted from 1.

    `fetch` adds what it learns about a file to the manifest. `warn` tells the user. With `keep_labels`, `labeled` gets
    the labels by path; without it, they are decided again from the score store.
    """

    location: Location
    manifest: KnownFiles
    warn: Callable[[str], None]
    keep_labels: bool = False
    model_rate_hz: int = 16000
    labeled: dict[str, LabeledRecording] = field(default_factory=dict)

    def fetch(self, recording_id: int, expect: Callable[[int], None]) -> Recording:
        """Read a file. Raise RecordingError if it cannot be read, or changes meanwhile."""
        entry = self.manifest.get_entry(recording_id)
        try:
            with self.location.open_recording(entry.path) as opened:
                stamp = opened.stamp
                if stamp.size == 0:
                    raise RecordingError("the file is empty: it has 0 bytes")
                content = entry.content if _is_same(entry, stamp) else compute_sha256(opened.file)
                sound = decode_whole(opened.file, self.model_rate_hz, expect)
                if opened.read_stamp() != stamp:
                    raise RecordingError("the file changed while it was being read")
        except ConnectionError as error:
            raise RecordingLost(f"the file cannot be read: {error.strerror or error}") from None
        except OSError as error:
            raise RecordingError(f"the file cannot be read: {error.strerror or error}") from None
        if sound.rate_hz < self.model_rate_hz:
            self.warn(
                f"some recordings are sampled at less than {self.model_rate_hz} Hz: the model's upper mel bands are "
                f"empty for them, and it may hear less than it could"
            )
        self.manifest.put(FileEntry(entry.path, stamp.size, stamp.mtime_ns, content, sound.positions, sound.rate_hz))
        return Recording(
            recording_id, format_path(entry.path), sound.rate_hz, sound.positions, sound.waveform,
            ratio=sound.ratio, content=content,
        )  # fmt: skip

    def write(self, labeled: LabeledRecording) -> None:
        """Keep the labels if asked to, and save the manifest from time to time."""
        if self.keep_labels:
            self.labeled[self.manifest.get_entry(labeled.id).path] = labeled
        self.manifest.save_if_due()

    def give_up(self, recording_id: int) -> None:
        """Do nothing: the reporter notes why a recording has no labels."""


def is_unchanged(location: Location, entry: FileEntry, listing: FolderListing | None = None) -> bool:
    """Return True if a file's content is known, and its size and modification time are still those of `entry`.

    If `listing` has stamps, they are used, which saves a request.
    """
    if not entry.content:
        return False
    if listing is not None and listing.stamps is not None:
        now = listing.stamps.get(entry.path)
        return now is not None and _is_same(entry, now)
    try:
        return _is_same(entry, location.read_stamp(entry.path))
    except (OSError, RecordingError):
        return False


def _is_same(entry: FileEntry, now: FileStamp) -> bool:
    return bool(entry.content) and now.mtime_ns != UNKNOWN and FileStamp(entry.size, entry.mtime_ns) == now


def decode_whole(file: BinaryIO, to_hz: int, expect: Callable[[int], None] = lambda values: None) -> audio.DecodedAudio:
    """Return the mono waveform of `file` at `to_hz`. Raise RecordingError if it cannot be decoded or was cut off.

    Before decoding, `expect` is called with the number of values that the header promises.
    """
    promised = _read_promised_values(file)
    check_wav_length(file)
    expect(promised)
    sound = audio.decode(file, to_hz)
    check_length(sound.positions, promised, sound.rate_hz)
    return sound


def _read_promised_values(file: BinaryIO) -> int:
    try:
        with soundfile.SoundFile(file) as opened:
            frames = int(opened.frames)
    except (soundfile.SoundFileError, RuntimeError, ValueError) as error:
        reason = getattr(error, "error_string", None) or str(error)
        raise RecordingError(f"the audio cannot be decoded: {reason}") from None
    finally:
        file.seek(0)
    # libsndfile returns a huge number if the header does not say how many there are.
    return frames if 0 <= frames < 2**62 else 0


def check_length(decoded: int, promised: int, rate_hz: int) -> None:
    """Raise RecordingError if a decoder gave fewer values than the header promised, by more than 10 ms."""
    if (promised - decoded) * 1000 > LENGTH_TOLERANCE_MS * rate_hz:
        raise RecordingError(f"the audio is damaged: it has {decoded} of the {promised} values its header promises")


def check_wav_length(file: BinaryIO) -> None:
    """Raise RecordingError if `file` is a WAV that was cut off before the end of its audio; rewind it otherwise.

    Chunks follow Microsoft's and IBM's "Multimedia Programming Interface and Data Specifications 1.0": four letters, a
    32-bit size, and that many bytes, padded to an even number.
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
