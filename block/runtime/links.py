"""Find symbolic links that lead out of a folder, which someone else may have put there."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def find_link_out(root: Path, tops: Iterable[Path]) -> Path | None:
    """Return a link that leads out of the folder `root`: one of `tops` or of what is below them. None if none does."""
    inside = os.path.realpath(root)
    for top in tops:
        below = (Path(folder, name) for folder, subfolders, names in os.walk(top) for name in (*subfolders, *names))
        for path in (top, *below):
            if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(inside):
                return path
    return None
