"""Files that earlier runs wrote into a folder, as a list in it says. Others are never touched."""

from __future__ import annotations

import contextlib
from pathlib import Path, PurePosixPath

from block.runtime.atomic_file import temporary_path


def is_inside(name: str) -> bool:
    """Return True if a relative path stays inside its folder. A list may be damaged, or come from someone else."""
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and bool(path.parts)


def remove_file(folder: Path, name: str) -> None:
    """Remove the file `name` below `folder`, what is left of writing it, and folders that are empty now."""
    path = folder / name
    path.unlink(missing_ok=True)
    temporary_path(path).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # a folder isn't empty
        for parent in path.parents:
            if parent == folder:
                return
            parent.rmdir()
