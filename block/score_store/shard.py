"""One Parquet file of the score store: written whole or not at all, read row group by row group."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from block.score_store.records import Key, Scored
from block.settings import SettingsError

PREFIX, SUFFIX, TEMPORARY = "scores-", ".parquet", ".tmp"
KEY, CLASS_NAMES = b"ast_score_store", b"class_names"
GROUP_PIECES = 512  # about 1 MB of logits of 527 classes are read at once
INDEX_COLUMNS = ["content", "pieces"]


class ShardError(Exception):
    """A file that is no shard, or a damaged one; the message says why."""


def need_pyarrow() -> Any:
    """The module pyarrow, with pyarrow.parquet loaded. Raises SettingsError where it is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise SettingsError(
            f"the score store needs pyarrow, which cannot be loaded ({error}): pip install -r locked/folder.txt"
        ) from None
    return pyarrow


@dataclass(frozen=True)
class ShardHead:
    """What a shard says of itself: its key and the names of its classes."""

    key: Key
    class_names: tuple[str, ...]


def read_head(path: Path) -> ShardHead:
    """Raises ShardError if `path` is no shard."""
    pa = need_pyarrow()
    try:
        with path.open("rb") as file:
            return _head(pa.parquet.read_schema(file).metadata)
    except (OSError, pa.ArrowException, ValueError) as error:
        raise ShardError(_line(error)) from None


def write_shard(folder: Path, key: Key, class_names: Sequence[str], rows: Sequence[Scored]) -> Path:
    """Write `rows`, at least one, as a new shard and bring it to the disk. Raises OSError where that fails.

    Names begin with the time, so that those of later files sort behind those of earlier ones.
    """
    pa = need_pyarrow()
    stem = f"{PREFIX}{key.digest}-{time.time_ns():020d}-{uuid.uuid4().hex[:8]}"
    temporary, path = folder / f"{stem}{TEMPORARY}", folder / f"{stem}{SUFFIX}"
    try:
        with temporary.open("xb") as file:
            schema = _schema(key, class_names)
            # Logits do not repeat and hardly compress: dictionaries and codecs would only cost time.
            with pa.parquet.ParquetWriter(
                file, schema, use_dictionary=["content", "mode"], compression="none", write_page_checksum=True,
                write_statistics=False,
            ) as writer:  # fmt: skip
                for group in _groups(rows):
                    writer.write_table(_table(group, schema))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(folder)
    except pa.ArrowException as error:
        temporary.unlink(missing_ok=True)
        raise OSError(_line(error)) from None
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return path


def _groups(rows: Sequence[Scored]) -> Iterator[Sequence[Scored]]:
    start = pieces = 0
    for end, row in enumerate(rows):
        if end > start and pieces + row.pieces > GROUP_PIECES:
            yield rows[start:end]
            start, pieces = end, 0
        pieces += row.pieces
    yield rows[start:]


