"""A folder of shards as one store: find the recordings in it, and add others."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from block.score_store import index
from block.score_store.index import Index
from block.score_store.records import Key, Scored
from block.score_store.shard import Shard, ShardError, list_unfinished, write_shard
from block.settings import SettingsError

FLUSH_PIECES, FLUSH_S = 500, 30.0
SMALL_PIECES, SMALL_SHARDS = 16 * FLUSH_PIECES, 32  # so many small files of one process become one


def _warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr, flush=True)


class ScoreStore:
    """The recordings that `folder` holds for `key`, and those added to them. Safe to use from several threads.

    An added recording can be found at once. It is on disk after `flush`, which also happens every 500 pieces or so, or
    `flush_pieces` if these are more, every 30 seconds, and in `close`. If the disk fails, nothing is raised: `warn` is
    called once, `write_error` says why, and nothing more is written. Files of other keys, and damaged or foreign ones,
    are left as they are.

    As a context manager it closes itself.
    """

    def __init__(
        self,
        folder: Path,
        key: Key,
        class_names: Sequence[str],
        warn: Callable[[str], None] = _warn,
        read_only: bool = False,
    ) -> None:
        """Raise SettingsError if `folder` cannot be written, or without pyarrow. `open_read_only` uses `read_only`."""
        self.folder, self.key, self.class_names = Path(folder), key, tuple(class_names)
        self.write_error = "it was opened for reading" if read_only else ""
        if not read_only:
            index.check_folder(self.folder)
        self._warn = warn
        self._lock = threading.RLock()
        self._pending: dict[str, Scored] = {}
        self._pending_size = 0
        self._small_shards: list[Path] = []
        self.flush_pieces = 0
        self._timer: threading.Timer | None = None
        self._index = Index(self.folder, key, self.class_names, warn)
        if left := list_unfinished(self.folder):
            warn(
                f"the score store {folder} holds {len(left)} unfinished files, which are ignored and may be deleted "
                f"once nothing writes to it: {', '.join(left[:3])}{' …' * (len(left) > 3)}"
            )

    @classmethod
    def open_read_only(cls, folder: Path, key: Key, warn: Callable[[str], None] = _warn) -> ScoreStore:
        """Return a store that nothing can be added to, with the class names that it was written with.

        Raise SettingsError if `folder` cannot be read or holds nothing for `key`, or without pyarrow.
        """
        heads = index.read_heads(folder)
        for head in heads:
            if head.key == key:
                return cls(folder, key, head.class_names, warn, read_only=True)
        held = "; ".join(str(head.key) for head in heads) or "nothing"
        raise SettingsError(f"the score store {folder} holds no scores for {key}; it holds {held}")

    @staticmethod
    def list_keys(folder: Path) -> list[Key]:
        """Return the keys that `folder` holds scores for, in the order in which they were first written."""
        return [head.key for head in index.read_heads(folder)]

    def find(self, content: str) -> Scored | None:
        """Return the scores of the file with this SHA-256; None if there are none that can be read."""
        with self._lock:
            return self._pending.get(content) or self._index.find(content)

    def find_all(self, contents: Collection[str]) -> Iterator[Scored]:
        """Yield the scores of those of `contents` that are stored, once each, in the order that is fastest to read.

        Logits of neighbors share memory, so copy what is to be kept.
        """
        with self._lock:
            wanted = set(contents)
            pending = [scored for content, scored in self._pending.items() if content in wanted]
            order = self._index.sort(wanted - self._pending.keys())
        for content in order:
            if (found := self.find(content)) is not None:
                yield found
        yield from pending

    def contents(self) -> set[str]:
        """Return the SHA-256 of every file with scores."""
        with self._lock:
            return {*self._index.rows, *self._pending}

    def add(self, scored: Scored) -> None:
        """Keep `scored`, unless as many pieces or more of its content are stored. Raise ValueError if it does not fit.

        Most calls do not wait for the disk.
        """
        if scored.logits.shape[1] != len(self.class_names):
            raise ValueError(f"logits of {scored.logits.shape[1]} classes; the store has {len(self.class_names)}")
        with self._lock:
            pending = self._pending.get(scored.content)
            stored = self._index.count_pieces(scored.content) if pending is None else pending.pieces
            if self.write_error or stored >= scored.pieces:
                return
            self._pending[scored.content] = scored
            # Silent windows count too: recordings of nothing else would never be written.
            self._pending_size += scored.windows + scored.pieces
            if self._pending_size >= 2 * max(FLUSH_PIECES, self.flush_pieces):
                self.flush()
            elif self._timer is None:
                self._timer = threading.Timer(FLUSH_S, self.flush)
                self._timer.daemon = True
                self._timer.start()

    def flush(self) -> None:
        """Write added recordings to the disk."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self._pending and not self.write_error:
                self._try_writing(lambda: self._write(list(self._pending.values())))
            self._pending, self._pending_size = {}, 0
            if len(self._small_shards) >= SMALL_SHARDS:
                self._try_writing(self._merge)

    def close(self) -> None:
        """Flush, and merge this session's small files. Nothing can be added afterwards."""
        with self._lock:
            self.flush()
            if len(self._small_shards) > 1:
                self._try_writing(self._merge)
            self.write_error = self.write_error or "it is closed"

    def __enter__(self) -> ScoreStore:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _try_writing(self, write: Callable[[], None]) -> None:
        """Call `write`. If the disk fails, warn and write no more."""
        if self.write_error:
            return
        try:
            write()
        except OSError as error:
            self.write_error = error.strerror or str(error)
            text = f"the score store {self.folder} cannot be written any more: {self.write_error}"
            self._warn(f"{text}; going on without storing")

    def _write(self, rows: Sequence[Scored]) -> None:
        path = write_shard(self.folder, self.key, self.class_names, rows)
        try:
            self._index.add(Shard(path))
        except ShardError as error:
            raise OSError(f"{path.name} cannot be read back: {error}") from None
        if sum(row.pieces for row in rows) < SMALL_PIECES:
            self._small_shards.append(path)

    def _merge(self) -> None:
        """Rewrite this session's small shards as one, then remove them, so that the rows are always on the disk."""
        paths, self._small_shards = set(self._small_shards), []
        before = self._index.rows
        contents = self._index.sort([content for content, row in before.items() if row.shard.path in paths])
        merged = [found for content in contents if (found := self._index.find(content)) is not None]
        if len(merged) != len(contents):
            return  # some were damaged meanwhile, which `warn` has said: leave the files as they are
        self._index.rows = {content: row for content, row in before.items() if row.shard.path not in paths}
        try:
            self._write(merged)
        except OSError:
            self._index.rows = before
            raise
        for path in paths:
            with contextlib.suppress(OSError):  # rows that are there twice do no harm
                path.unlink()
