"""Jobs in the project's database: runs and previews of blocks, the details that they report, and how they ended."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from block.edge_impulse.run_record import RunRecord
from block.local_studio.data import rows
from block.local_studio.data.store import SampleStore

RUNNING, FINISHED, FAILED, INTERRUPTED = "running", "finished", "failed", "interrupted"
CANCELED = "cancelled"  # spelled so in existing databases
PREVIEW, RUN, DECIDED = "preview", "run", "decided"
TITLES = {PREVIEW: "Preview", RUN: "Run", DECIDED: "New thresholds"}


@dataclass(frozen=True)
class StudioJob:
    """A run or a preview of a block on `sample_ids`, or labels that were decided again from the scores of such a job.

    `parameters` come from the block's form, without secrets.

    `state` is `RUNNING`, `FINISHED` (exit code 0), `FAILED` (any other exit code), `CANCELED`, or `INTERRUPTED` (the
    server stopped first). Times are ISO 8601 in UTC; `ended` is empty while the job runs. `record` is the JSON of how
    it decides labels, a `RunRecord`; empty if the block hasn't said it.
    """

    id: int
    kind: str
    block: str
    parameters: Mapping[str, str]
    sample_ids: tuple[int, ...]
    state: str
    exit_code: int | None
    started: str
    ended: str
    pid: int | None
    record: str = ""

    @property
    def is_preview(self) -> bool:
        """True if it proposes labels instead of writing them."""
        return self.kind != RUN

    @property
    def title(self) -> str:
        return f"{TITLES.get(self.kind, self.kind)} {self.id}"

    @property
    def is_running(self) -> bool:
        return self.state == RUNNING


class JobStore:
    """The jobs of the project in `store`. Can be used from several threads."""

    def __init__(self, store: SampleStore) -> None:
        self._store = store

    def create(self, kind: str, block: str, parameters: Mapping[str, str], sample_ids: Sequence[int]) -> StudioJob:
        """Store a new, running job. Its id is higher than those of all jobs and proposals."""
        values = (kind, block, rows.dump(dict(parameters)), rows.dump(list(sample_ids)), RUNNING, rows.now())
        with self._store.transaction() as db:
            inserted = db.execute(
                "INSERT INTO jobs (id, kind, block, parameters, sample_ids, state, started) "
                "SELECT 1 + COALESCE(MAX(id), 0), ?, ?, ?, ?, ?, ? "
                "FROM (SELECT id FROM jobs UNION ALL SELECT job_id FROM proposals)",
                values,
            )
            return _job_of(db.execute("SELECT * FROM jobs WHERE id = ?", (inserted.lastrowid,)).fetchone())

    def set_pid(self, job_id: int, pid: int) -> None:
        with self._store.transaction() as db:
            db.execute("UPDATE jobs SET pid = ? WHERE id = ?", (pid, job_id))

    def set_record(self, job_id: int, record: RunRecord) -> None:
        """Store how a job decides labels."""
        with self._store.transaction() as db:
            db.execute("UPDATE jobs SET record = ? WHERE id = ?", (rows.dump(record.to_json()), job_id))

    def end(self, job_id: int, state: str, exit_code: int | None) -> None:
        values = (state, exit_code, rows.now(), job_id)
        with self._store.transaction() as db:
            db.execute("UPDATE jobs SET state = ?, exit_code = ?, ended = ? WHERE id = ?", values)

    def running(self) -> list[StudioJob]:
        """Return the jobs that are running, or were running when their server was killed."""
        return [_job_of(row) for row in self._store.read("SELECT * FROM jobs WHERE state = ? ORDER BY id", RUNNING)]

    def remove(self, job_id: int) -> None:
        """Delete a job that couldn't be started."""
        with self._store.transaction() as db:
            db.execute("DELETE FROM jobs WHERE id = ?", (job_id,))

    def done(self, job: StudioJob) -> set[int]:
        """Return the ids of the samples for which a job has details or a proposal or, in a run, that it changed."""
        query = "SELECT sample_id FROM details WHERE job_id = ? UNION SELECT sample_id FROM proposals WHERE job_id = ?"
        found = self._store.read(query, job.id, job.id)
        if not job.is_preview:
            found += self._store.read("SELECT id AS sample_id FROM samples WHERE modified >= ?", job.started)
        return {row["sample_id"] for row in found} & set(job.sample_ids)

    def seconds(self, sample_ids: Collection[int]) -> float:
        """Return the length of these samples together, in seconds; those without a rate count as nothing."""
        query = (
            "SELECT SUM(values_count / frequency_hz) AS seconds FROM samples "
            "WHERE frequency_hz > 0 AND id IN (SELECT value FROM json_each(?))"
        )
        return float(self._store.read(query, rows.dump(list(sample_ids)))[0]["seconds"] or 0)

    def errors(self, job_id: int) -> dict[int, str]:
        """Return the errors that a job reported, by sample id."""
        query = "SELECT sample_id, details FROM details WHERE job_id = ? AND details LIKE ? ORDER BY sample_id"
        found = self._store.read(query, job_id, '{"error":%')
        return {row["sample_id"]: json.loads(row["details"])["error"] for row in found}

    def get(self, job_id: int) -> StudioJob | None:
        found = self._store.read("SELECT * FROM jobs WHERE id = ?", job_id)
        return _job_of(found[0]) if found else None

    def latest(self, limit: int = 50) -> list[StudioJob]:
        return [_job_of(row) for row in self._store.read("SELECT * FROM jobs ORDER BY id DESC LIMIT ?", limit)]

    def add_details(self, job_id: int, details: Mapping[int, Mapping[str, object]]) -> None:
        """Store the details that a block reported, by sample id. The samples must exist."""
        with self._store.transaction() as db:
            for sample_id, one in details.items():
                db.execute(
                    "INSERT OR REPLACE INTO details (sample_id, job_id, details) "
                    "SELECT id, ?, ? FROM samples WHERE id = ?",
                    (job_id, rows.dump(dict(one)), sample_id),
                )

    def details(self, sample_id: int, job_id: int) -> dict[str, object]:
        """Return the details that a job reported for a sample, or an empty map if there are none."""
        found = self._store.read("SELECT details FROM details WHERE sample_id = ? AND job_id = ?", sample_id, job_id)
        details: dict[str, object] = json.loads(found[0]["details"]) if found else {}
        return details

    def contents(self, job_id: int) -> dict[int, str]:
        """Return the content of each sample that a job labeled, the SHA-256 of its audio as the block got it."""
        query = (
            "SELECT sample_id, json_extract(details, '$.content') AS content FROM details "
            "WHERE job_id = ? AND content IS NOT NULL ORDER BY sample_id"
        )
        return {row["sample_id"]: row["content"] for row in self._store.read(query, job_id)}

    def open_proposals(self) -> dict[int, tuple[int, str]]:
        """Return the newest job that has an open proposal for a sample, and the changes as JSON text, by sample id."""
        # SQLite takes the other columns from the row that has the maximum.
        query = (
            "SELECT sample_id, MAX(job_id) AS job_id, changes FROM proposals WHERE NOT is_unchanged GROUP BY sample_id"
        )
        found = self._store.read(query)
        return {row["sample_id"]: (row["job_id"], row["changes"]) for row in found}

    def open_counts(self) -> dict[int, int]:
        """Return the number of open proposals for samples whose file exists, by job id."""
        found = self._store.read(
            "SELECT job_id, COUNT(*) AS count FROM proposals JOIN samples ON samples.id = sample_id "
            "WHERE NOT is_missing AND NOT is_unchanged GROUP BY job_id"
        )
        return {row["job_id"]: row["count"] for row in found}


def _job_of(row: sqlite3.Row) -> StudioJob:
    """Return the job in a row, whose columns have the names of the fields."""
    parsed = {
        "parameters": json.loads(row["parameters"]),
        "sample_ids": tuple(json.loads(row["sample_ids"])),
        "ended": row["ended"] or "",
    }
    return StudioJob(**{**dict(row), **parsed})
