"""What a person decided about single segments: stored one by one, and undone in the opposite order.

A verdict on a segment of an open proposal changes the proposal. Once verdicts cover the whole recording, the proposal
becomes the recording's labels, marked as a person's. A verdict on labels that a recording already has changes them, and
marks them as a person's, at once. Each verdict is one transaction, so a killed server loses none.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from block.local_studio.data import rows
from block.local_studio.data.painting import cut, merge, paint, subtract
from block.local_studio.data.sample import LocalSample, StructuredLabel
from block.local_studio.data.sample_state import COLUMNS, SampleState, can_go_back, go_back, write_columns
from block.local_studio.data.store import BY_HAND, SampleStore, StaleError

NO_JOB = 0  # the job of verdicts on labels that a recording already has
ACCEPTED, REJECTED, LABELED, MOVED = KINDS = ("accepted", "rejected", "labeled", "moved")  # what a person did
# What a person did with many segments at once, without hearing each: labels that are accepted so stay the block's, and
# of a discarded proposal nothing is left. Both have empty labels.
IN_BULK, DISCARDED = "accepted in bulk", "discarded"
# What a person did with a whole recording, outside of a review. Both labels are empty.
ACCEPTED_WHOLE, REJECTED_WHOLE, EDITED = WHOLE = ("accepted the proposal", "rejected the proposal", "edited the labels")
NEWEST = "SELECT MAX(batch) FROM verdicts WHERE batch > 0 AND ?1 IN (job_id, 0)"
NEWEST_OF_SAMPLE = "SELECT MAX(batch) FROM verdicts WHERE batch > 0 AND sample_id = ?"
OF_BATCH = "SELECT * FROM verdicts WHERE batch = ? ORDER BY id DESC"
NEXT_BATCH = "SELECT 1 + COALESCE(MAX(batch), 0) FROM verdicts"
Result = TypeVar("Result")


@dataclass(frozen=True)
class Verdict:
    """A person's label for the values `start` … `end` - 1 of a sample, which had the label `was`.

    `job_id` is the job that proposed `was`, or NO_JOB. `kind` is one of KINDS or WHOLE, IN_BULK or DISCARDED.
    """

    job_id: int
    sample_id: int
    start: int
    end: int
    label: str
    was: str
    kind: str

    @property
    def as_label(self) -> StructuredLabel:
        return StructuredLabel(self.start, self.end - 1, self.label)


@dataclass(frozen=True)
class BorderMove:
    """A verdict that also moves its segment's borders from `start` … `end` - 1, values of the recording.

    What it gives up goes to the neighbors, or gets the label `left_over` where there is none.
    """

    start: int
    end: int
    left_over: str


class VerdictStore:
    """The verdicts in the project's database. Can be used from several threads."""

    def __init__(self, store: SampleStore) -> None:
        self._store = store

    def decide(self, verdicts: Sequence[Verdict], move: BorderMove | None = None) -> int:
        """Store verdicts that are undone together, and return their number, which `undo` takes.

        `move` is for a single verdict. Raise StaleError, and store nothing, if a segment no longer has the label `was`.
        """
        with self._store.transaction() as db:
            (batch,) = db.execute(NEXT_BATCH).fetchone()
            for verdict in verdicts:
                before = self._apply(db, verdict, move or BorderMove(verdict.start, verdict.end, ""))
                _insert(db, verdict, batch, before)
        return int(batch)

    def decide_whole(self, kind: str, job_id: int, sample: LocalSample, act: Callable[[], Result]) -> Result:
        """Do `act`, which changes the labels of a whole sample or its proposals, so that it can be undone.

        `kind` is one of WHOLE. Return what `act` returns, and store nothing if it raises.
        """
        with self._store.transaction() as db:
            (batch,) = db.execute(NEXT_BATCH).fetchone()
            before = SampleState.read(db, sample.id)
            result = act()
            if change := before.describe_change(SampleState.read(db, sample.id)):
                _insert(db, Verdict(job_id, sample.id, 0, sample.values_count, "", "", kind), batch, change)
        return result

    def undo(self, job_id: int = NO_JOB) -> list[Verdict]:
        """Undo the newest verdict, of a job if one is given, with those that were stored together with it.

        Return what was undone; nothing if there was nothing. Raise StaleError, and undo nothing, if a recording has
        been changed since.
        """
        return self._undo(NEWEST, job_id)

    def undo_sample(self, sample_id: int, batch: int) -> list[Verdict]:
        """Undo the newest verdict on a sample, as `undo` does. Raise StaleError if it isn't of this batch."""
        with self._store.transaction():
            if self.find_newest(sample_id)[0] != batch:
                raise StaleError
            return self._undo(NEWEST_OF_SAMPLE, sample_id)

    def find_newest(self, sample_id: int) -> tuple[int, int]:
        """Return the batch of the newest verdict on a sample that can be undone, and how many samples it is about.

        Both are 0 if there is none.
        """
        ((batch,),) = self._store.read(NEWEST_OF_SAMPLE, sample_id)
        return batch or 0, len({row["sample_id"] for row in self._store.read(OF_BATCH, batch)})

    def _undo(self, newest: str, key: int) -> list[Verdict]:
        with self._store.transaction() as db:
            (batch,) = db.execute(newest, (key,)).fetchone()
            found = db.execute(OF_BATCH, (batch,)).fetchall()
            for row in found:
                self._revert(db, _verdict_of(row), json.loads(row["before"]))
                db.execute("DELETE FROM verdicts WHERE id = ?", (row["id"],))
        return [_verdict_of(row) for row in found]

    def list_decided(self, job_ids: Iterable[int]) -> list[Verdict]:
        """Return the verdicts on single segments of these jobs that can be undone, oldest first."""
        query = "SELECT * FROM verdicts WHERE batch > 0 AND job_id IN (SELECT value FROM json_each(?)) ORDER BY id"
        found = [_verdict_of(row) for row in self._store.read(query, rows.dump(list(job_ids)))]
        return [verdict for verdict in found if verdict.kind in KINDS]

    def list_heard(self, job_id: int) -> list[Verdict]:
        """Return the verdicts on single segments of a job, and those of other jobs that can be undone, oldest first."""
        query = "SELECT * FROM verdicts WHERE batch > 0 OR job_id = ? ORDER BY id"
        return [one for one in map(_verdict_of, self._store.read(query, job_id)) if one.kind in KINDS]

    def list_history(self, sample_id: int, limit: int) -> list[tuple[str, Verdict]]:
        """Return the newest verdicts on a sample, newest first, each with its time in ISO 8601."""
        query = "SELECT * FROM verdicts WHERE sample_id = ? ORDER BY id DESC LIMIT ?"
        return [(row["decided"], _verdict_of(row)) for row in self._store.read(query, sample_id, limit)]

    def _apply(self, db: sqlite3.Connection, verdict: Verdict, move: BorderMove) -> dict[str, Any]:
        """Write a verdict to the proposal or the sample. Return what `_revert` needs."""
        sample = _read_sample(db, verdict.sample_id)
        proposal = _read_proposal(db, verdict)
        labels = _labels_of(sample, proposal)
        new: list[StructuredLabel]
        if verdict.kind in (IN_BULK, DISCARDED):
            if proposal is None:
                raise StaleError
            new = cut(labels, verdict.start, verdict.end - 1)
            if verdict.kind == DISCARDED:
                _delete_proposal(db, verdict)
                return {"labels": [], "proposal": proposal}
        else:
            if {one.label for one in cut(labels, move.start, move.end - 1)} != {verdict.was}:
                raise StaleError
            new = [*_fill_leftovers(labels, verdict, move), verdict.as_label]
        first, last = min(one.start_index for one in new), max(one.end_index for one in new)
        before: dict[str, Any] = {"labels": [one.to_json() for one in cut(labels, first, last)]}
        painted = paint(labels, new)
        if proposal is None:
            before["metadata"] = sample["metadata"]
            write_columns(db, sample["id"], structured_labels=rows.dump_labels(painted), metadata=_mark_as_hand(sample))
        elif self._is_complete(verdict, labels):
            before |= {"sample": {column: sample[column] for column in COLUMNS}, "proposal": proposal}
            changes = rows.parse_changes(rows.dump(proposal))
            write_columns(
                db,
                sample["id"],
                label=sample["label"] if changes.label is None else changes.label,
                is_disabled=sample["is_disabled"] if changes.is_disabled is None else changes.is_disabled,
                metadata=self._describe_writer(sample, changes.metadata, verdict),
                structured_labels=rows.dump_labels(painted),
            )
            _delete_proposal(db, verdict)
        else:
            _write_proposal(db, verdict, proposal, painted)
        return before

    def _is_complete(self, verdict: Verdict, labels: Sequence[StructuredLabel]) -> bool:
        """Return True if `verdict` and those before it cover all of the sample."""
        query = 'SELECT "start", "end" FROM verdicts WHERE job_id = ? AND sample_id = ? AND batch > 0'
        spans = [(row["start"], row["end"]) for row in self._store.read(query, verdict.job_id, verdict.sample_id)]
        return not subtract(labels, [*spans, (verdict.start, verdict.end)])

    def _describe_writer(self, sample: sqlite3.Row, proposed: Mapping[str, str] | None, verdict: Verdict) -> str:
        """Return the metadata of a complete recording. It is a person's if a person decided on any segment of it."""
        query = "SELECT 1 FROM verdicts WHERE job_id = ? AND sample_id = ? AND batch > 0 AND kind != ?"
        others = self._store.read(query, verdict.job_id, verdict.sample_id, IN_BULK)
        if verdict.kind != IN_BULK or others:
            return _mark_as_hand(sample, proposed)
        if proposed is not None:
            return rows.dump(dict(proposed))
        return rows.dump({key: one for key, one in json.loads(sample["metadata"]).items() if key not in BY_HAND})

    def _revert(self, db: sqlite3.Connection, verdict: Verdict, before: Mapping[str, Any]) -> None:
        sample = _read_sample(db, verdict.sample_id)
        if verdict.kind in WHOLE:
            if not can_go_back(db, verdict.sample_id, before):
                raise StaleError
            go_back(db, verdict.sample_id, before)
            return
        proposal = _read_proposal(db, verdict)
        labels = _labels_of(sample, proposal)
        if verdict.kind == DISCARDED:
            if proposal is not None:
                raise StaleError
            earlier = rows.parse_changes(rows.dump(before["proposal"])).structured_labels or ()
            _write_proposal(db, verdict, before["proposal"], earlier)
            return
        if verdict.kind != IN_BULK and {one.label for one in cut(labels, verdict.start, verdict.end - 1)} != {
            verdict.label
        }:
            raise StaleError
        old = [StructuredLabel(one["startIndex"], one["endIndex"], one["label"]) for one in before["labels"]]
        if "proposal" in before:
            earlier = rows.parse_changes(rows.dump(before["proposal"])).structured_labels or ()
            expected = labels if verdict.kind == IN_BULK else paint(labels, old)
            if proposal is not None or expected != merge(earlier):
                raise StaleError
            write_columns(db, sample["id"], **before["sample"])
            _write_proposal(db, verdict, before["proposal"], earlier)
        elif proposal is None:
            if verdict.job_id != NO_JOB and "metadata" not in before:
                raise StaleError  # the proposal was accepted or rejected as a whole since
            dumped = rows.dump_labels(paint(labels, old))
            write_columns(db, sample["id"], structured_labels=dumped, metadata=before["metadata"])
        else:
            _write_proposal(db, verdict, proposal, paint(labels, old))


