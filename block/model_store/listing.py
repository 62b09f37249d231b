"""List the store, with one line per checkpoint."""

from __future__ import annotations

from dataclasses import dataclass

from block.model.checkpoint import DEFAULT, FILES, WEIGHTS, CheckpointError, find_folder
from block.model_store.store import ModelStore, find_problem
from block.runtime.hashing import LARGE_BYTES, recall
from block.runtime.places import is_wheel


@dataclass(frozen=True)
class ListedCheckpoint:
    """A checkpoint as `list` shows it: `size` in bytes, None if unknown; `note` is its source or its problem."""

    name: str
    state: str
    size: int | None
    marks: tuple[str, ...]
    note: str


def list_checkpoints(store: ModelStore, deep: bool = False) -> list[ListedCheckpoint]:
    """Return the known checkpoints and the other folders in `store`. With `deep`, read and hash every file."""
    return [_list_checkpoint(store, name, deep) for name in store.list_names()]


def _list_checkpoint(store: ModelStore, name: str, deep: bool) -> ListedCheckpoint:
    known = store.find_known(name)
    is_embedded = known is not None and known.is_embedded
    marks = ("default",) * (name == DEFAULT) + ("embedded",) * is_embedded
    folder = find_folder(name, store.folder)
    try:
        expected = store.expected_files(name)
        record = store.read_record(name)
    except CheckpointError as error:
        return ListedCheckpoint(name, "unknown", None, marks, str(error))
    if is_embedded:
        note = "in this package" if is_wheel() else "in git"
    elif known is not None:
        note = f"{known.repository}@{(known.revision or '')[:12]}"
    else:
        note = record.origin if record is not None else "put here by hand"
    if not folder.is_dir():
        return ListedCheckpoint(name, "missing", expected[WEIGHTS].size if WEIGHTS in expected else None, marks, note)
    size = sum(path.stat().st_size for path in (folder / file for file in FILES) if path.is_file())
    problem = find_problem(folder, expected, deep)
    if problem is not None:
        return ListedCheckpoint(name, "INVALID", size, marks, problem)
    unknown = [file for file in FILES if file not in expected]
    weights = folder / WEIGHTS
    if unknown:
        note += f"; no known digest of {', '.join(unknown)} (run `models record {name}`)"
    elif not deep and weights.stat().st_size >= LARGE_BYTES and recall(weights) is None:
        note += f"; {WEIGHTS} not hashed yet (use --deep)"
    return ListedCheckpoint(name, "valid", size, marks, note)


def format_table(rows: list[ListedCheckpoint]) -> str:
    """Return the checkpoints as a text table with a heading."""
    cells = [("checkpoint", "state", "size", "", "from")]
    for row in rows:
        size = "" if row.size is None else format_bytes(row.size)
        cells.append((row.name, row.state, size, ", ".join(row.marks), row.note))
    widths = [max(len(row[column]) for row in cells) for column in range(4)]
    return "\n".join(
        f"{name:<{widths[0]}}  {state:<{widths[1]}}  {size:>{widths[2]}}  {marks:<{widths[3]}}  {note}".rstrip()
        for name, state, size, marks, note in cells
    )


def format_bytes(size: int) -> str:
    """Return a number of bytes with its unit: bytes below 100,000, else MB."""
    return f"{size} bytes" if size < 100_000 else f"{size / 1e6:.1f} MB"
