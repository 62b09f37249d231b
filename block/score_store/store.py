"""The score store: find recordings in a folder of shards, and add others."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from block.formatting import count, list_first, make_printable
from block.score_store import index
from block.score_store.index import Index
from block.score_store.records import Key, Scored
from block.score_store.shard import Shard, ShardError, list_unfinished, write_shard
from block.settings import SettingsError

FLUSH_CHUNKS, FLUSH_S = 500, 30.0
SMALL_CHUNKS, SMALL_SHARDS = 16 * FLUSH_CHUNKS, 32  # this many small files of one process become one


def _warn(text: str) -> None:
    print(f"warning: {make_printable(text, 1000)}", file=sys.stderr, flush=True)


class ScoreStore:
    """The recordings stored in `folder` for `key`, and those added to them. Thread-safe. A context manager closes it.

    An added recording can be found at once. It is on disk after `flush`, which also happens about every 500 chunks (or
    `flush_chunks` if that is more), every 30 seconds, and in `close`. If the disk fails, nothing is raised: `warn` is
    called once, `write_error` says why, and nothing more is written. Files of other keys and damaged or foreign files
    stay as they are.
    """

    def __init__(
        self,
        folder: Path,
        key: Key,
        class_names: Sequence[str],
        warn: Callable[[str], None] = _warn,
        read_only: bool = False,
    ) -> None:
        """Raise SettingsError if `folder` can't be written, or without pyarrow. For reading, use `open_read_only`."""
        self.folder, self.key, self.class_names = Path(folder), key, tuple(class_names)
        self.write_error = "it is open for reading only" if read_only else ""
        if not read_only:
            index.check_folder(self.folder)
        self._warn = warn
        self._lock = threading.RLock()
        self._pending: dict[str, Scored] = {}
        self._pending_size = 0
        self._small_shards: list[Path] = []
        self.flush_chunks = 0
        self._timer: threading.Timer | None = None
        self._index = Index(self.folder, key, self.class_names, warn)
        if left := list_unfinished(self.folder):
            warn(
                f"ignored {count(len(left), 'unfinished file')} in the score store {folder}; you can delete them when "
                f"no run is writing there: {list_first(left)}"
            )

    @classmethod
    def open_read_only(cls, folder: Path, key: Key, warn: Callable[[str], None] = _warn) -> ScoreStore:
        """Return a store for reading only, with the class names that it was written with.

        Raise SettingsError if `folder` can't be read or has nothing for `key`, or without pyarrow.
        """
        heads = index.read_heads(folder)
        for head in heads:
            if head.key == key:
                return cls(folder, key, head.class_names, warn, read_only=True)
        found = "; ".join(str(head.key) for head in heads) or "none at all"
        raise SettingsError(f"the score store {folder} has no scores for {key}; it has {found}; run label again")

    @staticmethod
    def list_keys(folder: Path) -> list[Key]:
        """Return the keys of the scores in `folder`, in the order in which they were first written."""
        return [head.key for head in index.read_heads(folder)]

    def find(self, content: str) -> Scored | None:
        """Return the scores of the file with this SHA-256; None if there are none, or only damaged ones."""
        with self._lock:
            return self._pending.get(content) or self._index.find(content)

    def find_all(self, contents: Collection[str]) -> Iterator[Scored]:
        """Yield the scores of those of `contents` that are stored, once each, in the order that is fastest to read.

        Copy logits that you keep: recordings that are stored together share memory.
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

    def contents_with_embeddings(self) -> set[str]:
        """Return the SHA-256 of every file with an embedding of any chunk."""
        with self._lock:
            stored = {content for content, row in self._index.rows.items() if row.rank.embedded}
            return stored | {content for content, scored in self._pending.items() if scored.embedded}

    def add(self, scored: Scored) -> None:
        """Add `scored` unless scores of its content with the same or a higher rank are stored.

        Raise ValueError if it doesn't fit. Most calls don't wait for the disk.
        """
        if scored.logits.shape[1] != len(self.class_names):
            raise ValueError(f"logits of {scored.logits.shape[1]} classes; the store has {len(self.class_names)}")
        with self._lock:
            pending = self._pending.get(scored.content)
            stored = self._index.get_rank(scored.content) if pending is None else pending.rank
            if self.write_error or stored >= scored.rank:
                return
            self._pending[scored.content] = scored
            # Count silent windows too: otherwise, recordings of only silence would never be written.
            self._pending_size += scored.windows + scored.chunks
            if self._pending_size >= 2 * max(FLUSH_CHUNKS, self.flush_chunks):
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
        """Flush, and merge this session's small files. Nothing can be added afterward."""
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
        """Call `write`. If the disk fails, warn and stop writing."""
        if self.write_error:
            return
        try:
            write()
        except OSError as error:
            self.write_error = error.strerror or str(error)
            text = f"the score store {self.folder} can't be written anymore: {self.write_error}"
            self._warn(f"{text}; continuing without storing scores")

    def _write(self, rows: Sequence[Scored]) -> None:
        path = write_shard(self.folder, self.key, self.class_names, rows)
        try:
            self._index.add(Shard(path))
        except ShardError as error:
            raise OSError(f"{path.name} can't be read back: {error}") from None
        if sum(row.chunks for row in rows) < SMALL_CHUNKS:
            self._small_shards.append(path)

    def _merge(self) -> None:
        """Rewrite this session's small shards as one, then remove them; rows are on the disk at all times."""
        paths, self._small_shards = set(self._small_shards), []
        before = self._index.rows
        contents = self._index.sort([content for content, row in before.items() if row.shard.path in paths])
        merged = [found for content in contents if (found := self._index.find(content)) is not None]
        if len(merged) != len(contents):
            return  # some are damaged, as `warn` has said: leave the files as they are
        self._index.rows = {content: row for content, row in before.items() if row.shard.path not in paths}
        try:
            self._write(merged)
        except OSError:
            self._index.rows = before
            raise
        for path in paths:
            with contextlib.suppress(OSError):  # duplicate rows do no harm
                path.unlink()
