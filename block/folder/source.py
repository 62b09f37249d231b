"""A folder as a source of recordings, and as a sink that remembers what became of them."""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

import soundfile

from block import audio
from block.audio import LENGTH_TOLERANCE_MS
from block.folder.listing import UNKNOWN, FileStamp, FolderListing, shown
from block.folder.location import Location, OpenRecording
from block.folder.manifest import FileEntry
from block.recording import LabeledRecording, Recording, RecordingError, RecordingLost
from block.runtime.hashing import compute_sha256


class KnownFiles(Protocol):
    """What is known of the files of a folder, a manifest for one. Used from several threads."""

    def entry(self, recording_id: int) -> FileEntry:
        """What is known of a recording."""
        ...

    def put(self, entry: FileEntry) -> None:
        """Replace what is known of a file."""
        ...

    def save_if_due(self) -> None:
        """A recording has its labels: a good moment to save."""
        ...


@dataclass
class Folder:
    """The files of `manifest` at `place`. Ids are their positions, counted from 1.

    What is learnt of a file goes into the manifest. `warn` is told of what a user should know. With `keep`, labels
    are kept in `labeled`; else they are decided again from the score store.
    """

    place: Location
    manifest: KnownFiles
    warn: Callable[[str], None]
    keep: bool = False
    model_rate_hz: int = 16000
    labeled: dict[str, LabeledRecording] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def entry(self, recording_id: int) -> FileEntry:
        """What is known of a recording."""
        return self.manifest.entry(recording_id)

    def fetch(self, recording_id: int, expect: Callable[[int], None]) -> Recording:
        """Read a file. Raises RecordingError if it cannot be read, or is being changed."""
        known = self.entry(recording_id)
        try:
            with self.place.opened(known.path) as opened:
                return self._read(recording_id, known, opened, expect)
        except ConnectionError as error:
            raise RecordingLost(f"the file cannot be read: {error.strerror or error}") from None
        except OSError as error:
            raise RecordingError(f"the file cannot be read: {error.strerror or error}") from None

    def write(self, labeled: LabeledRecording) -> None:
        """Note that a recording has its labels."""
        if self.keep:
            with self._lock:
                self.labeled[self.entry(labeled.id).path] = labeled
        self.manifest.save_if_due()

    def give_up(self, recording_id: int) -> None:
        """Nothing: why a recording has no labels is told to whoever reports."""

    def _read(
        self, recording_id: int, known: FileEntry, opened: OpenRecording, expect: Callable[[int], None]
    ) -> Recording:
        file, before = opened.file, opened.stamp
        if before.size == 0:
            raise RecordingError("the file is empty: it has 0 bytes")
        promised = promised_values(file)
        check_wav(file)
        expect(promised)
        content = known.content if _is_same(known, before) else compute_sha256(file)
        sound = audio.decode(file, self.model_rate_hz)
        check_whole(sound.positions, promised, sound.rate_hz)
        if opened.stamp_now() != before:
            raise RecordingError("the file was changed while it was read")
        if sound.rate_hz < self.model_rate_hz:
            self.warn(
                f"some recordings are sampled at less than {self.model_rate_hz} Hz: the model's upper mel bands are "
                f"empty for them, and it may hear less than it could"
            )
        self.manifest.put(FileEntry(known.path, before.size, before.mtime_ns, content, sound.positions, sound.rate_hz))
        return Recording(
            recording_id, shown(known.path), sound.rate_hz, sound.positions, sound.waveform,
            ratio=sound.ratio, content=content,
        )  # fmt: skip


def is_unchanged(place: Location, known: FileEntry, listing: FolderListing | None = None) -> bool:
    """Is the content of a file known, and has the file the size and time of change it had then?

    `listing` is asked before the place where it has stamps: that costs no request.
    """
    if not known.content:
        return False
    if listing is not None and listing.stamps is not None:
        now = listing.stamps.get(known.path)
        return now is not None and _is_same(known, now)
    try:
        return _is_same(known, place.stamp(known.path))
    except OSError:
        return False


def _is_same(known: FileEntry, now: FileStamp) -> bool:
    return bool(known.content) and now.mtime_ns != UNKNOWN and FileStamp(known.size, known.mtime_ns) == now


def promised_values(file: BinaryIO) -> int:
    """The number of values that the header promises. Raises RecordingError where there is no header to read."""
    try:
        with soundfile.SoundFile(file) as opened:
            frames = int(opened.frames)
    except (soundfile.SoundFileError, RuntimeError, ValueError) as error:
        reason = getattr(error, "error_string", None) or str(error)
        raise RecordingError(f"the audio cannot be decoded: {reason}") from None
    finally:
        file.seek(0)
    # libsndfile's word for "as many as there are", where a header does not say.
    return frames if 0 <= frames < 2**62 else 0


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
