"""Rows of the database ↔ the dataclasses of `sample`. Lists and maps are kept as JSON text."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from block.local_studio.data.folder import InspectedFile
from block.local_studio.data.sample import AUDIO_SENSOR, LocalSample, ProposedChanges, Sensor, StructuredLabel

SCHEMA = (
    "CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    """
    CREATE TABLE samples (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        path BLOB UNIQUE, size INTEGER, mtime_ns INTEGER, is_missing INTEGER NOT NULL DEFAULT 0,
        name TEXT NOT NULL, category TEXT NOT NULL, label TEXT NOT NULL, frequency_hz REAL NOT NULL,
        values_count INTEGER NOT NULL, sensors TEXT NOT NULL, chart_type TEXT NOT NULL,
        is_disabled INTEGER NOT NULL, is_processing INTEGER NOT NULL, processing_error TEXT,
        metadata TEXT NOT NULL, structured_labels TEXT, sha256 TEXT NOT NULL,
        created TEXT NOT NULL, modified TEXT NOT NULL, added TEXT NOT NULL,
        wav BLOB
    )
    """,
    """
    CREATE TABLE proposals (
        job_id INTEGER NOT NULL, sample_id INTEGER NOT NULL REFERENCES samples (id), changes TEXT NOT NULL,
        PRIMARY KEY (job_id, sample_id)
    ) WITHOUT ROWID
    """,
)
# What version 2 has beside those of version 1.
SCHEMA_2 = (
    "ALTER TABLE samples ADD COLUMN revision INTEGER NOT NULL DEFAULT 0",
    """
    CREATE TABLE jobs (
        id INTEGER PRIMARY KEY, kind TEXT NOT NULL, block TEXT NOT NULL, parameters TEXT NOT NULL,
        sample_ids TEXT NOT NULL, state TEXT NOT NULL, exit_code INTEGER, started TEXT NOT NULL, ended TEXT, pid INTEGER
    )
    """,
    """
    CREATE TABLE details (
        sample_id INTEGER NOT NULL REFERENCES samples (id), job_id INTEGER NOT NULL REFERENCES jobs (id),
        details TEXT NOT NULL,
        PRIMARY KEY (sample_id, job_id)
    ) WITHOUT ROWID
    """,
)

SELECT_SAMPLES = """
    SELECT id, path, name, category, label, frequency_hz, values_count, sensors, chart_type, is_disabled,
           is_processing, processing_error, metadata, structured_labels, sha256, created, modified, added,
           wav IS NOT NULL AS has_wav, revision
    FROM samples WHERE NOT is_missing
"""


def sample_of(row: sqlite3.Row) -> LocalSample:
    """The sample in a row of SELECT_SAMPLES."""
    labels = row["structured_labels"]
    return LocalSample(
        id=row["id"],
        name=row["name"],
        category=row["category"],
        label=row["label"],
        frequency_hz=row["frequency_hz"],
        values_count=row["values_count"],
        sensors=tuple(Sensor(item["name"], item["units"]) for item in json.loads(row["sensors"])),
        chart_type=row["chart_type"],
        is_disabled=bool(row["is_disabled"]),
        is_processing=bool(row["is_processing"]),
        processing_error=row["processing_error"],
        metadata=json.loads(row["metadata"]),
        structured_labels=None if labels is None else _labels_of(json.loads(labels)),
        sha256=row["sha256"],
        created=row["created"],
        modified=row["modified"],
        added=row["added"],
        path=row["path"],
        has_wav=bool(row["has_wav"]),
        revision=row["revision"],
    )


def columns_of(sample: LocalSample) -> dict[str, object]:
    """The columns of a sample that is to be inserted; its id and path are left out."""
    labels = sample.structured_labels
    return {
        "name": sample.name,
        "category": sample.category,
        "label": sample.label,
        "frequency_hz": sample.frequency_hz,
        "values_count": sample.values_count,
        "sensors": dump([{"name": item.name, "units": item.units} for item in sample.sensors]),
        "chart_type": sample.chart_type,
        "is_disabled": sample.is_disabled,
        "is_processing": sample.is_processing,
        "processing_error": sample.processing_error,
        "metadata": dump(sample.metadata),
        "structured_labels": None if labels is None else dump_labels(labels),
        "sha256": sample.sha256,
        "created": sample.created,
        "modified": sample.modified,
        "added": sample.added,
    }


def file_columns_of(item: InspectedFile) -> dict[str, object]:
    """The columns that a file decides, each time it is read."""
    return {
        "size": item.file.size,
        "mtime_ns": item.file.mtime_ns,
        "frequency_hz": float(item.frequency_hz),
        "values_count": item.frames,
        "processing_error": item.problem,
        "sha256": item.sha256,
    }


def sample_of_file(item: InspectedFile) -> LocalSample:
    """A new, unlabelled sample of the category `training` for a file. Its id is not known yet."""
    moment = now()
    return LocalSample(
        id=0,
        name=item.file.name,
        category="training",
        label="",
        frequency_hz=float(item.frequency_hz),
        values_count=item.frames,
        sensors=(AUDIO_SENSOR,),
        chart_type="chart",
        is_disabled=False,
        is_processing=False,
        processing_error=item.problem,
        metadata={},
        structured_labels=None,
        sha256=item.sha256,
        created=_iso(datetime.fromtimestamp(item.file.mtime_ns // 10**9, UTC)),
        modified=moment,
        added=moment,
        path=item.file.path,
        has_wav=False,
    )


def changes_of(text: str) -> ProposedChanges:
    """The changes in a row's JSON text, as `ProposedChanges.to_json` wrote it."""
    value = json.loads(text)
    labels = value.get("structuredLabels")
    return ProposedChanges(
        label=value.get("label"),
        is_disabled=value.get("isDisabled"),
        metadata=value.get("metadata"),
        structured_labels=None if labels is None else _labels_of(labels),
    )


def dump(value: object) -> str:
    """JSON text for a column."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def dump_labels(labels: Sequence[StructuredLabel]) -> str:
    """JSON text for the column of structured labels."""
    return dump([item.to_json() for item in labels])


def now() -> str:
    """This moment in UTC, ISO 8601, to the millisecond."""
    return _iso(datetime.now(UTC))


def _labels_of(items: Sequence[Mapping[str, object]]) -> tuple[StructuredLabel, ...]:
    return tuple(
        StructuredLabel(int(str(item["startIndex"])), int(str(item["endIndex"])), str(item["label"])) for item in items
    )


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
