"""What is in the store, one line a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass

from block.model.checkpoint import DEFAULT, FILES, WEIGHTS, CheckpointError
from block.model_store.catalog import KnownCheckpoint
from block.model_store.download_progress import in_words
from block.model_store.store import ModelStore, problem_of
from block.runtime.hashing import LARGE_BYTES, recall


@dataclass(frozen=True)
class ListedCheckpoint:
    """A checkpoint as `list` shows it. `size` is in bytes, None if not known; `note` says why, or where from."""

    name: str
    state: str
    size: int | None
    marks: tuple[str, ...]
    note: str


def lines(store: ModelStore, deep: bool = False) -> list[ListedCheckpoint]:
    """The known checkpoints and the other folders in `store`. With `deep` every file is read and hashed."""
    return [_line(store, name, deep) for name in store.names()]


def _line(store: ModelStore, name: str, deep: bool) -> ListedCheckpoint:
    known = store.find_known(name)
    marks = tuple(
        mark for mark, holds in (("default", name == DEFAULT), ("embedded", known and known.embedded)) if holds
    )
    folder = store.folder / name
    try:
        expected = store.expected(name)
        record = store.record(name)
    except CheckpointError as error:
        return ListedCheckpoint(name, "unclear", None, marks, str(error))
    origin = _origin(known) if known is not None else record.origin if record is not None else "put here by hand"
    if not folder.is_dir():
        size = expected[WEIGHTS].size if WEIGHTS in expected else None
        return ListedCheckpoint(name, "not here", size, marks, origin)
    size = sum(path.stat().st_size for path in (folder / file for file in FILES) if path.is_file())
    problem = problem_of(folder, expected, deep)
    if problem is not None:
        return ListedCheckpoint(name, "NOT SOUND", size, marks, problem)
    unheld = [file for file in FILES if file not in expected]
    if unheld:
        origin += f"; no digest known of {', '.join(unheld)} (`models record {name}` keeps them)"
    weights = folder / WEIGHTS
    if not deep and not unheld and weights.stat().st_size >= LARGE_BYTES and recall(weights) is None:
        origin += f"; {WEIGHTS} not hashed yet (--deep does)"
    return ListedCheckpoint(name, "sound", size, marks, origin)


def _origin(known: KnownCheckpoint) -> str:
    return "in git" if known.embedded else f"{known.repository}@{(known.revision or '')[:12]}"


def table(rows: list[ListedCheckpoint]) -> str:
    """The lines as text in columns, with a heading."""
    cells = [("checkpoint", "state", "size", "", "from")]
    for row in rows:
        size = "" if row.size is None else in_words(row.size)
        cells.append((row.name, row.state, size, ", ".join(row.marks), row.note))
    widths = [max(len(row[column]) for row in cells) for column in range(4)]
    return "\n".join(
        f"{name:<{widths[0]}}  {state:<{widths[1]}}  {size:>{widths[2]}}  {marks:<{widths[3]}}  {note}".rstrip()
        for name, state, size, marks, note in cells
    )
