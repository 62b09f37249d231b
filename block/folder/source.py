"""A folder as a source of recordings, and as a sink that remembers what became of them."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO

import soundfile

from block import audio
from block.content import content_of
from block.folder.intact import check_wav, check_whole
from block.folder.listing import shown
from block.folder.manifest import Entry, Manifest
from block.recording import LabeledRecording, Recording, RecordingError


@dataclass
class Folder:
    """The files of `manifest` below `root`. Ids are their positions, counted from 1.

    What is learnt of a file goes into the manifest. `warn` is told of what a user should know. With `keep`, labels
    are kept in `labeled`; else they are decided again from the score store.
    """

    root: str
    manifest: Manifest
    warn: Callable[[str], None]
    keep: bool = False
    model_rate_hz: int = 16000
    labeled: dict[str, LabeledRecording] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def entry(self, recording_id: int) -> Entry:
        """What is known of a recording."""
        return self.manifest.entries[recording_id - 1]

    def fetch(self, recording_id: int, expect: Callable[[int], None]) -> Recording:
        """Read a file. Raises RecordingError if it cannot be read, or is being changed."""
        known = self.entry(recording_id)
        try:
            # A pipe with the name of a sound file would make whoever opens it wait.
            handle = os.open(os.path.join(self.root, known.path), os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
            with open(handle, "rb") as file:
                return self._read(recording_id, known, file, expect)
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

    def _read(self, recording_id: int, known: Entry, file: BinaryIO, expect: Callable[[int], None]) -> Recording:
        before = os.fstat(file.fileno())
        if not stat.S_ISREG(before.st_mode):
            raise RecordingError("it is no regular file")
        if before.st_size == 0:
            raise RecordingError("the file is empty: it has 0 bytes")
        promised = _promised(file)
        check_wav(file)
        expect(promised)
        same = known.content and (known.size, known.mtime_ns) == (before.st_size, before.st_mtime_ns)
        content = known.content if same else content_of(file)
        sound = audio.decode(file, self.model_rate_hz)
        check_whole(sound.positions, promised, sound.rate_hz)
        after = os.fstat(file.fileno())
        if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
            raise RecordingError("the file was changed while it was read")
        if sound.rate_hz < self.model_rate_hz:
            self.warn(
                f"some recordings are sampled at less than {self.model_rate_hz} Hz: the model's upper mel bands are "
                f"empty for them, and it may hear less than it could"
            )
        self.manifest.put(
            Entry(known.path, before.st_size, before.st_mtime_ns, content, sound.positions, sound.rate_hz)
        )
        return Recording(
            recording_id, shown(known.path), sound.rate_hz, sound.positions, sound.waveform,
            ratio=sound.ratio, content=content,
        )  # fmt: skip


def is_unchanged(root: str, known: Entry) -> bool:
    """Is the content of a file known, and has the file the size and time of change it had then?"""
    try:
        now = os.stat(os.path.join(root, known.path))
    except OSError:
        return False
    return bool(known.content) and (known.size, known.mtime_ns) == (now.st_size, now.st_mtime_ns)


def _promised(file: BinaryIO) -> int:
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
