"""Find the recordings of a key in the shards of a folder; logits stay on disk until they are needed."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Collection
from pathlib import Path

from block.score_store.records import USUAL, Key, Rank, Scored
from block.score_store.shard import PREFIX, Shard, ShardError, ShardHead, ShardRow, list_shards, need_pyarrow, read_head
from block.settings import SettingsError

GROUPS_KEPT = 4  # row groups in memory, the last ones read


class Index:
    """The rows of shards in `folder` with `key` and `class_names`. `warn` is called for files that are ignored.

    If a recording is stored twice, the row of higher rank counts, or else the one that was written first. Not
    thread-safe.
    """

    def __init__(self, folder: Path, key: Key, class_names: tuple[str, ...], warn: Callable[[str], None]) -> None:
        self.folder, self.key, self.class_names = folder, key, class_names
        self._warn = warn
        self.rows: dict[str, ShardRow] = {}
        self._known_others: set[str] = set()
        self._read_group = functools.lru_cache(GROUPS_KEPT)(Shard.read)
        self._read_all()

    def find(self, content: str) -> Scored | None:
        """Return a recording's scores; None if there are none, or only damaged ones."""
        while (row := self.rows.get(content)) is not None:
            try:
                return self._read_group(row.shard, row.group)[row.position]
            except ShardError as error:
                if row.shard.path.exists():
                    self._warn_ignored(row.shard.path, str(error))
                    self.rows = {name: other for name, other in self.rows.items() if other.shard is not row.shard}
                else:
                    self._read_all()  # another process has merged it into another shard
        return None

    def get_rank(self, content: str) -> Rank:
        """Return the rank of a recording's scores, lower than any other if there are none."""
        row = self.rows.get(content)
        return Rank() if row is None else row.rank

    def sort(self, contents: Collection[str]) -> list[str]:
        """Return those of `contents` that are stored, in the order that is fastest to read."""
        rows = [row for content in contents if (row := self.rows.get(content)) is not None]
        rows.sort(key=lambda row: (row.shard.path.name, row.group, row.position))
        return [row.content for row in rows]

    def add(self, shard: Shard) -> None:
        """Add the rows of a shard that is newer than all others."""
        for row in shard.rows:
            if self.get_rank(row.content) < row.rank:
                self.rows[row.content] = row

    def _read_all(self) -> None:
        self.rows = {}
        others: set[str] = set()
        for path in list_shards(self.folder):
            try:
                shard = Shard(path)
            except ShardError as error:
                if path.exists():  # otherwise another process has merged it into another shard
                    self._warn_ignored(path, str(error))
                continue
            if shard.head.key != self.key:
                if self.key.differs_in_arithmetic(shard.head.key):
                    others.add(shard.head.key.arithmetic)
                continue
            if shard.head.class_names != self.class_names:
                self._warn_ignored(path, "its class names differ from the checkpoint's")
                continue
            self.add(shard)
        if others - self._known_others:
            self._known_others |= others
            theirs = [f"{USUAL}, or any that block 0.1.0 didn't record" if one == USUAL else one for one in others]
            self._warn(
                f"the score store {self.folder} has scores of these weights that can't be used: they were computed "
                f"with {'; '.join(sorted(theirs))}; this run has {self.key.arithmetic}"
            )

    def _warn_ignored(self, path: Path, reason: str) -> None:
        self._warn(f"the score store's file {path} is ignored: {reason}")


def check_folder(folder: Path) -> None:
    """Create `folder` if needed. Raise SettingsError if it can't be written, or without pyarrow."""
    need_pyarrow()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.NamedTemporaryFile(dir=folder, prefix=f"{PREFIX}trial-").close()
    except OSError as error:
        raise SettingsError(f"the score store {folder} can't be written: {error.strerror or error}") from None


def read_heads(folder: Path) -> list[ShardHead]:
    """Return one head for each key in `folder`, in the order in which they were first written.

    Raise SettingsError if the folder can't be read, or without pyarrow.
    """
    need_pyarrow()
    heads: dict[str, ShardHead] = {}
    for path in list_shards(folder):
        # A file's name has the digest of its key: open only one file per key.
        if path.name.removeprefix(PREFIX).partition("-")[0] in heads:
            continue
        try:
            head = read_head(path)
        except ShardError:
            continue
        heads.setdefault(head.key.digest, head)
    return list(heads.values())
