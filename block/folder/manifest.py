"""`OUT/manifest.json`: the files of a folder and the hashes of their content.

A file that still has the size and modification time in the manifest is taken to have the same content: its bytes aren't
read again. A damaged or lost manifest only costs the time to read the files again.
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

from block.folder.listing import format_path, get_ending
from block.labeling.interfaces import Reporter
from block.runtime.atomic_file import write_atomic
from block.runtime.regular_file import read_text

VERSION = 2
# Version 1 was written when other formats could be read only in part, without anyone noticing.
READ_WHOLE = (".wav", ".flac")
SAVE_EVERY_S = 5.0
SAVE_SHARE = 0.02  # the largest share of the time to spend on saving


@dataclass(frozen=True)
class FileEntry:
    """One audio file. `path` is relative, as the operating system gives it; `size` and `mtime_ns` are its stamp.

    `content` is the SHA-256 of its bytes; each channel has `values` values at `rate_hz`. Unknown fields are empty or 0.
    `problem` says why the file has no labels; `missing`, of one that is cut off and labeled anyway, how much is there.
    """

    path: str
    size: int = -1
    mtime_ns: int = -1
    content: str = ""
    values: int = 0
    rate_hz: int = 0
    problem: str = ""
    missing: str = ""


class Manifest:
    """The files of a folder in order; entry `n` has the id `n + 1`. Thread-safe.

    `unreadable` maps each folder that could not be listed to the reason.
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
        self._positions = {entry.path: position for position, entry in enumerate(self.entries)}
        self._lock = threading.Lock()
        self._save_lock = threading.Lock()
        self._clock = clock
        self._due = clock() + SAVE_EVERY_S

    def with_files(
        self,
        files: Iterable[str],
        unreadable: dict[str, str],
        is_unchanged: Callable[[FileEntry], bool],
        allow_truncated: bool = False,
    ) -> Manifest:
        """Return a manifest of `files`, in this order, with this one's entries for unchanged files.

        Entries of files that are cut off are dropped unless `allow_truncated`.
        """
        usable = (one for one in self.entries if not one.problem and (allow_truncated or not one.missing))
        known = {entry.path: entry for entry in usable if is_unchanged(entry)}
        return Manifest(self.path, [known.get(path, FileEntry(path)) for path in files], unreadable, self._clock)

    def get_entry(self, recording_id: int) -> FileEntry:
        return self.entries[recording_id - 1]

    def put(self, entry: FileEntry) -> None:
        with self._lock:
            self.entries[self._positions[entry.path]] = entry

    def mark_failed(self, recording_id: int, problem: str) -> None:
        """Note why a file has no labels, and forget its stamp and content, which may have changed."""
        self.put(FileEntry(self.get_entry(recording_id).path, problem=problem))

    def save_if_due(self) -> None:
        """Save unless a save is recent or under way. Ignore failures: the `save` at the end raises them."""
        if self._clock() < self._due or not self._save_lock.acquire(blocking=False):
            return
        try:
            started = self._clock()
            with contextlib.suppress(OSError):
                self._write()
            now = self._clock()
            self._due = now + max(SAVE_EVERY_S, (now - started) / SAVE_SHARE)
        finally:
            self._save_lock.release()

    def save(self) -> None:
        """Write the manifest. Raise OSError."""
        with self._save_lock:
            self._write()

    def _write(self) -> None:
        with self._lock:
            entries = list(self.entries)
        files = ",\n".join(json.dumps(_to_json(entry)) for entry in entries)
        folders = json.dumps(self.unreadable)
        # ASCII keeps bytes of a name that are not UTF-8, as escaped lone surrogates.
        write_atomic(self.path, f'{{"version": {VERSION}, "unreadable": {folders}, "files": [\n{files}\n]}}\n')


def load_manifest(path: Path, warn: Callable[[str], None]) -> Manifest:
    """Return the manifest at `path`; an empty one, after a warning unless the file is missing, if it can't be read."""
    try:
        content = json.loads(read_text(path))
        if content["version"] not in (1, VERSION):
            raise ValueError(f"its version is {content['version']!r}; expected {VERSION}")
        unreadable = {str(folder): str(reason) for folder, reason in content["unreadable"].items()}
        entries = [_from_json(file) for file in content["files"]]
        if content["version"] == 1:
            entries = [one if get_ending(one.path) in READ_WHOLE else FileEntry(one.path) for one in entries]
        return Manifest(path, entries, unreadable)
    except FileNotFoundError:
        return Manifest(path)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        warn(f"{path} can't be used ({error}); reading all files again")
        return Manifest(path)


def _to_json(entry: FileEntry) -> dict[str, Any]:
    known = {name: value for name, value in vars(entry).items() if value not in ("", 0, -1)}
    if entry.content:
        known["duration_s"] = round(entry.values / entry.rate_hz, 6) if entry.rate_hz else 0.0
    return known


def _from_json(fields: dict[str, Any]) -> FileEntry:
    fields.pop("duration_s", None)
    for name, value in fields.items():
        if type(value) is not (str if name in ("path", "content", "problem", "missing") else int):
            raise ValueError(f"{name} is {value!r}, which has the wrong type")
    return FileEntry(**fields)


class ManifestReporter:
    """Pass every report on to `reporter`, and note in `manifest` why a recording failed."""

    def __init__(self, reporter: Reporter, manifest: Manifest) -> None:
        self._reporter, self._manifest = reporter, manifest
        self.report_labeled = reporter.report_labeled
        self.report_skipped = reporter.report_skipped
        self.report_batch = reporter.report_batch

    def report_failed(self, recording_id: int, reason: str, name: str = "") -> None:
        self._manifest.mark_failed(recording_id, reason)
        self._reporter.report_failed(recording_id, reason, format_path(self._manifest.get_entry(recording_id).path))
