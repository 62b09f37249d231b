"""The rows of the list, made anew only for recordings that have changed: each time, the database says which have."""

from __future__ import annotations

import json

from block.local_studio import rows
from block.local_studio.job_store import JobStore
from block.local_studio.recordings_list import Entry, entry
from block.local_studio.store import Store

NEWEST_DETAILS = """
    SELECT sample_id, details FROM details d
    WHERE job_id = (SELECT MAX(job_id) FROM details WHERE sample_id = d.sample_id)
"""

_State = tuple[int, int, int | None]


class KeptRows:
    """The rows of one project. May be used from several threads."""

    def __init__(self, store: Store, jobs: JobStore) -> None:
        self._store = store
        self._jobs = jobs
        self._kept: dict[int, tuple[_State, Entry]] = {}

    def now(self) -> list[Entry]:
        """A row for every recording, by id: three queries, however many there are."""
        said = {row["sample_id"]: row["details"] for row in self._store.read(NEWEST_DETAILS)}
        proposals = self._jobs.open_proposals()
        before, kept = self._kept, {}
        for row in self._store.read(f"{rows.SELECT_SAMPLES} ORDER BY id"):
            sample_id = row["id"]
            text, job_id = said.get(sample_id, "{}"), proposals.get(sample_id)
            state = row["revision"], hash(text), job_id
            found = before.get(sample_id)
            if found is None or found[0] != state:
                found = state, entry(rows.sample_of(row), json.loads(text), job_id)
            kept[sample_id] = found
        self._kept = kept  # in one step: other threads see the rows before or after it
        return [one for _, one in kept.values()]
