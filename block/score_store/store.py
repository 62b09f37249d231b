"""A folder of shards as one store: what it holds, reading from it, adding to it."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from block.score_store import index
from block.score_store.index import Index
from block.score_store.records import Key, Scored
from block.score_store.shard import Shard, ShardError, need_pyarrow, write_shard
from block.settings import SettingsError

FLUSH_PIECES, FLUSH_S = 500, 30.0
SMALL_PIECES, SMALL_SHARDS = 16 * FLUSH_PIECES, 32  # so many small files of one process become one


def _warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr, flush=True)


class ScoreStore:
    """The recordings that `folder` holds for `key`, and what is added to them. Safe to use from several threads.

    What was added can be found at once; it is on the disk after `flush`, which happens by itself about every 500
    pieces, or every `flush_pieces` if these are more, and 30 seconds, and in `close`. Where the disk fails, `warn` is
    told once, nothing more is written, and `broken` says why; nothing is raised. Files of other keys, and damaged or
    foreign ones, are left as they are.

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
        """Raises SettingsError where `folder` cannot be written, or with `read_only` read; or without pyarrow."""
        self.folder, self.key, self.class_names = Path(folder), key, tuple(class_names)
        self.broken = "it was opened for reading" if read_only else ""
        if read_only:
            need_pyarrow()
        else:
            index.check_folder(self.folder)
        self._warn = warn
        self._lock = threading.RLock()
        self._pending: dict[str, Scored] = {}
        self._pending_size = 0
        self._own: list[Path] = []
        self.flush_pieces = 0
        self._timer: threading.Timer | None = None
        self._index = Index(self.folder, key, self.class_names, warn)
        if left := index.unfinished(self.folder):
            warn(
                f"the score store {folder} holds {len(left)} unfinished files, which are ignored and may be deleted "
                f"once nothing writes to it: {', '.join(left[:3])}{' …' * (len(left) > 3)}"
            )

    @classmethod
    def reading(cls, folder: Path, key: Key, warn: Callable[[str], None] = _warn) -> ScoreStore:
        """The store for reading alone, with the class names it was written with.

        Raises SettingsError where `folder` cannot be read or holds nothing for `key`, or where pyarrow is missing.
        """
        need_pyarrow()
        for path in index.shards(Path(folder)):
            if index.digest(path) == key.digest and (head := index.head(path)) is not None and head.key == key:
                return cls(folder, key, head.class_names, warn, read_only=True)
        held = "; ".join(map(str, cls.keys_in(folder))) or "nothing"
        raise SettingsError(f"the score store {folder} holds no scores for {key}; it holds {held}")

    @staticmethod
    def keys_in(folder: Path) -> list[Key]:
        """The keys that `folder` holds scores for, in the order in which they were first written."""
        need_pyarrow()
        seen: dict[str, Key] = {}
        for path in index.shards(Path(folder)):
            if index.digest(path) not in seen and (head := index.head(path)) is not None:
                seen[index.digest(path)] = head.key
        return list(dict.fromkeys(seen.values()))

    def find(self, content: str) -> Scored | None:
        """What is stored of the file with that SHA-256; None where it is nothing, or can no longer be read."""
        with self._lock:
            return self._pending.get(content) or self._index.find(content)

    def all(self, contents: Collection[str]) -> Iterator[Scored]:
        """Those of `contents` that are stored, each once, in the order in which they are read fastest.

        Logits of neighbours share memory: keep copies, if anything.
        """
        with self._lock:
            wanted = set(contents)
            pending = [scored for content, scored in self._pending.items() if content in wanted]
            order = self._index.in_order(wanted - self._pending.keys())
        for content in order:
            if (found := self.find(content)) is not None:
                yield found
        yield from pending

    def contents(self) -> set[str]:
        """The SHA-256 of every file that scores are held of."""
        with self._lock:
            return {*self._index.places, *self._pending}

    def add(self, scored: Scored) -> None:
        """Keep `scored`, unless as many pieces or more of its content are held. Raises ValueError if it does not fit.

        Waits for the disk every so often only.
        """
        if scored.logits.shape[1] != len(self.class_names):
            raise ValueError(f"logits of {scored.logits.shape[1]} classes; the store has {len(self.class_names)}")
        with self._lock:
            if self.broken or self._held(scored.content) >= scored.pieces:
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
        """Bring to the disk what was added."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self._pending and not self.broken:
                self._trying(lambda: self._write(list(self._pending.values())))
            self._pending, self._pending_size = {}, 0
            if len(self._own) >= SMALL_SHARDS:
                self._trying(self._merge)

    def close(self) -> None:
        """Flush, and make one file of this session's small ones. Nothing is kept afterwards."""
        with self._lock:
            self.flush()
            if len(self._own) > 1:
                self._trying(self._merge)
            self.broken = self.broken or "it is closed"

    def __enter__(self) -> ScoreStore:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _held(self, content: str) -> int:
        pending = self._pending.get(content)
        return self._index.pieces(content) if pending is None else pending.pieces

    def _trying(self, write: Callable[[], None]) -> None:
        """Write; if the disk fails, say so and write no more."""
        if self.broken:
            return
        try:
            write()
        except OSError as error:
            self.broken = error.strerror or str(error)
            self._warn(
                f"the score store {self.folder} cannot be written any more: {self.broken}; going on without storing"
            )

    def _write(self, rows: Sequence[Scored]) -> None:
        path = write_shard(self.folder, self.key, self.class_names, rows)
        try:
            self._index.take_in(Shard(path))
        except ShardError as error:
            raise OSError(f"{path.name} cannot be read back: {error}") from None
        if sum(row.pieces for row in rows) < SMALL_PIECES:
            self._own.append(path)

    def _merge(self) -> None:
        """Rewrite this session's small shards as one, then remove them: no moment without the rows on the disk."""
        paths, self._own = set(self._own), []
        before = self._index.places
        contents = self._index.in_order([content for content, place in before.items() if place.shard.path in paths])
        rows = [found for content in contents if (found := self._index.find(content)) is not None]
        if len(rows) != len(contents):
            return  # some were damaged meanwhile, and have been told of: leave the files as they are
        merged = set(contents)
        self._index.places = {content: place for content, place in before.items() if content not in merged}
        try:
            self._write(rows)
        except OSError:
            self._index.places = before
            raise
        for path in paths:
            with contextlib.suppress(OSError):  # rows that are there twice do no harm
                path.unlink()
