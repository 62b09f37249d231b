"""Read the colors that a local Studio has given to the labels of a folder, so that reports use them, too."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from urllib.parse import quote

from block.palette import PALETTE

STATE = ".local-studio"  # how the names of all begin that a local Studio writes into a folder
DATABASE = f"{STATE}.sqlite3"


def read_project_colors(folder: Path) -> dict[str, int]:
    """Return the number of each label's color. Empty if no local Studio has served the folder, or can't be read."""
    path = folder / DATABASE
    if path.is_symlink() or not path.is_file():
        return {}
    # A log beside it means that a local Studio is at work. Otherwise, leave no new files behind.
    mode = "mode=ro" if path.with_name(f"{DATABASE}-wal").exists() else "immutable=1"
    try:
        with contextlib.closing(sqlite3.connect(f"file:{quote(str(path.resolve()))}?{mode}", uri=True)) as database:
            rows = database.execute("SELECT label, color FROM label_colors").fetchall()
    except sqlite3.Error:
        return {}
    return {str(label): color for label, color in rows if color in range(len(PALETTE))}