def _insert(db: sqlite3.Connection, verdict: Verdict, batch: int, before: Mapping[str, Any]) -> None:
    db.execute(
        'INSERT INTO verdicts (job_id, sample_id, "start", "end", label, was, kind, batch, decided, before)'
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*vars(verdict).values(), batch, rows.now(), rows.dump(before)),
    )


def _fill_leftovers(labels: Sequence[StructuredLabel], verdict: Verdict, move: BorderMove) -> list[StructuredLabel]:
    """Return the labels of what a segment gives up at its borders."""
    found = []
    if move.start < verdict.start:
        neighbor = cut(labels, move.start - 1, move.start - 1) if move.start else []
        found.append(StructuredLabel(move.start, verdict.start - 1, neighbor[0].label if neighbor else move.left_over))
    if verdict.end < move.end:
        neighbor = cut(labels, move.end, move.end)
        found.append(StructuredLabel(verdict.end, move.end - 1, neighbor[0].label if neighbor else move.left_over))
    return found


def _labels_of(sample: sqlite3.Row, proposal: Mapping[str, Any] | None) -> tuple[StructuredLabel, ...]:
    if proposal is not None:
        return rows.parse_changes(rows.dump(proposal)).structured_labels or ()
    return rows.load_labels(sample["structured_labels"] or "[]")


