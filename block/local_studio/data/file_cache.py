"""Files that are made when they are first needed: recordings as WAVs, and parts of them."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakValueDictionary

from block.runtime.atomic_file import temporary_path

LIMIT_BYTES = 2 << 30
IN_USE_S = 60.0  # a response that was just given a path has opened the file by then


@dataclass
class _CachedFile:
    size: int
    used_s: float


class FileCache:
    """Files in a temporary folder, which `close`, or the end of the process, removes. Thread-safe.

    The least recently used ones are removed while all files together have more than `limit_bytes`, unless they were
    used within the last minute by `clock`, in seconds.
    """

    def __init__(self, limit_bytes: int = LIMIT_BYTES, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit_bytes = limit_bytes
        self._clock = clock
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._files: dict[str, _CachedFile] = {}  # the least recently used first
        self._making: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()
        self._lock = threading.Lock()

    def close(self) -> None:
        """Remove all files. Don't call anything else afterward."""
        if self._folder is not None:
            self._folder.cleanup()

    def find(self, name: str) -> Path | None:
        """Return the file with this name, or None if it isn't in the cache."""
        with self._lock:
            if self._folder is None or (file := self._files.pop(name, None)) is None:
                return None
            self._files[name] = _CachedFile(file.size, self._clock())
            return Path(self._folder.name, name)

    def get(self, name: str, make: Callable[[Path], None]) -> Path:
        """Return the file with this name. If it isn't there, `make` writes it to the path it is given.

        Other threads that need the same file wait meanwhile. Raise OSError, or what `make` raises.
        """
        with self._lock:
            if self._folder is None:
                self._folder = tempfile.TemporaryDirectory(prefix="local-studio-", ignore_cleanup_errors=True)
            path = Path(self._folder.name, name)
            making = self._making.setdefault(name, threading.Lock())
        with making:
            if (found := self.find(name)) is not None:
                return found
            temporary = temporary_path(path)
            try:
                make(temporary)
                size = temporary.stat().st_size
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)
            with self._lock:
                self._files[name] = _CachedFile(size, self._clock())
                self._remove_oldest(path.parent)
        return path

    def _remove_oldest(self, folder: Path) -> None:
        total = sum(file.size for file in self._files.values())
        for name, file in list(self._files.items()):
            if total <= self._limit_bytes or file.used_s > self._clock() - IN_USE_S:
                return
            del self._files[name]
            (folder / name).unlink(missing_ok=True)
            total -= file.size
