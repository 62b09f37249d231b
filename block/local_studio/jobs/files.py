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
        folder = self.path_of(job_id)
        if not folder.parent.resolve().is_relative_to(self._root):
            raise OSError(f"{STATE_FOLDER}/jobs leads out of the project's folder")
        folder.mkdir(parents=True)
        self.write(job_id, IDS, json.dumps({"ids": list(sample_ids)}))

    def remove(self, job_id: int) -> None:
        """Remove what there is of a job."""
        shutil.rmtree(self.path_of(job_id), ignore_errors=True)

    def path_of(self, job_id: int, name: str = "") -> Path:
        """Return the path of a job's file `name`, such as `IDS`; without one that of its folder."""
        return self._state / "jobs" / str(job_id) / name

    def write(self, job_id: int, name: str, text: str) -> None:
        """Write a job's file `name`. Raises OSError."""
        self.path_of(job_id, name).write_text(text, encoding="utf-8", errors="replace")

    def read(self, job_id: int, name: str) -> str:
        """Return the text of a job's file `name`; an empty one if it is not there any more."""
        try:
            return self.path_of(job_id, name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return ""
