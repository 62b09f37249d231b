"""Which recordings were computed together, so that a run that was killed can compute them together again.

Sums of floats depend on their order, and with it on how many windows share a forward pass: alone, a window's logits
differ in the last digits, and a written score could round the other way. So a group of recordings of which only a part
came to the store is computed again as a whole, and a run that was interrupted ends with the same scores as one that
was not. The groups of a run are appended to a journal, each before anything of it can be stored; a run that was not
cut short removes it. This is for exact mode: in fast mode, what is computed which way depends on the run's past.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Group:
    """Recordings that shared forward passes, by path, and the contents among them that the store did not hold."""

    paths: tuple[str, ...]
    computed: tuple[str, ...]


class Journal:
    """The groups of the runs on one folder since the last that was not cut short. `path` is where they are written."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def note(self, group: Group) -> None:
        """Append a group. What a process wrote outlives it, so nothing waits for the disk.

        Where that fails the run goes on: it could at worst not be repeated to the last digit.
        """
        line = json.dumps({"paths": group.paths, "computed": group.computed})
        with contextlib.suppress(OSError), self.path.open("a", encoding="ascii") as file:
            # The line before may have been cut short.
            file.write(f"\n{line}\n")

    def partial(self, stored: Collection[str]) -> list[Group]:
        """The groups of which `stored`, contents, holds some and lacks some. A content counts where it came last."""
        latest: dict[str, Group] = {}
        for group in self._read():
            latest.update(dict.fromkeys(group.computed, group))
        groups = dict.fromkeys(latest.values())
        return [group for group in groups if 0 < sum(one in stored for one in group.computed) < len(group.computed)]

    def end(self) -> None:
        """The run was not cut short."""
        self.path.unlink(missing_ok=True)

    def _read(self) -> Iterable[Group]:
        try:
            lines = self.path.read_text(encoding="ascii", errors="replace").splitlines()
        except FileNotFoundError:
            return
        for line in lines:
            try:
                content = json.loads(line)
                yield Group(tuple(content["paths"]), tuple(content["computed"]))
            except (ValueError, KeyError, TypeError):
                continue  # cut short: nothing of that group was computed
