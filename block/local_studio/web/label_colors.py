"""Choose a color for each label of a project: it stays, color-blind people can tell it apart, and other is gray.

Labels get the colors of `block.palette` in the order in which pages first show them, and keep them. Only a project with
more than eight labels uses a color twice.
"""

from __future__ import annotations

import sqlite3
import threading

from block.local_studio.data.store import SampleStore
from block.palette import GRAY, choose_color

DEFAULT_OTHER = "other"
OTHER_QUERY = "SELECT 1 FROM jobs WHERE json_extract(parameters, '$.\"other-label\"') = ? LIMIT 1"


class LabelColors:
    """The colors of the labels in the project of `store`. `other` is the block's own other label. Thread-safe."""

    def __init__(self, store: SampleStore, other: str = DEFAULT_OTHER) -> None:
        self._store = store
        self._other = other
        self._lock = threading.Lock()
        self._colors = {str(row["label"]): int(row["color"]) for row in store.read("SELECT * FROM label_colors")}

    def __call__(self, label: str) -> int:
        """Return the number of a label's color, 0 to `GRAY`: always the same for one label."""
        with self._lock:
            if label not in self._colors:
                self._colors[label] = color = self._choose(label)
                try:
                    with self._store.transaction() as db:
                        db.execute("INSERT OR IGNORE INTO label_colors VALUES (?, ?)", (label, color))
                except (sqlite3.Error, UnicodeEncodeError):
                    pass  # on a full disk, it lasts as long as the server
            return self._colors[label]

    def _choose(self, label: str) -> int:
        if label == self._other or self._store.read(OTHER_QUERY, label):
            return GRAY
        return choose_color(self._colors.values())
