"""The files of jobs in a project's folder, in ``.local-studio/jobs/ID/``, and the lock that one job at a time holds.

The ids that the block is given, what it was called with, its log, what it says about recordings, and how many of them
were done when it ended. The name begins with a dot: no scan for recordings looks into it.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

STATE_FOLDER = ".local-studio"
IDS, COMMAND, LOG, DETAILS, DONE = "ids.json", "command.txt", "log.txt", "details.jsonl", "done.txt"


class JobFiles:
    """The files of jobs of the project in `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._state = root / STATE_FOLDER

    def lock(self) -> int:
        """Take the lock; return the descriptor that holds it. Raises BlockingIOError if another has it, OSError."""
        if not self._state.resolve().is_relative_to(self._root):
            raise OSError(f"{STATE_FOLDER} leads out of the project's folder")
        self._state.mkdir(exist_ok=True)
        lock = os.open(self._state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise
        return lock

    def make(self, job_id: int, sample_ids: Sequence[int]) -> None:
        """Make a folder for a new job, with its ids. Raises OSError."""
        self.remove(job_id)  # of a job of that id in a database that is gone
        folder = self._folder(job_id)
        if not folder.parent.resolve().is_relative_to(self._root):
            raise OSError(f"{STATE_FOLDER}/jobs leads out of the project's folder")
        folder.mkdir(parents=True)
        self.path_of(job_id, IDS).write_text(json.dumps({"ids": list(sample_ids)}), encoding="utf-8")

    def remove(self, job_id: int) -> None:
        """Remove what there is of a job."""
        shutil.rmtree(self._folder(job_id), ignore_errors=True)

    def path_of(self, job_id: int, name: str) -> Path:
        """Return the path of a job's file `name`, such as `IDS`."""
        return self._folder(job_id) / name

    def write_command(self, job_id: int, command: str) -> None:
        """Keep the command line. Raises OSError."""
        self.path_of(job_id, COMMAND).write_text(command, encoding="utf-8", errors="replace")

    def read_command(self, job_id: int) -> str:
        """Return the command line, an empty one if it is not known any more."""
        return self._read(job_id, COMMAND)

    def write_done(self, job_id: int, count: int) -> None:
        """Keep how many recordings were done. Raises OSError."""
        self.path_of(job_id, DONE).write_text(str(count), encoding="utf-8")

    def read_done(self, job_id: int) -> int | None:
        """Return how many recordings were done when the job ended; None if that is not known any more."""
        text = self._read(job_id, DONE)
        return int(text) if text.isdecimal() else None

    def _read(self, job_id: int, name: str) -> str:
        try:
            return self.path_of(job_id, name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return ""

    def _folder(self, job_id: int) -> Path:
        return self._state / "jobs" / str(job_id)