def _mark_as_hand(sample: sqlite3.Row, proposed: Mapping[str, str] | None = None) -> str:
    return rows.dump({**(json.loads(sample["metadata"]) if proposed is None else proposed), **BY_HAND})


def _read_sample(db: sqlite3.Connection, sample_id: int) -> sqlite3.Row:
    query = "SELECT id, label, is_disabled, metadata, structured_labels FROM samples WHERE id = ? AND NOT is_missing"
    row: sqlite3.Row | None = db.execute(query, (sample_id,)).fetchone()
    if row is None:
        raise StaleError
    return row


def _read_proposal(db: sqlite3.Connection, verdict: Verdict) -> dict[str, Any] | None:
    query = "SELECT changes FROM proposals WHERE job_id = ? AND sample_id = ?"
    row = db.execute(query, (verdict.job_id, verdict.sample_id)).fetchone()
    return None if row is None else json.loads(row["changes"])


def _write_proposal(
    db: sqlite3.Connection, verdict: Verdict, proposal: Mapping[str, Any], labels: Sequence[StructuredLabel]
) -> None:
    changes = rows.dump({**proposal, "structuredLabels": [one.to_json() for one in labels]})
    db.execute(
        "INSERT OR REPLACE INTO proposals (job_id, sample_id, changes) VALUES (?, ?, ?)",
        (verdict.job_id, verdict.sample_id, changes),
    )


def _delete_proposal(db: sqlite3.Connection, verdict: Verdict) -> None:
    keys = (verdict.job_id, verdict.sample_id)
    db.execute("DELETE FROM proposals WHERE job_id = ? AND sample_id = ?", keys)


def _verdict_of(row: sqlite3.Row) -> Verdict:
    names = ("job_id", "sample_id", "start", "end", "label", "was", "kind")
    return Verdict(**{name: row[name] for name in names})
