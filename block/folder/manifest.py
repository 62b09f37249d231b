"""`OUT/manifest.json`: which files there were, and what each of them holds.

A file whose size and time of change are those written here still has the content written here: its bytes are not
read again. What is missing is learnt again, so a damaged or lost manifest costs time and nothing else.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from block.folder.listing import shown
from block.labeling.interfaces import Reporter
from block.recording import LabeledRecording
from block.runtime.atomic_file import write_atomic

VERSION = 1
SAVE_EVERY_S = 5.0
SAVE_SHARE = 0.02  # of the time goes into saving, at most


@dataclass(frozen=True)
class FileEntry:
    """One sound file. `path` is relative, as the operating system gives it; `size` and `mtime_ns` are its stamp.

    `content` is the SHA-256 of its bytes, of which there are `values` values a channel at `rate_hz`; empty and 0
    where these are not known. `problem` says why the file has no labels.
    """

    path: str
    size: int = -1
    mtime_ns: int = -1
    content: str = ""
    values: int = 0
    rate_hz: int = 0
    problem: str = ""

    @property
    def seconds(self) -> float:
        return self.values / self.rate_hz if self.rate_hz else 0.0


class Manifest:
    """The files of a folder in their order; entry `n` has the id `n + 1`. May be used from several threads.

    `unreadable` are the folders that could not be listed, and why.
    """

    def __init__(
        self,
        path: Path,
        entries: Iterable[FileEntry] = (),
        unreadable: dict[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = path
        self.entries = list(entries)
        self.unreadable = unreadable or {}
        self._at = {entry.path: at for at, entry in enumerate(self.entries)}
        self._lock = threading.Lock()
        self._saving = threading.Lock()
        self._clock = clock
        self._due = clock() + SAVE_EVERY_S

    def relisted(
        self, files: Iterable[str], unreadable: dict[str, str], is_unchanged: Callable[[FileEntry], bool]
    ) -> Manifest:
        """A manifest of `files`, in this order, with what is known here of those that are unchanged."""
        known = {entry.path: entry for entry in self.entries if not entry.problem and is_unchanged(entry)}
        return Manifest(self.path, [known.get(path, FileEntry(path)) for path in files], unreadable, self._clock)

    def entry(self, recording_id: int) -> FileEntry:
        """What is known of a recording."""
        return self.entries[recording_id - 1]

    def put(self, entry: FileEntry) -> None:
        """Replace what is known of a file."""
        with self._lock:
            self.entries[self._at[entry.path]] = entry

    def fail(self, path: str, problem: str) -> None:
        """A file gets no labels. What was known of it is forgotten: it may be another file by now."""
        self.put(FileEntry(path, problem=problem))

    def save_if_due(self) -> None:
        """Save, unless that was done a moment ago, somebody is at it, or it fails: at the end it will be said."""
        if self._clock() < self._due or not self._saving.acquire(blocking=False):
            return
        try:
            started = self._clock()
            with contextlib.suppress(OSError):
                self._write()
            now = self._clock()
            self._due = now + max(SAVE_EVERY_S, (now - started) / SAVE_SHARE)
        finally:
            self._saving.release()

    def save(self) -> None:
        """Write the manifest. Raises OSError."""
        with self._saving:
            self._write()

    def _write(self) -> None:
        with self._lock:
            entries = list(self.entries)
        files = ",\n".join(json.dumps(_to_json(entry)) for entry in entries)
        folders = json.dumps(self.unreadable)
        # In ASCII: bytes of a name that are no text go there and back as lone surrogates.
        write_atomic(self.path, f'{{"version": {VERSION}, "unreadable": {folders}, "files": [\n{files}\n]}}\n')


def load(path: Path, warn: Callable[[str], None]) -> Manifest:
    """The manifest at `path`, empty where there is none. One that cannot be read is named to `warn`, and empty."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["version"] != VERSION:
            raise ValueError(f"version {content['version']!r}; this one reads {VERSION}")
        unreadable = {str(folder): str(reason) for folder, reason in content["unreadable"].items()}
        return Manifest(path, [_from_json(file) for file in content["files"]], unreadable)
    except FileNotFoundError:
        return Manifest(path)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        warn(f"{path} cannot be used ({error}); all files are read again")
        return Manifest(path)


def _to_json(entry: FileEntry) -> dict[str, Any]:
    known = {name: value for name, value in vars(entry).items() if value not in ("", 0, -1)}
    return {**known, "duration_s": round(entry.seconds, 6)} if entry.content else known


def _from_json(fields: dict[str, Any]) -> FileEntry:
    fields.pop("duration_s", None)
    for name, value in fields.items():
        if type(value) is not (str if name in ("path", "content", "problem") else int):
            raise ValueError(f"{name} is {value!r}")
    return FileEntry(**fields)


@dataclass(frozen=True)
class ManifestReporter:
    """Tells `to` what became of each recording, and the manifest why one could not be had."""

    to: Reporter
    files: Manifest

    def labeled(self, labeled: LabeledRecording) -> None:
        self.to.labeled(labeled)

    def failed(self, recording_id: int, reason: str) -> None:
        path = self.files.entries[recording_id - 1].path
        self.files.fail(path, reason)
        self.to.failed(recording_id, f"{shown(path)}: {reason}")

    def skipped(self, recording_id: int, reason: str) -> None:
        self.to.skipped(recording_id, reason)

    def batch_done(self, recordings: int, windows: int, startup_s: float) -> None:
        self.to.batch_done(recordings, windows, startup_s)
