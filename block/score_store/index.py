"""Where each recording of a key is, among the shards of a folder; the logits stay on the disk until they are read."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from block.score_store import shelf
from block.score_store.key import Key
from block.score_store.scored import Scored
from block.score_store.shard import Shard, ShardError

GROUPS_KEPT = 4


@dataclass(frozen=True, slots=True)
class Place:
    """A recording's row, the `at`-th of a row group, and how many pieces it has."""

    shard: Shard
    group: int
    at: int
    pieces: int


class Index:
    """What the shards of `folder` with `key` and `class_names` hold. `warn` is told of files that are passed over.

    Of a recording that is there twice, the row with more pieces counts; of equals the first in the order of writing.
    Not to be used by two threads at once.
    """

    def __init__(self, folder: Path, key: Key, class_names: tuple[str, ...], warn: Callable[[str], None]) -> None:
        self.folder, self.key, self.class_names = folder, key, class_names
        self._warn = warn
        self.places: dict[str, Place] = {}
        self._recent: dict[tuple[Path, int], list[Scored]] = {}
        self._read_all()

    def find(self, content: str) -> Scored | None:
        """The recording's row; None where there is none, or none that can be read any more."""
        while (place := self.places.get(content)) is not None:
            if (rows := self._rows(place)) is not None:
                return rows[place.at]
        return None

    def pieces(self, content: str) -> int:
        """How many pieces are there of a recording; -1 where it is not."""
        place = self.places.get(content)
        return -1 if place is None else place.pieces

    def in_order(self, contents: Collection[str]) -> list[str]:
        """Those of `contents` that are here, in the order in which they are read fastest."""
        here = [(place, content) for content in contents if (place := self.places.get(content)) is not None]
        here.sort(key=lambda one: (one[0].shard.path.name, one[0].group, one[0].at))
        return [content for _, content in here]

    def take_in(self, shard: Shard) -> None:
        """Know the rows of a shard, as the last one written."""
        for group in range(shard.groups):
            for at, row in enumerate(shard.rows(group)):
                if self.pieces(shard.contents[row]) < shard.pieces[row]:
                    self.places[shard.contents[row]] = Place(shard, group, at, shard.pieces[row])
        shard.forget_rows()

    def _read_all(self) -> None:
        self.places, self._recent = {}, {}
        for path in shelf.shards(self.folder):
            try:
                shard = Shard(path)
            except ShardError as error:
                if path.exists():  # else it was merged into another since the folder was listed
                    self._pass_over(path, str(error))
                continue
            if shard.head.key != self.key:
                continue
            if shard.head.class_names != self.class_names:
                self._pass_over(path, "its classes have other names than those of the checkpoint")
                continue
            self.take_in(shard)

    def _pass_over(self, path: Path, reason: str) -> None:
        self._warn(f"the score store's file {path} is ignored: {reason}")

    def _rows(self, place: Place) -> list[Scored] | None:
        """The rows of a row group, the last few kept. None where they cannot be read: they are forgotten then."""
        shard, name = place.shard, (place.shard.path, place.group)
        if name in self._recent:
            return self._recent[name]
        try:
            rows = shard.read(place.group)
        except ShardError as error:
            if shard.path.exists():
                self._pass_over(shard.path, str(error))
                self.places = {content: other for content, other in self.places.items() if other.shard is not shard}
            else:
                self._read_all()  # another process has merged it into another
            return None
        if len(self._recent) >= GROUPS_KEPT:
            self._recent.pop(next(iter(self._recent)))
        self._recent[name] = rows
        return rows
