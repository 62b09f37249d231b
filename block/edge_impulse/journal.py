"""Which recordings of a project a job has labelled: a file of JSON lines that a run appends to.

    {"run": {"endpoint": …, "project": 1, "job": "4f0c…", "proposed": null}}     a run begins, or begins again
    {"labeled": 17}                                                              its labels were taken
    {"ended": true}                                                              the run came to its end

A run that begins where one with the same first line was cut off takes what that one labelled as done. What a run that
came to its end has labelled may have been changed in Studio since: a later run asks there. Proposals belong to one
preview and are nobody else's: for them, that does not matter.

A line that is cut off, by a kill or by a full disk, is no line. A journal that cannot be written any more is told of
once, and the run goes on without it. One run at a time writes to a journal, where the file system knows locks.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from block.labeling.interfaces import Sink
from block.recording import LabeledRecording
from block.settings import SettingsError

SYNC_EVERY_S = 5.0  # a kill loses nothing that was written; a power cut may lose this much
NAME = "journal.jsonl"  # in a score store
BEGIN = b'{"run": '
TARGET = ("endpoint", "project", "proposed")


class Journal:
    """The journal at `path`, opened for the run that `run` describes. Raises SettingsError where it cannot be used.

    `done` are the recordings that need not be looked at. `warn` is told if it can no longer be written. `labeled` may
    be called from several threads.
    """

    def __init__(
        self,
        path: Path,
        run: Mapping[str, Any],
        warn: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = path
        self._warn = warn
        self._clock = clock
        self._lock = threading.Lock()
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK, 0o644)
        except OSError as error:
            raise self._refusal(error) from None
        self._broken = False
        self._synced = clock()
        try:
            if not stat.S_ISREG(os.fstat(self._file).st_mode):
                raise SettingsError(f"the journal {path} is no file")
            self._lock_file()
            with open(self._file, "rb", closefd=False) as file:
                content = file.read()
            self.done = self._done(content, dict(run))
            # Where a line was cut off, the next begins on one of its own.
            begin = "" if not content or content.endswith(b"\n") else "\n"
            self._write(begin + json.dumps({"run": dict(run)}) + "\n")
        except OSError as error:
            os.close(self._file)
            raise self._refusal(error) from None
        except SettingsError:
            os.close(self._file)
            raise

    def labeled(self, recording_id: int) -> None:
        """Studio has taken the labels of a recording."""
        self._note({"labeled": recording_id})

    def ended(self) -> None:
        """The run came to its end: nothing was left out."""
        self._note({"ended": True})

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            if not self._broken:
                with contextlib.suppress(OSError):
                    os.fsync(self._file)
            self._broken = True
            os.close(self._file)

    def _refusal(self, error: OSError) -> SettingsError:
        return SettingsError(f"the journal {self.path} cannot be written: {error.strerror or error}")

    def _lock_file(self) -> None:
        """Raises SettingsError while another run has the journal. The system lets go of it however a process ends."""
        try:
            import fcntl

            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SettingsError(f"another run is writing to the journal {self.path}; wait until it has ended") from None
        except (ImportError, OSError):
            pass  # some mounted buckets know no locks; then nobody is kept out

    def _done(self, content: bytes, run: dict[str, Any]) -> set[int]:
        """What runs like `run` have labelled, as far as that still counts."""
        lines = [_line(line) for line in content.split(b"\n")]
        if not any("run" in line for line in lines) and content[: len(BEGIN)] != BEGIN[: len(content)]:
            raise SettingsError(
                f"{self.path} is not a journal: expected lines of JSON, the first beginning with {BEGIN!r}"
            )
        done: set[int] = set()
        ours = over_ours = False
        for line in lines:
            if isinstance(of := line.get("run"), dict):
                ours = of == run
                over_ours = all(of.get(name) == run.get(name) for name in TARGET)
            elif isinstance(labeled := line.get("labeled"), int):
                # Another job that labelled a recording since has put its own labels in the place of ours.
                if ours:
                    done.add(labeled)
                elif over_ours:
                    done.discard(labeled)
            elif ours and "ended" in line and run.get("proposed") is None:
                done.clear()
        return done

    def _note(self, line: Mapping[str, Any]) -> None:
        with self._lock:
            if self._broken:
                return
            try:
                self._write(json.dumps(line) + "\n")
                if self._clock() - self._synced >= SYNC_EVERY_S:
                    os.fsync(self._file)
                    self._synced = self._clock()
                return
            except OSError as error:
                self._broken = True
                reason = error.strerror or str(error)
        self._warn(
            f"the journal {self.path} cannot be written any more: {reason}; going on without it, and a run after this "
            f"one asks Studio what is done"
        )

    def _write(self, text: str) -> None:
        data = text.encode()
        written = os.write(self._file, data)
        if written != len(data):
            raise OSError(f"{written} of {len(data)} bytes were written: the disk may be full")


@dataclass(frozen=True)
class JournaledSink:
    """A sink that notes in `journal` what `sink` has taken."""

    sink: Sink
    journal: Journal

    def write(self, labeled: LabeledRecording) -> None:
        """As the sink's."""
        self.sink.write(labeled)
        self.journal.labeled(labeled.id)

    def give_up(self, recording_id: int) -> None:
        """As the sink's."""
        self.sink.give_up(recording_id)


def _line(line: bytes) -> dict[str, Any]:
    """What a line says; nothing where it is cut off."""
    try:
        read = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}
