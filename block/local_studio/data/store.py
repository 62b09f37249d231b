"""The project's database: samples, labels, metadata and proposals in one SQLite file.

Every write is one transaction that takes the write lock first, so that two servers on one folder cannot
lose each other's changes. All threads share one connection behind a lock. Callers have validated the
values. Ids are never used twice.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from block.folder.listing import FileStamp
from block.local_studio.data import rows
from block.local_studio.data.folder import InspectedFile
from block.local_studio.data.sample import LocalSample, Proposal, ProposedChanges, StructuredLabel

VERSION = 2  # of the schema, kept in the database's user_version
BY_HAND = {"labeled_by": "human"}


class StaleError(Exception):
    """A sample has changed since the person looked at it."""


class ProjectError(Exception):
    """A folder that cannot be a project; the text says which and why."""


@dataclass(frozen=True)
class SyncReport:
    """How many files are new, have changed or are gone, and how many lost labels that no longer fit."""

    new: int
    changed: int
    gone: int
    labels_dropped: int


class SampleStore:
    """The database at `path`, made when it does not exist. Raises ProjectError."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        try:
            self._db = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
            try:
                self._prepare(path)
            except BaseException:
                self._db.close()
                raise
        except sqlite3.Error as error:
            raise ProjectError(f"cannot open the project's database {path}: {error}") from None

    def close(self) -> None:
        """Close the database; nothing else may be called afterwards."""
        with self._lock:
            self._db.close()

    def setting(self, name: str, default: str) -> str:
        """Return the stored value of a setting; `default` is stored first if there is none."""
        with self.transaction() as db:
            db.execute("INSERT OR IGNORE INTO settings VALUES (?, ?)", (name, default))
            (value,) = db.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return str(value)

    def stamps(self) -> dict[bytes, FileStamp]:
        """Return the stamp of every file that could be read when it was last looked at, by its relative path."""
        found = self.read("SELECT path, size, mtime_ns FROM samples WHERE processing_error IS NULL")
        return {row["path"]: FileStamp(row["size"], row["mtime_ns"]) for row in found}

    def sync(self, present: Sequence[bytes], inspected: Sequence[InspectedFile]) -> SyncReport:
        """Take over the folder: the files `present`, of which `inspected` may be new or have changed.

        Structured labels of a file whose number of values has changed are dropped with its proposals,
        because they are no partition of the new values. A sample without a path, which earlier versions let
        programs add, counts as one whose file has gone: it keeps its labels and is not listed.
        """
        new = changed = gone = dropped = 0
        with self.transaction() as db:
            for item in inspected:
                old = self.read("SELECT * FROM samples WHERE path = ?", item.file.path)
                columns = rows.file_columns_of(item)
                if not old:
                    new += 1
                    columns = rows.new_columns_of(item)
                    query = f"INSERT INTO samples ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608 - names from rows.py only
                    db.execute(query, tuple(columns.values()))
                elif any(old[0][name] != value for name, value in columns.items()):
                    changed += 1
                    dropped += self._update_file(old[0], columns)
            there = set(present)
            for row in self.read("SELECT id, path, is_missing FROM samples"):
                is_missing = row["path"] not in there
                if is_missing != bool(row["is_missing"]):
                    gone += is_missing
                    self._set(row["id"], "is_missing", is_missing)
        return SyncReport(new, changed, gone, dropped)

    def samples(self) -> list[LocalSample]:
        """Return all samples but those whose file has gone, by id."""
        return [rows.parse_sample(row) for row in self.read(f"{rows.SELECT_SAMPLES} ORDER BY id")]

    def sample(self, sample_id: int) -> LocalSample | None:
        """Return one sample, None if there is none or its file has gone."""
        found = self.read(f"{rows.SELECT_SAMPLES} AND id = ?", sample_id)
        return rows.parse_sample(found[0]) if found else None

    def set_label(self, sample_id: int, label: str) -> None:
        """Replace the sample's single label."""
        with self.transaction():
            self._set(sample_id, "label", label)

    def set_disabled(self, sample_id: int, is_disabled: bool) -> None:
        """Exclude the sample from use, or include it again."""
        with self.transaction():
            self._set(sample_id, "is_disabled", is_disabled)

    def set_structured_labels(self, sample_id: int, labels: Sequence[StructuredLabel]) -> None:
        """Replace the sample's structured labels."""
        with self.transaction():
            self._set(sample_id, "structured_labels", rows.dump_labels(labels))

    def set_by_hand(self, sample_id: int, labels: Sequence[StructuredLabel], revision: int) -> int:
        """Replace the structured labels by a person's, marked as such. Returns the sample's new revision.

        `revision` is the one that the person saw. Raises StaleError if it is no longer the sample's.
        """
        with self.transaction():
            (row,) = self.read("SELECT metadata, revision FROM samples WHERE id = ?", sample_id)
            if row["revision"] != revision:
                raise StaleError
            self._set(sample_id, "structured_labels", rows.dump_labels(labels))
            self._set(sample_id, "metadata", rows.dump({**json.loads(row["metadata"]), **BY_HAND}))
            (row,) = self.read("SELECT revision FROM samples WHERE id = ?", sample_id)
        return int(row["revision"])

    def accept(self, job_id: int, sample_id: int, revision: int | None = None) -> bool:
        """Carry out what a job proposes for a sample; return False if it proposes nothing (any more).

        Raises StaleError if the `revision` that the person saw is given, and is no longer the sample's.
        """
        with self.transaction() as db:
            found = self.read("SELECT changes FROM proposals WHERE job_id = ? AND sample_id = ?", job_id, sample_id)
            if not found:
                return False
            (row,) = self.read("SELECT metadata, revision FROM samples WHERE id = ?", sample_id)
            if revision not in (None, row["revision"]):
                raise StaleError
            changes = rows.parse_changes(found[0]["changes"])
            labels, metadata = changes.structured_labels, changes.metadata
            if labels is not None and metadata is None:  # what is accepted is no longer a person's work
                metadata = {key: value for key, value in json.loads(row["metadata"]).items() if key not in BY_HAND}
            columns = {
                "label": changes.label,
                "is_disabled": changes.is_disabled,
                "metadata": None if metadata is None else rows.dump(metadata),
                "structured_labels": None if labels is None else rows.dump_labels(labels),
            }
            for column, value in columns.items():
                if value is not None:
                    self._set(sample_id, column, value)
            db.execute("DELETE FROM proposals WHERE job_id = ? AND sample_id = ?", (job_id, sample_id))
        return True

    def reject(self, job_id: int, sample_id: int) -> bool:
        """Forget what a job proposes for a sample; return False if it proposes nothing (any more)."""
        with self.transaction() as db:
            done = db.execute("DELETE FROM proposals WHERE job_id = ? AND sample_id = ?", (job_id, sample_id))
            return done.rowcount > 0

    def add_metadata(self, sample_id: int, metadata: Mapping[str, str]) -> None:
        """Add or update the given keys; the others stay."""
        with self.transaction():
            for row in self.read("SELECT metadata FROM samples WHERE id = ?", sample_id):
                self._set(sample_id, "metadata", rows.dump({**json.loads(row["metadata"]), **metadata}))

    def propose(self, proposal: Proposal) -> None:
        """Keep a proposal in place of an earlier one of the same job and sample."""
        values = (proposal.job_id, proposal.sample_id, rows.dump(proposal.changes.to_json()))
        with self.transaction() as db:
            db.execute("INSERT OR REPLACE INTO proposals VALUES (?, ?, ?)", values)

    def proposals(self, job_id: int) -> list[Proposal]:
        """Return what a job proposes for samples whose file has not gone, by sample id."""
        found = self.read(
            "SELECT sample_id, changes FROM proposals JOIN samples ON samples.id = sample_id "
            "WHERE job_id = ? AND NOT is_missing ORDER BY sample_id",
            job_id,
        )
        return [Proposal(job_id, row["sample_id"], rows.parse_changes(row["changes"])) for row in found]

    def changes(self, job_id: int, sample_id: int) -> ProposedChanges:
        """Return what a job proposes for one sample; no changes if it has proposed nothing."""
        found = self.read("SELECT changes FROM proposals WHERE job_id = ? AND sample_id = ?", job_id, sample_id)
        return rows.parse_changes(found[0]["changes"]) if found else ProposedChanges()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                if self._db.in_transaction:  # not after an error, such as a full disk, that has ended it
                    self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def read(self, query: str, *values: object) -> list[sqlite3.Row]:
        with self._lock:
            return self._db.execute(query, values).fetchall()

    def _prepare(self, path: Path) -> None:
        """Configure the connection, and make the tables that are missing."""
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        with self.transaction() as db:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version > VERSION:
                raise ProjectError(f"{path} has schema version {version}, expected at most {VERSION}")
            for statement in {0: (*rows.SCHEMA, *rows.SCHEMA_2), 1: rows.SCHEMA_2}.get(version, ()):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {VERSION}")

    def _set(self, sample_id: int, column: str, value: object) -> None:
        query = f"UPDATE samples SET {column} = ?, modified = ?, revision = revision + 1 WHERE id = ?"  # noqa: S608 - names from this file and rows.py only
        self._db.execute(query, (value, rows.now(), sample_id))

    def _update_file(self, old: sqlite3.Row, columns: Mapping[str, object]) -> bool:
        """Take over a file that has changed; return whether structured labels were dropped for it."""
        for column, value in columns.items():
            self._set(old["id"], column, value)
        if old["values_count"] == columns["values_count"]:
            return False
        self._set(old["id"], "structured_labels", None)
        self._db.execute("DELETE FROM proposals WHERE sample_id = ?", (old["id"],))
        return old["structured_labels"] is not None
