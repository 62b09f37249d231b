"""The files of jobs, in ``.local-studio/jobs/ID/`` in a project's folder, and the lock that only one job can hold.

``.local-studio/scores`` has the scores of all jobs. The files of a job are the ids for the block, its command line, its
log, its details, and the number of recordings that were done at the end. The folder's name begins with a dot, so scans
for recordings skip it.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from block.folder.project_colors import STATE
from block.runtime.regular_file import read_text

FETCH_LOG = "models-fetch.txt"
IDS, COMMAND, LOG, DETAILS, DONE = "ids.json", "command.txt", "log.txt", "details.jsonl", "done.txt"
SCORES = "scores"


class JobFiles:
    """The files of the jobs of the project in `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._state = root / STATE

    def lock(self) -> int:
        """Take the lock, and return its file descriptor. Raise BlockingIOError if it's taken, or another OSError."""
        lock = os.open(self.state_path("lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise
        return lock

    def state_path(self, name: str) -> Path:
        """Return the path of a file that isn't of one job, after making its folder. Raise OSError."""
        if not self._state.resolve().is_relative_to(self._root):
            raise OSError(f"{STATE} is a link out of the project's folder")
        self._state.mkdir(exist_ok=True)
        return self._state / name

    def find_scores(self) -> Path:
        """Return the folder for the scores of all jobs, which may not exist yet. Raise OSError."""
        folder = self.state_path(SCORES)
        if not folder.resolve().is_relative_to(self._root):
            raise OSError(f"{STATE}/{SCORES} is a link out of the project's folder")
        return folder

    def make(self, job_id: int, sample_ids: Sequence[int]) -> None:
        """Create the folder of a new job, with the ids file. Raise OSError."""
        self.remove(job_id)  # left by a job with this id in a deleted database
        folder = self.path_of(job_id)
        if not folder.parent.resolve().is_relative_to(self._root):
            raise OSError(f"{STATE}/jobs is a link out of the project's folder")
        folder.mkdir(parents=True)
        self.write(job_id, IDS, json.dumps({"ids": list(sample_ids)}))

    def remove(self, job_id: int) -> None:
        """Delete all files of a job."""
        shutil.rmtree(self.path_of(job_id), ignore_errors=True)

    def path_of(self, job_id: int, name: str = "") -> Path:
        """Return the path of a job's file `name`, such as `IDS`, or of its folder if there is no name."""
        return self._state / "jobs" / str(job_id) / name

    def write(self, job_id: int, name: str, text: str) -> None:
        """Write a job's file `name`. Raise OSError."""
        self.path_of(job_id, name).write_text(text, encoding="utf-8", errors="replace")

    def read(self, job_id: int, name: str) -> str:
        """Return the text of a job's file `name`, or an empty string if it can't be read."""
        try:
            return read_text(self.path_of(job_id, name))
        except (OSError, ValueError):
            return ""
