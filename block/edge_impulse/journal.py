"""Record which recordings of a project a job has labeled, in a file of JSON lines that a run appends to.

    {"run": {"endpoint": …, "project": 1, "job": "4f0c…", "proposed": null}}     a run starts or resumes
    {"labeled": 17}                                                              Studio accepted the labels
    {"labeled": 18, "mode": "fast merged"}                                       the same, with labels from fast mode
    {"fell_back": true}                                                          fast mode fell back to exact mode
    {"ended": true}                                                              the run was completed

A run skips what an interrupted run with the same `run` line has labeled. After a completed run, someone may change the
labels in Studio, so a later run asks Studio instead. Proposals belong to one preview, so no one else can change them.

Incomplete lines, left by a kill or a full disk, are ignored. If writing fails, the user is warned once and the run
continues without a journal. A lock keeps other runs out, if the file system supports locks.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from block.labeling.interfaces import RecordingLabeler, Sink
from block.recording import LabeledRecording
from block.settings import EXACT, SettingsError

SYNC_EVERY_S = 5.0  # a kill loses nothing that was written; a power failure may lose this much
NAME = "journal.jsonl"  # of the file in a score store
BEGIN = b'{"run": '
TARGET = ("endpoint", "project", "proposed")


class Journal:
    """The journal at `path`, opened for the run that `run` describes. Raise SettingsError if it can't be used.

    `done` are the recordings that need no labels; those in `fast_done` have labels from fast mode. `has_fallen_back` is
    True if fast mode fell back to exact mode. `warn` is called once if writing fails. Several threads may call `add`.
    """

    def __init__(self, path: Path, run: Mapping[str, Any], warn: Callable[[str], None]) -> None:
        self.path = path
        self._warn = warn
        self._lock = threading.Lock()
        self._is_closed = False
        self.has_fallen_back = False
        self._synced_at = time.monotonic()
        with contextlib.ExitStack() as on_error:
            try:
                self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK, 0o644)
                on_error.callback(os.close, self._file)
                if not stat.S_ISREG(os.fstat(self._file).st_mode):
                    raise SettingsError(f"the journal {path} is not a regular file; choose another path")
                self._lock_file()
                with open(self._file, "rb", closefd=False) as file:
                    content = file.read()
                done = self._read_done(content, dict(run))
                self.done, self.fast_done = set(done), {one for one, mode in done.items() if mode != EXACT}
                # If the last line is incomplete, start a new one.
                begin = "" if not content or content.endswith(b"\n") else "\n"
                self._write(begin + json.dumps({"run": dict(run)}) + "\n")
            except OSError as error:
                raise SettingsError(f"can't write the journal {path}: {error.strerror or error}") from None
            on_error.pop_all()

    def add(self, recording_id: int, mode: str = EXACT, has_fallen_back: bool = False) -> None:
        """Record that Studio accepted the labels of a recording, in this mode, and whether fast mode fell back."""
        if has_fallen_back and not self.has_fallen_back:
            self.has_fallen_back = True
            self._append({"fell_back": True})
        self._append({"labeled": recording_id, **({"mode": mode} if mode != EXACT else {})})

    def end(self) -> None:
        """Record that the run was completed: it reached every recording."""
        self._append({"ended": True})

    def close(self) -> None:
        with self._lock:
            if not self._is_closed:
                with contextlib.suppress(OSError):
                    os.fsync(self._file)
            self._is_closed = True
            os.close(self._file)

    def _lock_file(self) -> None:
        """Lock the file until the process ends, however it ends. Raise SettingsError if another run holds the lock."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SettingsError(f"another run is using the journal {self.path}; wait until it ends") from None
        except OSError:
            pass  # some mounted buckets have no locks; then other runs are not kept out

    def _read_done(self, content: bytes, run: dict[str, Any]) -> dict[int, str]:
        """Return the recordings labeled by earlier runs equal to `run` that still count as done, with their modes."""
        lines = [_parse(line) for line in content.split(b"\n")]
        if not any("run" in line for line in lines) and content[: len(BEGIN)] != BEGIN[: len(content)]:
            raise SettingsError(
                f"{self.path} is not a journal; expected lines of JSON, the first starting with {BEGIN.decode()!r}"
            )
        done: dict[int, str] = {}
        is_same_run = is_same_target = False
        for line in lines:
            if isinstance(other := line.get("run"), dict):
                is_same_run = other == run
                is_same_target = all(other.get(name) == run.get(name) for name in TARGET)
            elif isinstance(labeled := line.get("labeled"), int):
                # If another job labeled the recording since, it replaced our labels.
                if is_same_run:
                    done[labeled] = str(line.get("mode", EXACT))
                elif is_same_target:
                    done.pop(labeled, None)
            elif is_same_run and "fell_back" in line:
                self.has_fallen_back = True
            elif is_same_run and "ended" in line and run.get("proposed") is None:
                done.clear()
                self.has_fallen_back = False
        return done

    def _append(self, line: Mapping[str, Any]) -> None:
        with self._lock:
            if self._is_closed:
                return
            try:
                self._write(json.dumps(line) + "\n")
                if time.monotonic() - self._synced_at >= SYNC_EVERY_S:
                    os.fsync(self._file)
                    self._synced_at = time.monotonic()
                return
            except OSError as error:
                self._is_closed = True
                reason = error.strerror or str(error)
        self._warn(
            f"can't write the journal {self.path} any longer: {reason}; continuing without it; a later run will ask "
            f"Studio what is already done"
        )

    def _write(self, text: str) -> None:
        data = text.encode()
        written = os.write(self._file, data)
        if written != len(data):
            raise OSError(f"only {written} of {len(data)} bytes were written; the disk may be full")


@dataclass(frozen=True)
class JournaledSink:
    """A sink that records in `journal` what `sink` accepted, and whether `labeler` fell back to exact mode."""

    sink: Sink
    journal: Journal
    labeler: RecordingLabeler

    def write(self, labeled: LabeledRecording) -> LabeledRecording:
        written = self.sink.write(labeled)
        self.journal.add(labeled.id, labeled.mode, self.labeler.has_fallen_back)
        return written

    def give_up(self, recording_id: int) -> None:
        self.sink.give_up(recording_id)


def _parse(line: bytes) -> dict[str, Any]:
    """Return the content of a line; an empty dict if it is incomplete."""
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
