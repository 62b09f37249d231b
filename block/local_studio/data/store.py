"""The project's database: samples, labels, metadata and proposals in one SQLite file.

Every write is one transaction that takes the write lock first, so two servers on one folder can't lose each other's
changes. All threads share one connection, protected by a lock. Callers validate the values. Ids are never reused.
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
from block.local_studio.data.sample import LocalSample, Proposal, ProposedChanges, StructuredLabel, fit_labels

VERSION = 7  # of the schema, stored in the database's user_version
BY_HAND = {"labeled_by": "human"}


class StaleError(Exception):
    """The sample has changed since the user loaded it."""


class ProjectError(Exception):
    """A folder can't be used as a project."""


@dataclass(frozen=True)
class SyncReport:
    """How many files are new, changed or gone, and how many changed files lost their labels."""

    new: int
    changed: int
    gone: int
    labels_dropped: int


class SampleStore:
    """The database at `path`, created if it doesn't exist. Raise ProjectError."""

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
            raise ProjectError(f"can't open the project's database {path}: {error}") from None

    def close(self) -> None:
        """Close the database. Don't call anything else afterward."""
        with self._lock:
            self._db.close()

    def setting(self, name: str, default: str) -> str:
        """Return the stored value of a setting. Store `default` first if there is none."""
        with self.transaction() as db:
            db.execute("INSERT OR IGNORE INTO settings VALUES (?, ?)", (name, default))
            (value,) = db.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return str(value)

    def forget_setting(self, name: str) -> None:
        """Delete a setting, also from the pages of the file that the database no longer uses."""
        with self._lock:
            if self.read("SELECT 1 FROM settings WHERE name = ?", name):
                self._db.execute("PRAGMA secure_delete = ON")
                self._db.execute("DELETE FROM settings WHERE name = ?", (name,))

    def stamps(self, allow_truncated: bool = False) -> dict[bytes, FileStamp]:
        """Return the stamps of all files that could be read in the last scan, by relative path.

        Those that are cut off count only with `allow_truncated`.
        """
        query = "SELECT path, size, mtime_ns FROM samples WHERE processing_error IS NULL AND (missing = '' OR ?)"
        found = self.read(query, allow_truncated)
        return {row["path"]: FileStamp(row["size"], row["mtime_ns"]) for row in found}

    def sync(self, present: Sequence[bytes], inspected: Sequence[InspectedFile]) -> SyncReport:
        """Update the samples from the files `present` in the folder; those in `inspected` are new or may have changed.

        If the content of a file has changed and has another number of values, drop its structured labels and its
        proposals: they no longer cover exactly its values. If only the number has changed, because an earlier version
        didn't read the whole file or believed its header, the labels keep their times. A file that can't be read keeps
        everything until it can be read again. Earlier versions let programs add samples without a path. Treat such a
        sample as one whose file is gone: it keeps its labels but isn't listed.
        """
        new = changed = gone = dropped = 0
        with self.transaction() as db:
            for item in inspected:
                old = self.read("SELECT * FROM samples WHERE path = ?", item.file.path)
                columns = rows.file_columns_of(item)
                if item.problem is None:
                    columns |= rows.audio_columns_of(item)
                if not old:
                    new += 1
                    columns = rows.new_columns_of(item)
                    query = f"INSERT INTO samples ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608 - names from rows.py only
                    db.execute(query, tuple(columns.values()))
                elif any(old[0][name] != value for name, value in columns.items()):
                    changed += 1
                    dropped += self._update_file(old[0], columns)
            present_paths = set(present)
            for row in self.read("SELECT id, path, is_missing FROM samples"):
                is_missing = row["path"] not in present_paths
                if is_missing != bool(row["is_missing"]):
                    gone += is_missing
                    self._set(row["id"], "is_missing", is_missing)
        return SyncReport(new, changed, gone, dropped)

    def samples(self) -> list[LocalSample]:
        """Return all samples whose file exists, sorted by id."""
        return [rows.parse_sample(row) for row in self.read(f"{rows.SELECT_SAMPLES} ORDER BY id")]

    def sample(self, sample_id: int) -> LocalSample | None:
        """Return a sample, or None if there is none or its file is gone."""
        found = self.read(f"{rows.SELECT_SAMPLES} AND id = ?", sample_id)
        return rows.parse_sample(found[0]) if found else None

    def set_label(self, sample_id: int, label: str) -> None:
        with self.transaction():
            self._set(sample_id, "label", label)

    def set_disabled(self, sample_id: int, is_disabled: bool) -> None:
        with self.transaction():
            self._set(sample_id, "is_disabled", is_disabled)

    def set_structured_labels(self, sample_id: int, labels: Sequence[StructuredLabel]) -> None:
        with self.transaction():
            self._set(sample_id, "structured_labels", rows.dump_labels(labels))

    def set_by_hand(self, sample_id: int, labels: Sequence[StructuredLabel], revision: int) -> int:
        """Replace the structured labels with a person's, and mark them as hand-made. Return the new revision.

        The person has seen what was proposed for the sample, so this closes its proposals.
        `revision` is the one that the person saw. Raise StaleError if the sample has changed since.
        """
        with self.transaction() as db:
            (row,) = self.read("SELECT metadata, revision FROM samples WHERE id = ?", sample_id)
            if row["revision"] != revision:
                raise StaleError
            self._set(sample_id, "structured_labels", rows.dump_labels(labels))
            self._set(sample_id, "metadata", rows.dump({**json.loads(row["metadata"]), **BY_HAND}))
            db.execute("DELETE FROM proposals WHERE sample_id = ?", (sample_id,))
            db.execute("UPDATE verdicts SET batch = 0 WHERE sample_id = ?", (sample_id,))
            (row,) = self.read("SELECT revision FROM samples WHERE id = ?", sample_id)
        return int(row["revision"])

    def accept(self, job_id: int, sample_id: int, revision: int | None = None) -> bool:
        """Apply what a job proposes for a sample. Return False if it has no open proposal.

        `revision` is the one that the person saw, if any. Raise StaleError if the sample has changed since.
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
            if labels is not None and metadata is None:  # accepted labels are no longer hand-made
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
            self._settle_verdicts(job_id, sample_id)
        return True

    def reject(self, job_id: int, sample_id: int) -> bool:
        """Delete what a job proposes for a sample. Return False if it has no open proposal."""
        with self.transaction() as db:
            done = db.execute("DELETE FROM proposals WHERE job_id = ? AND sample_id = ?", (job_id, sample_id))
            if done.rowcount:
                self._settle_verdicts(job_id, sample_id)
            return done.rowcount > 0

    def add_metadata(self, sample_id: int, metadata: Mapping[str, str]) -> None:
        """Add or update the given keys; keep the others."""
        with self.transaction():
            for row in self.read("SELECT metadata FROM samples WHERE id = ?", sample_id):
                self._set(sample_id, "metadata", rows.dump({**json.loads(row["metadata"]), **metadata}))

    def propose(self, proposal: Proposal) -> None:
        """Store a proposal. It replaces an earlier one of the same job for the same sample."""
        changes = proposal.changes
        with self.transaction() as db:
            sample = self.sample(proposal.sample_id)
            is_unchanged = sample is not None and changes.apply_to(sample) == sample
            values = (proposal.job_id, proposal.sample_id, rows.dump(changes.to_json()), is_unchanged)
            db.execute("INSERT OR REPLACE INTO proposals VALUES (?, ?, ?, ?)", values)
            self._settle_verdicts(proposal.job_id, proposal.sample_id)

    def proposals(self, job_id: int) -> list[Proposal]:
        """Return what a job proposes for samples whose file exists, sorted by sample id."""
        return self._read_proposals("", job_id)

    def open_proposals(self, job_id: int, limit: int = -1) -> list[Proposal]:
        """Return those of them that change anything; at most `limit` if it isn't -1."""
        return self._read_proposals("AND NOT is_unchanged", job_id, limit)

    def changes(self, job_id: int, sample_id: int) -> ProposedChanges:
        """Return what a job proposes for a sample, or empty changes if it proposes nothing."""
        found = self.read("SELECT changes FROM proposals WHERE job_id = ? AND sample_id = ?", job_id, sample_id)
        return rows.parse_changes(found[0]["changes"]) if found else ProposedChanges()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Write all or nothing. Within another transaction of this thread, this is a part of that one."""
        with self._lock:
            if self._db.in_transaction:
                yield self._db
                return
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                if self._db.in_transaction:  # some errors, such as a full disk, have already ended it
                    self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def version(self) -> tuple[int, int]:
        """Return what differs whenever this connection or another one has changed the database."""
        with self._lock:
            ((others,),) = self._db.execute("PRAGMA data_version").fetchall()
            return int(others), self._db.total_changes

    def read(self, query: str, *values: object) -> list[sqlite3.Row]:
        with self._lock:
            return self._db.execute(query, values).fetchall()

    def _prepare(self, path: Path) -> None:
        """Configure the connection, and create the missing tables."""
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        with self.transaction() as db:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version > VERSION:
                raise ProjectError(f"{path} has schema version {version}, expected at most {VERSION}")
            for statements in rows.SCHEMAS[version:]:
                for statement in statements:
                    db.execute(statement)
            db.execute(f"PRAGMA user_version = {VERSION}")

    def _read_proposals(self, condition: str, job_id: int, limit: int = -1) -> list[Proposal]:
        query = (
            "SELECT sample_id, changes FROM proposals JOIN samples ON samples.id = sample_id "  # noqa: S608
            f"WHERE job_id = ? AND NOT is_missing {condition} ORDER BY sample_id LIMIT ?"
        )
        found = self.read(query, job_id, limit)
        return [Proposal(job_id, row["sample_id"], rows.parse_changes(row["changes"])) for row in found]

    def _set(self, sample_id: int, column: str, value: object) -> None:
        query = f"UPDATE samples SET {column} = ?, modified = ?, revision = revision + 1 WHERE id = ?"  # noqa: S608 - names from this file and rows.py only
        self._db.execute(query, (value, rows.now(), sample_id))

    def _settle_verdicts(self, job_id: int, sample_id: int) -> None:
        """Keep the verdicts on a proposal that is decided as a whole or replaced, but let no one undo them."""
        self._db.execute("UPDATE verdicts SET batch = 0 WHERE job_id = ? AND sample_id = ?", (job_id, sample_id))

    def _update_file(self, old: sqlite3.Row, columns: Mapping[str, object]) -> bool:
        """Update the sample of a changed file. Return True if that dropped its structured labels."""
        for column, value in columns.items():
            if old[column] != value:
                self._set(old["id"], column, value)
        new = {**old, **columns}
        if new["values_count"] == old["values_count"]:
            return False
        self._db.execute("DELETE FROM proposals WHERE sample_id = ?", (old["id"],))
        # Undoing verdicts would bring back proposals that don't cover exactly its values.
        self._db.execute("UPDATE verdicts SET batch = 0 WHERE sample_id = ?", (old["id"],))
        if old["structured_labels"] is None:
            return False
        labels: list[StructuredLabel] = []
        if new["sha256"] == old["sha256"]:
            earlier = rows.load_labels(old["structured_labels"])
            labels = fit_labels(earlier, old["frequency_hz"], new["frequency_hz"], new["values_count"])
        self._set(old["id"], "structured_labels", rows.dump_labels(labels) if labels else None)
        return not labels
