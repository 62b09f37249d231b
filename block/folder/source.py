"""A folder as the source of a run's recordings and as the sink of their labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from block.audio import decode
from block.audio_readers import describe_missing_decoder
from block.containers.structure import AudioCutOff
from block.folder.listing import UNKNOWN, FileStamp, FolderListing, format_path, get_ending, show_path
from block.folder.location import Location
from block.folder.manifest import FileEntry
from block.recording import LabeledRecording, Recording, RecordingError, RecordingLost
from block.runtime.hashing import compute_sha256


class KnownFiles(Protocol):
    """The entries of a folder's files, such as its `Manifest`. Must be thread-safe."""

    def get_entry(self, recording_id: int) -> FileEntry: ...
    def put(self, entry: FileEntry) -> None: ...
    def save_if_due(self) -> None: ...


@dataclass
class Folder:
    """The files of `manifest` at `location`. A file's id is its position in the manifest, counted from 1.

    `fetch` adds what it learns about a file to the manifest. `warn` tells the user. With `keep_labels`, `labeled` gets
    the labels by path; without it, they are decided again from the score store. With `allow_truncated`, files that are
    cut off are labeled up to where they end.
    """

    location: Location
    manifest: KnownFiles
    warn: Callable[[str], None]
    keep_labels: bool = False
    model_rate_hz: int = 16000
    allow_truncated: bool = False
    labeled: dict[str, LabeledRecording] = field(default_factory=dict)

    def fetch(self, recording_id: int, expect: Callable[[int], None]) -> Recording:
        """Read a file. Raise RecordingError if it can't be read, or changes meanwhile."""
        entry = self.manifest.get_entry(recording_id)
        try:
            with self.location.open_recording(entry.path) as opened:
                stamp = opened.stamp
                if stamp.size == 0:
                    raise RecordingError("the file is empty: it has 0 bytes")
                content = entry.content if _is_same(entry, stamp) else compute_sha256(opened.file)
                sound = decode(opened.file, self.model_rate_hz, expect, self.allow_truncated)
                if opened.read_stamp() != stamp:
                    raise RecordingError("the file changed while it was being read")
        except AudioCutOff as error:
            raise RecordingError(error.describe_with_advice()) from None
        except ConnectionError as error:
            raise RecordingLost(f"the file can't be read: {error.strerror or error}") from None
        except OSError as error:
            raise RecordingError(f"the file can't be read: {error.strerror or error}") from None
        if sound.rate_hz < self.model_rate_hz:
            self.warn(
                f"some recordings have sample rates below the model's {self.model_rate_hz} Hz; the model hears no high "
                f"frequencies in them and may miss sounds"
            )
        for note in sound.notes:
            self.warn(f"{show_path(entry.path, 80)}: {note}")
        self.manifest.put(
            FileEntry(
                entry.path, stamp.size, stamp.mtime_ns, content, sound.positions, sound.rate_hz, missing=sound.missing
            )
        )  # fmt: skip
        return Recording(
            recording_id, format_path(entry.path), sound.rate_hz, sound.positions, sound.waveform,
            ratio=sound.ratio, content=content,
        )  # fmt: skip

    def write(self, labeled: LabeledRecording) -> LabeledRecording:
        """Keep the labels if asked to, and save the manifest from time to time."""
        if self.keep_labels:
            self.labeled[self.manifest.get_entry(labeled.id).path] = labeled
        self.manifest.save_if_due()
        return labeled

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


def warn_without_decoder(paths: Iterable[str], warn: Callable[[str], None]) -> None:
    """Warn once if a file may be compressed, and compressed audio can't be read here."""
    if any(get_ending(path) != ".wav" for path in paths) and (problem := describe_missing_decoder()):
        warn(f"only uncompressed audio can be read: {problem}")
