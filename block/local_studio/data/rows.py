"""Convert between database rows and the dataclasses of `sample`. Lists and maps are stored as JSON text."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from block.local_studio.data.folder import InspectedFile
from block.local_studio.data.sample import LocalSample, ProposedChanges, StructuredLabel

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
        created TEXT NOT NULL, modified TEXT NOT NULL, added TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE proposals (
        job_id INTEGER NOT NULL, sample_id INTEGER NOT NULL REFERENCES samples (id), changes TEXT NOT NULL,
        PRIMARY KEY (job_id, sample_id)
    ) WITHOUT ROWID
    """,
)
# What version 2 adds to version 1.
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

# What version 3 adds to version 2. It reads formats other than WAV to their end, so these files must be read again.
SCHEMA_3 = (
    "ALTER TABLE samples ADD COLUMN missing TEXT NOT NULL DEFAULT ''",
    "UPDATE samples SET mtime_ns = NULL WHERE lower(CAST(path AS TEXT)) NOT LIKE '%.wav'",
)

# What version 4 adds to version 3. Verdicts of one `batch` are undone together, and those of batch 0 never; `before` is
# what undoing restores, as JSON.
SCHEMA_4 = (
    """
    CREATE TABLE verdicts (
        id INTEGER PRIMARY KEY, batch INTEGER NOT NULL, job_id INTEGER NOT NULL,
        sample_id INTEGER NOT NULL REFERENCES samples (id), "start" INTEGER NOT NULL, "end" INTEGER NOT NULL,
        label TEXT NOT NULL, was TEXT NOT NULL, kind TEXT NOT NULL, decided TEXT NOT NULL, before TEXT NOT NULL
    )
    """,
    "CREATE INDEX verdicts_of_samples ON verdicts (job_id, sample_id)",
    "CREATE TABLE label_colors (label TEXT PRIMARY KEY, color INTEGER NOT NULL) WITHOUT ROWID",
)

# What version 5 adds to version 4. A proposal that changes nothing, as for a recording that failed, isn't offered.
SCHEMA_5 = ("ALTER TABLE proposals ADD COLUMN is_unchanged INTEGER NOT NULL DEFAULT 0",)

# What version 6 adds to version 5: how a job decides labels, the JSON of a `RunRecord`; empty if it isn't known.
SCHEMA_6 = ("ALTER TABLE jobs ADD COLUMN record TEXT NOT NULL DEFAULT ''",)

# What version 7 adds to version 6: a person's verdicts on what sounds like the values `sound_start` … `sound_end` - 1
# of the sample `sound_sample`.
SCHEMA_7 = (
    """
    CREATE TABLE examples (
        sound_sample INTEGER NOT NULL REFERENCES samples (id), sound_start INTEGER NOT NULL, sound_end INTEGER NOT NULL,
        sample_id INTEGER NOT NULL REFERENCES samples (id), "start" INTEGER NOT NULL, "end" INTEGER NOT NULL,
        is_like INTEGER NOT NULL,
        PRIMARY KEY (sound_sample, sound_start, sound_end, sample_id, "start", "end")
    )
    """,
)
SCHEMAS = (SCHEMA, SCHEMA_2, SCHEMA_3, SCHEMA_4, SCHEMA_5, SCHEMA_6, SCHEMA_7)

# Columns that have the same value for every recording.
CONSTANTS = {"sensors": '[{"name":"audio","units":"wav"}]', "chart_type": "chart", "is_processing": False}

SELECT_SAMPLES = """
    SELECT id, path, name, category, label, frequency_hz, values_count, is_disabled, processing_error, metadata,
           structured_labels, sha256, created, modified, added, revision
    FROM samples WHERE NOT is_missing
"""


def parse_sample(row: sqlite3.Row) -> LocalSample:
    """Return the sample in a row of SELECT_SAMPLES, whose columns have the names of the fields."""
    labels = row["structured_labels"]
    parsed = {
        "is_disabled": bool(row["is_disabled"]),
        "metadata": json.loads(row["metadata"]),
        "structured_labels": None if labels is None else load_labels(labels),
    }
    return LocalSample(**{**dict(row), **parsed})


def file_columns_of(item: InspectedFile) -> dict[str, object]:
    """Return the columns that are updated whenever a file is read."""
    return {
        "size": item.file.stamp.size,
        "mtime_ns": item.file.stamp.mtime_ns,
        "processing_error": item.problem,
        "missing": item.missing,
    }


def audio_columns_of(item: InspectedFile) -> dict[str, object]:
    """Return the columns that are updated only if a file could be read, since labels refer to them."""
    return {"frequency_hz": float(item.frequency_hz), "values_count": item.values, "sha256": item.sha256}


def new_columns_of(item: InspectedFile) -> dict[str, object]:
    """Return all columns except the id of a new, unlabeled training sample for a file."""
    moment = now()
    return {
        **file_columns_of(item),
        **audio_columns_of(item),
        **CONSTANTS,
        "path": item.file.path,
        "name": item.file.path.decode("utf-8", "replace"),
        "category": "training",
        "label": "",
        "is_disabled": False,
        "metadata": "{}",
        "created": _iso(datetime.fromtimestamp(item.file.stamp.mtime_ns // 10**9, UTC)),
        "modified": moment,
        "added": moment,
    }


def parse_changes(text: str) -> ProposedChanges:
    """Return the changes in a row's JSON text, written by `ProposedChanges.to_json`."""
    value = json.loads(text)
    labels = value.get("structuredLabels")
    return ProposedChanges(
        label=value.get("label"),
        is_disabled=value.get("isDisabled"),
        metadata=value.get("metadata"),
        structured_labels=None if labels is None else _parse_labels(labels),
    )


def dump(value: object) -> str:
    """Return `value` as JSON text for a column."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def load_labels(text: str) -> tuple[StructuredLabel, ...]:
    """Return the structured labels in a column."""
    return _parse_labels(json.loads(text))


def dump_labels(labels: Sequence[StructuredLabel]) -> str:
    """Return structured labels as JSON text for their column."""
    return dump([item.to_json() for item in labels])


def now() -> str:
    """Return the current UTC time in ISO 8601, to the millisecond."""
    return _iso(datetime.now(UTC))


def _parse_labels(items: Sequence[Mapping[str, Any]]) -> tuple[StructuredLabel, ...]:
    return tuple(StructuredLabel(item["startIndex"], item["endIndex"], item["label"]) for item in items)


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
