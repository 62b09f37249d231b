"""All that a person can change of a sample, read before and after a change, so that the change can be undone."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from block.local_studio.data import rows

COLUMNS = ("label", "is_disabled", "metadata", "structured_labels")  # of a sample, that people change


@dataclass(frozen=True)
class SampleState:
    """A sample's `columns`, the open `proposals` for it by job, as JSON, and its verdicts that can be undone.

    `batches` has the ids of these verdicts, each with its batch.
    """

    columns: Mapping[str, Any]
    proposals: Mapping[str, str]
    batches: Sequence[Sequence[int]]

    @staticmethod
    def read(db: sqlite3.Connection, sample_id: int) -> SampleState:
        """Return the state of a sample, which must exist."""
        query = f"SELECT {', '.join(COLUMNS)} FROM samples WHERE id = ?"  # noqa: S608 - names from this file
        columns = dict(db.execute(query, (sample_id,)).fetchone())
        proposals = db.execute(
            "SELECT job_id, changes FROM proposals WHERE sample_id = ? AND NOT is_unchanged", (sample_id,)
        )
        batches = db.execute("SELECT id, batch FROM verdicts WHERE sample_id = ? AND batch > 0", (sample_id,))
        return SampleState(
            columns, {str(row["job_id"]): row["changes"] for row in proposals}, [list(row) for row in batches]
        )

    def describe_change(self, after: SampleState) -> dict[str, Any]:
        """Return what it takes to come back here from `after`, for JSON; empty if nothing changed."""
        if after == self:
            return {}
        return {"state": asdict(self), "after": asdict(after)}


def can_go_back(db: sqlite3.Connection, sample_id: int, change: Mapping[str, Any]) -> bool:
    """Return True if what a change did to a sample is still there as it left it."""
    now, state, after = SampleState.read(db, sample_id), change["state"], change["after"]
    changed = [name for name in COLUMNS if state["columns"][name] != after["columns"][name]]
    closed = set(state["proposals"]) - set(after["proposals"])
    return not closed & set(now.proposals) and all(now.columns[name] == after["columns"][name] for name in changed)


def go_back(db: sqlite3.Connection, sample_id: int, change: Mapping[str, Any]) -> None:
    """Undo a change to a sample."""
    state, after = change["state"], change["after"]
    columns = {name: value for name, value in state["columns"].items() if value != after["columns"][name]}
    if columns:
        write_columns(db, sample_id, **columns)
    for job_id in set(state["proposals"]) - set(after["proposals"]):
        changes = state["proposals"][job_id]
        db.execute(
            "INSERT OR REPLACE INTO proposals (job_id, sample_id, changes) VALUES (?, ?, ?)",
            (int(job_id), sample_id, changes),
        )
    settled = [(batch, one) for one, batch in state["batches"] if [one, batch] not in after["batches"]]
    db.executemany("UPDATE verdicts SET batch = ? WHERE id = ?", settled)


def write_columns(db: sqlite3.Connection, sample_id: int, **columns: object) -> None:
    """Set columns of a sample. This is a new revision of it."""
    names = ", ".join(f"{name} = ?" for name in columns)
    query = f"UPDATE samples SET {names}, modified = ?, revision = revision + 1 WHERE id = ?"  # noqa: S608
    db.execute(query, (*columns.values(), rows.now(), sample_id))
