"""While a folder is served: find new and changed files, and say when another server works on the same folder.

Each server has a file with its address in `.local-studio/servers/`, which it keeps locked until it ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from block.folder.project_colors import STATE
from block.formatting import print_warning
from block.local_studio.data.project import LocalProject
from block.runtime.regular_file import open_regular

EVERY_S = 5.0  # between two looks at the folder
SHARE = 20  # the time between two looks is at least so many times the time that one takes


class Presence:
    """The mark of one server in the folder `root`, until `close`. Raise OSError if it can't be made."""

    def __init__(self, root: Path, url: str) -> None:
        self._folder = root / STATE / "servers"
        self._folder.mkdir(parents=True, exist_ok=True)
        while True:
            self._path = self._folder / f"{os.getpid()}-{time.time_ns()}"
            self._file = self._path.open("x", encoding="utf-8")
            self._file.write(url)
            self._file.flush()
            fcntl.flock(self._file, fcntl.LOCK_EX)
            if self._path.exists():
                break
            self._file.close()  # another server found it before it was locked, and removed it as that of a killed one
        self._returned = {self._path}

    def find_others(self) -> list[str]:
        """Return the addresses of other servers on the folder that weren't returned before."""
        found = []
        for path in set(self._folder.iterdir()) - self._returned:
            with contextlib.suppress(OSError), open_regular(path) as file:
                if _is_locked(file):
                    found.append(file.read(200).decode("utf-8", "replace"))
                    self._returned.add(path)
                else:
                    path.unlink()  # its server was killed
        return sorted(found)

    def close(self) -> None:
        """Remove the mark."""
        self._path.unlink(missing_ok=True)
        self._file.close()


def _is_locked(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


@contextmanager
def watching(project: LocalProject, url: str, every_s: float = EVERY_S) -> Iterator[None]:
    """Look at the folder now and then, in a thread, until the context ends."""
    stop = threading.Event()
    presence = Presence(project.root, url)

    def look() -> None:
        for other in presence.find_others():
            print_warning(
                f"another local Studio serves this folder, at {other}: both show the same labels, and only one of them "
                "can run an action at a time"
            )
        project.scan(print_warning, retry=False)

    def keep_looking() -> None:
        wait_s = every_s
        while not stop.wait(wait_s):
            started = time.monotonic()
            with contextlib.suppress(OSError, sqlite3.Error):  # a file that has just gone, or a full disk: next time
                look()
            wait_s = max(every_s, SHARE * (time.monotonic() - started))

    with contextlib.suppress(OSError, sqlite3.Error):
        look()
    thread = threading.Thread(target=keep_looking, name="watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        presence.close()