def _sync_folder(folder: Path) -> None:
    """Bring the new name to the disk too, where the file system can do that."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass  # some mounted buckets cannot: the file is there all the same
    finally:
        os.close(descriptor)


class Shard:
    """An open shard. Raises ShardError, at any time, where it turns out damaged.

    `contents` and `pieces`: of each row, in order.
    """

    def __init__(self, path: Path) -> None:
        self._pa = need_pyarrow()
        self.path = path
        try:
            with path.open("rb") as file:
                opened = self._pa.parquet.ParquetFile(file, page_checksum_verification=True)
                self.head = _head(opened.schema_arrow.metadata)
                if not opened.schema_arrow.equals(_schema(self.head.key, self.head.class_names)):
                    raise ShardError("its columns are not those of a score store")
                index = opened.read(columns=INDEX_COLUMNS)
                self._starts = np.cumsum(
                    [0, *(opened.metadata.row_group(at).num_rows for at in range(opened.num_row_groups))]
                )
                self.contents: list[str] = index.column("content").to_pylist()
                self.pieces: list[int] = index.column("pieces").to_pylist()
        except (OSError, self._pa.ArrowException, ValueError) as error:
            raise ShardError(_line(error)) from None

    @property
    def groups(self) -> int:
        return len(self._starts) - 1

    def rows(self, group: int) -> range:
        """The rows of a row group."""
        return range(int(self._starts[group]), int(self._starts[group + 1]))

    def forget_rows(self) -> None:
        """Give back the memory of `contents` and `pieces`."""
        self.contents, self.pieces = [], []

    def read(self, group: int) -> list[Scored]:
        """The recordings of a row group; their logits share memory."""
        try:
            with self.path.open("rb") as file:
                opened = self._pa.parquet.ParquetFile(file, page_checksum_verification=True)
                return _scored(opened.read_row_group(group), len(self.head.class_names))
        except (OSError, self._pa.ArrowException, ValueError, ZeroDivisionError) as error:
            raise ShardError(_line(error)) from None


def _head(metadata: dict[bytes, bytes] | None) -> ShardHead:
    if not metadata or KEY not in metadata or CLASS_NAMES not in metadata:
        raise ShardError("it is no file of a score store")
    names = json.loads(metadata[CLASS_NAMES])
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise ShardError("it has no list of class names")
    return ShardHead(Key.from_json(metadata[KEY]), tuple(names))


def _schema(key: Key, class_names: Sequence[str]) -> Any:
    pa = need_pyarrow()
    fields = [
        ("content", pa.string()), ("values", pa.int64()), ("rate_numerator", pa.int64()),
        ("rate_denominator", pa.int64()), ("mode", pa.string()), ("pieces", pa.int32()),
        ("piece_counts", pa.list_(pa.int32())), ("levels_dbfs", pa.list_(pa.float32())),
        ("logits", pa.list_(pa.list_(pa.float32(), len(class_names)))),
    ]  # fmt: skip
    metadata = {KEY: key.to_json().encode(), CLASS_NAMES: json.dumps(list(class_names)).encode()}
    return pa.schema([pa.field(name, kind, nullable=False) for name, kind in fields], metadata)


def _table(rows: Sequence[Scored], schema: Any) -> Any:
    pa = need_pyarrow()
    classes = schema.field("logits").type.value_type.list_size
    flat = np.concatenate([row.logits for row in rows]).astype(np.float32, copy=False).reshape(-1)
    offsets = np.cumsum([0, *(row.pieces for row in rows)]).astype(np.int32)
    logits = pa.ListArray.from_arrays(
        pa.array(offsets), pa.FixedSizeListArray.from_arrays(pa.array(flat), classes), schema.field("logits").type
    )
    columns = [
        [row.content for row in rows], [row.values for row in rows],
        [row.value_rate_hz.numerator for row in rows], [row.value_rate_hz.denominator for row in rows],
        [row.mode for row in rows], [row.pieces for row in rows],
        [row.chunk_counts for row in rows], [row.levels_dbfs for row in rows],
    ]  # fmt: skip
    arrays = [pa.array(column, schema.field(at).type) for at, column in enumerate(columns)]
    return pa.Table.from_arrays([*arrays, logits], schema=schema)


def _scored(table: Any, classes: int) -> list[Scored]:
    columns = {name: table.column(name).to_pylist() for name in table.column_names if name not in ("logits",)}
    lists = table.column("logits").combine_chunks()
    flat: npt.NDArray[np.float32] = lists.flatten().flatten().to_numpy(zero_copy_only=False)
    logits = flat.reshape(-1, classes)
    ends = np.cumsum(columns["pieces"])
    if len(ends) and ends[-1] != len(logits):
        raise ShardError(f"{len(logits)} pieces where {ends[-1]} were expected")
    return [
        Scored(
            columns["content"][row], columns["values"][row],
            Fraction(columns["rate_numerator"][row], columns["rate_denominator"][row]),
            tuple(columns["piece_counts"][row]), np.array(columns["levels_dbfs"][row], np.float32),
            logits[end - columns["pieces"][row] : end], columns["mode"][row],
        )
        for row, end in enumerate(ends)
    ]  # fmt: skip


def _line(error: BaseException) -> str:
    reason = getattr(error, "strerror", None) or str(error)
    return " ".join(str(reason).split())[:200] or type(error).__name__
