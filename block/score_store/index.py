"""Where each recording of a key is, among the shards of a folder; the logits stay on the disk until they are read."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from block.score_store import index
from block.score_store.records import Key, Scored
from block.score_store.shard import PREFIX, SUFFIX, TEMPORARY, Shard, ShardError, ShardHead, need_pyarrow, read_head
from block.settings import SettingsError

GROUPS_KEPT = 4


@dataclass(frozen=True, slots=True)
class ShardRow:
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
        self.places: dict[str, ShardRow] = {}
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
                    self.places[shard.contents[row]] = ShardRow(shard, group, at, shard.pieces[row])
        shard.forget_rows()

    def _read_all(self) -> None:
        self.places, self._recent = {}, {}
        for path in index.shards(self.folder):
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

    def _rows(self, place: ShardRow) -> list[Scored] | None:
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


def check_folder(folder: Path) -> None:
    """Raises SettingsError where `folder`, made if there is none, cannot be written, or where pyarrow is missing."""
    need_pyarrow()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        trial = folder / f"{PREFIX}trial-{uuid.uuid4().hex}"
        trial.write_bytes(b"")
        trial.unlink()
    except OSError as error:
        raise SettingsError(f"the score store {folder} cannot be written: {error.strerror or error}") from None


def shards(folder: Path) -> list[Path]:
    """The files that may be shards, in the order in which they were written, by their names."""
    named = [path for path in _files(folder) if path.name.endswith(SUFFIX)]
    return sorted(named, key=lambda path: (path.name.removeprefix(PREFIX).partition("-")[2], path.name))


def unfinished(folder: Path) -> list[str]:
    """Names of files that are being written, or never were to their end."""
    return sorted(path.name for path in _files(folder) if path.name.endswith(TEMPORARY))


def digest(path: Path) -> str:
    """The key's digest in a shard's name; whether that is the key, its head says."""
    return path.name.removeprefix(PREFIX).partition("-")[0]


def head(path: Path) -> ShardHead | None:
    """A shard's head; None if it is no shard."""
    try:
        return read_head(path)
    except ShardError:
        return None


def _files(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.name.startswith(PREFIX)]
    except OSError as error:
        raise SettingsError(f"the score store {folder} cannot be read: {error.strerror or error}") from None
