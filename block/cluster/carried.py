"""Scores on their way: what the driver's store holds can be asked for, what is new goes back with the outcomes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection

from block.score_store import Key, Scored


class CarriedScores:
    """Stands for the driver's score store in a worker. May be used from several threads.

    `held` are the contents that were there when the run began; `ask` brings one of them here.
    """

    def __init__(
        self, key: Key, class_names: tuple[str, ...], held: Collection[str], ask: Callable[[str], Scored | None]
    ) -> None:
        self.key = key
        self.class_names = class_names
        self._held = held
        self._ask = ask
        self._new: dict[str, Scored] = {}
        self._lock = threading.Lock()

    def find(self, content: str) -> Scored | None:
        """What is held of a file, or was computed in this chunk."""
        with self._lock:
            new = self._new.get(content)
        if new is not None:
            return new
        return self._ask(content) if content in self._held else None

    def add(self, scored: Scored) -> None:
        """Carry it back."""
        with self._lock:
            self._new[scored.content] = scored

    def new(self, content: str) -> Scored | None:
        """What was computed of a file in this chunk."""
        with self._lock:
            return self._new.get(content)
