"""Check that a file can be written before a run starts, rather than after hours."""

from __future__ import annotations

import os

from block.settings import SettingsError


def check_writable(option: str, path: str) -> None:
    """Raise SettingsError if a file can't be written at the `path` given as `option`."""
    is_new = not os.path.lexists(path)
    try:
        # O_NONBLOCK: don't wait for the reader of a pipe.
        os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o666))
        if is_new:
            os.unlink(path)  # if nothing can start, don't leave an empty file, which is not a valid ids file
    except OSError as error:
        raise SettingsError(f"can't write {option} {path}: {error.strerror or error}") from None
