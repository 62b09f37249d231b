"""The Parquet files of the score store: written whole or not at all, read one row group at a time."""

from __future__ import annotations

import contextlib
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

from block.runtime.atomic_file import commit
from block.runtime.imports import describe_install
from block.runtime.regular_file import open_regular
from block.score_store.records import NO_EMBEDDINGS, Embeddings, Errors, Key, Rank, Scored
from block.settings import EXACT, SCORE_FUNCTIONS, SOUND, SettingsError

PREFIX, SUFFIX, TEMPORARY = "scores-", ".parquet", ".tmp"
KEY, CLASS_NAMES = b"ast_score_store", b"class_names"
ERRORS = tuple(f"{function}_errors" for function in SCORE_FUNCTIONS)
EMBEDDED, EMBEDDINGS = "embedded", "embeddings"
GROUP_CHUNKS = 512  # the size of a row group: about 1 MB of logits of 527 classes


class ShardError(Exception):
    """A file is not a shard, or is damaged. The message says why."""


def need_pyarrow() -> Any:
    """Return the module pyarrow, with pyarrow.parquet loaded. Raise SettingsError if it is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise SettingsError(
            f"the score store needs pyarrow, which can't be imported ({error}); {describe_install('folder')}"
        ) from None
    return pyarrow


@dataclass(frozen=True)
class ShardHead:
    """The metadata of a shard: its key and the names of its classes."""

    key: Key
    class_names: tuple[str, ...]


def list_shards(folder: Path) -> list[Path]:
    """Return the files that may be shards, judging by their names, in the order in which they were written."""
    shards = [path for path in _list_files(folder) if path.name.endswith(SUFFIX)]
    return sorted(shards, key=lambda path: (path.name.removeprefix(PREFIX).partition("-")[2], path.name))


def list_unfinished(folder: Path) -> list[str]:
    """Return the names of files whose writers are at work or were killed."""
    return sorted(path.name for path in _list_files(folder) if path.name.endswith(TEMPORARY))


def _list_files(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.name.startswith(PREFIX)]
    except OSError as error:
        raise SettingsError(f"the score store {folder} can't be read: {error.strerror or error}") from None


@contextlib.contextmanager
def _open(path: Path) -> Iterator[Any]:
    """Open a Parquet file. Whatever turns out wrong with it raises ShardError."""
    pa = need_pyarrow()
    try:
        with open_regular(path) as file:
            yield pa.parquet.ParquetFile(file, page_checksum_verification=True)
    except (OSError, pa.ArrowException, ValueError, ZeroDivisionError) as error:
        raise ShardError(_format_reason(error)) from None


def read_head(path: Path) -> ShardHead:
    """Return a shard's head. Raise ShardError if `path` is not a shard."""
    with _open(path) as opened:
        return _parse_head(opened.schema_arrow.metadata)


def write_shard(folder: Path, key: Key, class_names: Sequence[str], rows: Sequence[Scored]) -> Path:
    """Write `rows`, at least one, as a new shard, durably. Raise OSError.

    Names have the time after the key's digest, so that they sort in the order of writing.
    """
    pa = need_pyarrow()
    stem = f"{PREFIX}{key.digest}-{time.time_ns():020d}-{uuid.uuid4().hex[:8]}"
    temporary, path = folder / f"{stem}{TEMPORARY}", folder / f"{stem}{SUFFIX}"
    size = max(row.embeddings.shape[1] for row in rows)
    schema = _make_schema(key, class_names, has_errors=key.mode != EXACT, embedding_size=size)
    # Logits rarely repeat and hardly compress: dictionaries and codecs would only cost time.
    options = {"use_dictionary": ["content", "mode"], "compression": "none", "write_statistics": False}
    try:
        with (
            commit(temporary.open("xb"), temporary, path) as file,
            pa.parquet.ParquetWriter(file, schema, write_page_checksum=True, **options) as writer,
        ):
            for group in _split_into_groups(rows):
                writer.write_table(_make_table(group, schema))
    except pa.ArrowException as error:
        raise OSError(_format_reason(error)) from None
    _sync_folder(folder)
    return path


