"""Where each recording of a key is among the shards of a folder; logits stay on disk until they are read."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from block.score_store.records import Key, Scored
from block.score_store.shard import PREFIX, SUFFIX, TEMPORARY, Shard, ShardError, ShardHead, need_pyarrow, read_head
from block.settings import SettingsError

GROUPS_KEPT = 4


@dataclass(frozen=True, slots=True)
class ShardRow:
    """A recording's row: its `position` in a row `group` of `shard`, and how many pieces it has."""

    shard: Shard
    group: int
    position: int
    pieces: int


class Index:
    """The rows of shards in `folder` with `key` and `class_names`. `warn` is called for files that are ignored.

    If a recording is there twice, the row with more pieces counts, or else the one that was written first. Not to be
    used by two threads at once.
    """

    def __init__(self, folder: Path, key: Key, class_names: tuple[str, ...], warn: Callable[[str], None]) -> None:
        self.folder, self.key, self.class_names = folder, key, class_names
        self._warn = warn
        self.rows: dict[str, ShardRow] = {}
        self._recent: dict[tuple[Path, int], list[Scored]] = {}
        self._read_all()

    def find(self, content: str) -> Scored | None:
        """Return a recording's scores; None if there are none that can be read."""
        while (row := self.rows.get(content)) is not None:
            if (group := self._read_group(row)) is not None:
                return group[row.position]
        return None

    def count_pieces(self, content: str) -> int:
        """Return how many pieces a recording has here; -1 if it is not here."""
        row = self.rows.get(content)
        return -1 if row is None else row.pieces

    def sort(self, contents: Collection[str]) -> list[str]:
        """Return those of `contents` that are here, in the order that is fastest to read."""
        here = [(row, content) for content in contents if (row := self.rows.get(content)) is not None]
        here.sort(key=lambda one: (one[0].shard.path.name, one[0].group, one[0].position))
        return [content for _, content in here]

    def add(self, shard: Shard) -> None:
        """Add the rows of a shard that was written after all others."""
        for group in range(shard.groups):
            for position, number in enumerate(shard.rows(group)):
                content, pieces = shard.contents[number], shard.pieces[number]
                if self.count_pieces(content) < pieces:
                    self.rows[content] = ShardRow(shard, group, position, pieces)
        shard.forget_rows()

    def _read_all(self) -> None:
        self.rows, self._recent = {}, {}
        for path in list_shards(self.folder):
            try:
                shard = Shard(path)
            except ShardError as error:
                if path.exists():  # else it was merged into another since the folder was listed
                    self._warn_ignored(path, str(error))
                continue
            if shard.head.key != self.key:
                continue
            if shard.head.class_names != self.class_names:
                self._warn_ignored(path, "its classes have other names than those of the checkpoint")
                continue
            self.add(shard)

    def _warn_ignored(self, path: Path, reason: str) -> None:
        self._warn(f"the score store's file {path} is ignored: {reason}")

    def _read_group(self, row: ShardRow) -> list[Scored] | None:
        """Return a row's group, one of the last few without reading. Return None, and forget it, if it is damaged."""
        shard, name = row.shard, (row.shard.path, row.group)
        if name in self._recent:
            return self._recent[name]
        try:
            group = shard.read(row.group)
        except ShardError as error:
            if shard.path.exists():
                self._warn_ignored(shard.path, str(error))
                self.rows = {content: other for content, other in self.rows.items() if other.shard is not shard}
            else:
                self._read_all()  # another process has merged it into another
            return None
        if len(self._recent) >= GROUPS_KEPT:
            self._recent.pop(next(iter(self._recent)))
        self._recent[name] = group
        return group


def check_folder(folder: Path) -> None:
    """Create `folder` if needed. Raise SettingsError if it cannot be written, or without pyarrow."""
    need_pyarrow()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        trial = folder / f"{PREFIX}trial-{uuid.uuid4().hex}"
        trial.write_bytes(b"")
        trial.unlink()
    except OSError as error:
        raise SettingsError(f"the score store {folder} cannot be written: {error.strerror or error}") from None


def read_heads(folder: Path) -> list[ShardHead]:
    """Return one head for each key that `folder` holds, in the order in which they were first written.

    Raise SettingsError if the folder cannot be read, or without pyarrow.
    """
    need_pyarrow()
    heads: dict[str, ShardHead] = {}
    for path in list_shards(folder):
        # The digest in a name spares opening files of keys that were already found; which key it is, the head says.
        if path.name.removeprefix(PREFIX).partition("-")[0] in heads:
            continue
        try:
            head = read_head(path)
        except ShardError:
            continue
        heads.setdefault(head.key.digest, head)
    return list(heads.values())


def list_shards(folder: Path) -> list[Path]:
    """Return the files that may be shards, in the order in which they were written, by their names."""
    shards = [path for path in _list_files(folder) if path.name.endswith(SUFFIX)]
    return sorted(shards, key=lambda path: (path.name.removeprefix(PREFIX).partition("-")[2], path.name))


def list_unfinished(folder: Path) -> list[str]:
    """Return the names of files that are being written, or whose writer was killed."""
    return sorted(path.name for path in _list_files(folder) if path.name.endswith(TEMPORARY))


def _list_files(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.name.startswith(PREFIX)]
    except OSError as error:
        raise SettingsError(f"the score store {folder} cannot be read: {error.strerror or error}") from None