def _split_into_groups(rows: Sequence[Scored]) -> Iterator[Sequence[Scored]]:
    start = chunks = 0
    for end, row in enumerate(rows):
        if end > start and chunks + row.chunks > GROUP_CHUNKS:
            yield rows[start:end]
            start, chunks = end, 0
        chunks += row.chunks
    yield rows[start:]


def _sync_folder(folder: Path) -> None:
    """Sync the new name to the disk. Ignore mounted buckets that can't: the file exists anyway."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@dataclass(frozen=True, slots=True)
class ShardRow:
    """A recording's row, at `position` in a row `group` of `shard`, and its rank."""

    shard: Shard
    group: int
    position: int
    content: str
    rank: Rank


class Shard:
    """A shard's head and the places of its `rows`. Any method raises ShardError if the file turns out to be damaged."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with _open(path) as opened:
            self.head = _parse_head(opened.schema_arrow.metadata)
            has_errors = ERRORS[0] in opened.schema_arrow.names
            size = _read_embedding_size(opened.schema_arrow)
            optional = [*(ERRORS if has_errors else ()), *([EMBEDDED] if size else ())]
            if not opened.schema_arrow.equals(_make_schema(self.head.key, self.head.class_names, has_errors, size)):
                raise ShardError("it doesn't have the columns of a score store")
            lengths = [opened.metadata.row_group(group).num_rows for group in range(opened.num_row_groups)]
            places = [(group, position) for group, length in enumerate(lengths) for position in range(length)]
            read = opened.read(columns=["content", "pieces", "mode", "piece_counts", *optional])
            self.rows = [
                ShardRow(
                    self,
                    group,
                    position,
                    row["content"],
                    Rank.of(row["pieces"], _parse_errors(row), row.get(EMBEDDED, 0)),
                )
                for (group, position), row in zip(places, read.to_pylist(), strict=True)
            ]

    def read(self, group: int) -> list[Scored]:
        """Return the recordings of a row group; their logits share memory."""
        with _open(self.path) as opened:
            return _parse_rows(opened.read_row_group(group))


def _parse_head(metadata: dict[bytes, bytes] | None) -> ShardHead:
    if not metadata or KEY not in metadata or CLASS_NAMES not in metadata:
        raise ShardError("it isn't a file of a score store")
    names = json.loads(metadata[CLASS_NAMES])
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise ShardError("it has no list of class names")
    return ShardHead(Key.from_json(metadata[KEY]), tuple(names))


def _read_embedding_size(schema: Any) -> int:
    """Return the number of values in the embeddings of a shard; 0 if it has none."""
    lists = schema.field(EMBEDDINGS).type if EMBEDDINGS in schema.names else None
    return getattr(getattr(lists, "value_type", None), "list_size", 0)


def _make_schema(key: Key, class_names: Sequence[str], has_errors: bool, embedding_size: int) -> Any:
    pa = need_pyarrow()
    fields = [
        ("content", pa.string()), ("values", pa.int64()), ("rate_numerator", pa.int64()),
        ("rate_denominator", pa.int64()), ("mode", pa.string()), ("pieces", pa.int32()),
        ("piece_counts", pa.list_(pa.int32())), ("levels_dbfs", pa.list_(pa.float32())),
        *([("cuts", pa.list_(pa.int64()))] if key.windows.boundaries == SOUND else ()),
        *((name, pa.list_(pa.float32())) for name in (ERRORS if has_errors else ())),
        *([(EMBEDDED, pa.int32())] if embedding_size else ()),
        ("logits", pa.list_(pa.list_(pa.float32(), len(class_names)))),
        *([(EMBEDDINGS, pa.list_(pa.list_(pa.float16(), embedding_size)))] if embedding_size else ()),
    ]  # fmt: skip
    metadata = {KEY: key.to_json().encode(), CLASS_NAMES: json.dumps(list(class_names)).encode()}
    return pa.schema([pa.field(name, kind, nullable=False) for name, kind in fields], metadata)


def _make_table(rows: Sequence[Scored], schema: Any) -> Any:
    pa = need_pyarrow()
    lists = [_make_lists([row.logits for row in rows], schema.field("logits").type)]
    if EMBEDDINGS in schema.names:
        kind = schema.field(EMBEDDINGS).type
        lists.append(_make_lists([_widen(row, kind.value_type.list_size) for row in rows], kind))
    columns = [
        [row.content for row in rows], [row.values for row in rows],
        [row.value_rate_hz.numerator for row in rows], [row.value_rate_hz.denominator for row in rows],
        [row.mode for row in rows], [row.chunks for row in rows],
        [row.chunk_counts for row in rows], [row.levels_dbfs for row in rows],
        *([[row.cuts for row in rows]] if "cuts" in schema.names else ()),
        *([row.errors[:, at] for row in rows] for at, name in enumerate(ERRORS) if name in schema.names),
        *([[row.embedded for row in rows]] if EMBEDDED in schema.names else ()),
    ]  # fmt: skip
    fields = [schema.field(at) for at in range(len(columns))]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, fields, strict=True)]
    return pa.Table.from_arrays([*arrays, *lists], schema=schema)


def _make_lists(arrays: Sequence[npt.NDArray[Any]], kind: Any) -> Any:
    """Return a column of type `kind`: for each recording, the list of the rows of its array."""
    pa = need_pyarrow()
    offsets = np.cumsum([0, *(len(array) for array in arrays)]).astype(np.int32)
    values = pa.array(np.concatenate(arrays).ravel())
    return pa.ListArray.from_arrays(
        pa.array(offsets), pa.FixedSizeListArray.from_arrays(values, kind.value_type.list_size), kind
    )


def _widen(row: Scored, size: int) -> Embeddings:
    """Return the embeddings of a recording, unknown ones if it has none or those of another size."""
    return row.embeddings if row.embeddings.shape[1] == size else np.full((row.chunks, size), np.nan, np.float16)


def _parse_errors(row: dict[str, Any]) -> Errors:
    """Return the errors of a row. Fast scores of block 0.1.0 have none: they are unknown, except for exact rows."""
    if ERRORS[0] in row:
        return np.array([row[name] for name in ERRORS], np.float32).T
    unknown = 0 if row["mode"] == EXACT else np.inf
    return np.full((len(row["piece_counts"]), len(ERRORS)), unknown, np.float32)


def _parse_rows(table: Any) -> list[Scored]:
    lists = [name for name in ("logits", EMBEDDINGS) if name in table.column_names]
    rows = table.drop_columns(lists).to_pylist()
    ends = np.cumsum([row["pieces"] for row in rows])
    logits, *others = (_parse_lists(table.column(name), ends) for name in lists)
    embeddings = others[0] if others else np.zeros((len(logits), 0), np.float16)
    return [
        Scored(
            row["content"], row["values"], Fraction(row["rate_numerator"], row["rate_denominator"]),
            tuple(row["piece_counts"]), np.array(row["levels_dbfs"], np.float32),
            logits[end - row["pieces"] : end], row["mode"], _parse_errors(row),
            tuple(row["cuts"]) if "cuts" in row else None,
            embeddings[end - row["pieces"] : end] if row.get(EMBEDDED) else NO_EMBEDDINGS,
        )
        for row, end in zip(rows, ends, strict=True)
    ]  # fmt: skip


def _parse_lists(column: Any, ends: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    """Return the rows of all recordings in a column that `_make_lists` wrote. Raise ShardError if some are missing."""
    lists = column.combine_chunks()
    rows: npt.NDArray[Any] = lists.flatten().flatten().to_numpy(zero_copy_only=False)
    rows = rows.reshape(-1, lists.type.value_type.list_size)
    if len(ends) and ends[-1] != len(rows):
        raise ShardError(f"it has values of {len(rows)} chunks; expected {ends[-1]}")
    return rows


def _format_reason(error: BaseException) -> str:
    reason = getattr(error, "strerror", None) or str(error)
    return " ".join(str(reason).split())[:200] or type(error).__name__
