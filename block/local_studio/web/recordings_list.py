"""The list of recordings: a row for each, which rows a filter shows and in which order, and the sums over them.

The query string is the state of the list: a filter is read from one and written into one. Blanks mean "any", because
forms send them.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache
from typing import Any
from urllib.parse import urlencode

from block.edge_impulse.label_owner import LabelOwner, judge_owner
from block.local_studio.api.list_query import Query
from block.local_studio.data import rows as database_rows
from block.local_studio.data.sample import LocalSample, StructuredLabel
from block.local_studio.data.store import SampleStore
from block.local_studio.data.validation import RequestError
from block.local_studio.jobs.store import JobStore
from block.local_studio.web.segments import is_uncertain

NO_ONE, HAND, BLOCK, OTHER = "no one", "hand", "block", "other"  # who labeled a recording
# What the list calls each state, and which rows are in it.
STATES: Mapping[str, tuple[str, Callable[[RecordingRow], bool]]] = {
    "": ("all", lambda row: True),
    "unlabeled": ("unlabeled", lambda row: not row.is_labeled),
    "labeled": ("labeled", lambda row: row.is_labeled),
    "hand": ("labeled by hand", lambda row: row.labeled_by == HAND),
    "proposed": ("proposed", lambda row: row.job_id is not None),
    "uncertain": ("uncertain", lambda row: row.is_uncertain),
    "failed": ("failed", lambda row: row.has_failed),
}
SORTS = {"": "name", "changed": "last changed", "longest": "longest", "shortest": "shortest"}
NEWEST_DETAILS = """
    SELECT sample_id, details FROM details d
    WHERE job_id = (SELECT MAX(job_id) FROM details WHERE sample_id = d.sample_id)
"""


@dataclass(frozen=True)
class LabelShare:
    """How much of a recording has a label: `seconds`, None if the rate is unknown, and its place in a bar of 0…100."""

    label: str
    seconds: float | None
    left: float
    width: float


@dataclass(frozen=True)
class RecordingRow:
    """A row. `job_id` and `proposed` are of an open proposal; `error` says why a block failed, empty if none did."""

    sample: LocalSample
    labeled_by: str
    job_id: int | None
    proposed: tuple[StructuredLabel, ...]
    is_uncertain: bool
    error: str

    @property
    def length_s(self) -> float:
        return self.sample.length_ms / 1000

    @property
    def is_labeled(self) -> bool:
        return self.labeled_by != NO_ONE

    @property
    def has_failed(self) -> bool:
        return bool(self.error) or self.sample.processing_error is not None

    @cached_property
    def shares(self) -> tuple[LabelShare, ...]:
        """How much of the recording has each label, the largest share first; see `_compute_shares`."""
        return _compute_shares(self.sample, self.sample.structured_labels or (), self.sample.label)

    @cached_property
    def proposed_shares(self) -> tuple[LabelShare, ...]:
        """How much of the recording would have each label if the proposal were accepted."""
        return _compute_shares(self.sample, self.proposed, "")

    @cached_property
    def labels(self) -> frozenset[str]:
        """The labels that the recording has or may get."""
        return frozenset(share.label for share in (*self.shares, *self.proposed_shares))


class RowCache:
    """The rows of one project. May be used from several threads."""

    def __init__(self, store: SampleStore, jobs: JobStore) -> None:
        self._store = store
        self._jobs = jobs
        self._rows: dict[int, tuple[tuple[int, int, int], RecordingRow]] = {}  # each with what it was made of
        self._loaded: tuple[tuple[int, int], Sequence[RecordingRow]] = ((-1, -1), ())  # with the database's version

    def load(self) -> Sequence[RecordingRow]:
        """Return a row for every recording, by id. Takes three queries, or none while the database stays as it is."""
        version = self._store.version()
        known, loaded = self._loaded
        if known != version:
            loaded = self._read()
            self._loaded = version, loaded  # in one step: other threads see both, or neither
        return loaded

    def _read(self) -> Sequence[RecordingRow]:
        details = {row["sample_id"]: row["details"] for row in self._store.read(NEWEST_DETAILS)}
        proposals = self._jobs.open_proposals()
        before, now = self._rows, {}
        for row in self._store.read(f"{database_rows.SELECT_SAMPLES} ORDER BY id"):
            sample_id = row["id"]
            text, proposal = details.get(sample_id, "{}"), proposals.get(sample_id)
            state = row["revision"], hash(text), hash(proposal)
            entry = before.get(sample_id)
            if entry is None or entry[0] != state:
                job_id, changes = proposal or (None, "{}")
                proposed = database_rows.parse_changes(changes).structured_labels or ()
                entry = state, make_row(database_rows.parse_sample(row), json.loads(text), job_id, proposed)
            now[sample_id] = entry
        self._rows = now  # in one step: other threads see all rows before or after it
        return tuple(row for _, row in now.values())


@dataclass(frozen=True)
class Filter:
    """Which recordings, in which order, and which page of them, from 1. Empty texts mean any; see STATES and SORTS."""

    search: str = ""
    label: str = ""
    state: str = ""
    sort: str = ""
    page: int = 1

    @staticmethod
    def from_query(pairs: Sequence[tuple[str, str]]) -> Filter:
        """Read a query string's parameters. Raise RequestError if one wouldn't mean what it seems to."""
        query = Query.parse(
            [(name, value) for name, value in pairs if value], ("search", "label", "state", "sort", "page")
        )
        return Filter(
            search=query.values.get("search") or "",
            label=query.values.get("label") or "",
            state=_read_choice(query, "state", STATES),
            sort=_read_choice(query, "sort", SORTS),
            page=query.integer("page", least=1) or 1,
        )

    def link(self, **changes: object) -> str:
        """Return the list's address under this filter with `changes`: on its first page unless they name one."""
        values = asdict(replace(self, **{"page": 1, **changes}))  # type: ignore[arg-type]
        if values["page"] == 1:
            del values["page"]
        query = urlencode({name: value for name, value in values.items() if value})
        return f"/?{query}" if query else "/"

    @property
    def query(self) -> str:
        """The filter and its order as a query string with its question mark; empty if both are the list's own."""
        return self.link()[1:]

    @property
    def is_any(self) -> bool:
        """True if every recording passes."""
        return not (self.search or self.label or self.state)

    def apply(self, rows: Iterable[RecordingRow], kept: int = 0) -> list[RecordingRow]:
        """Return the rows that pass the filter, in its order, of all pages; and the sample `kept` in any case."""
        found = [row for row in rows if row.sample.id == kept or self._accepts(row)]
        found.sort(key=lambda row: (natural_key(row.sample.name), row.sample.id))
        if self.sort == "changed":
            found.sort(key=lambda row: row.sample.modified, reverse=True)
        elif self.sort:
            found.sort(key=lambda row: row.length_s, reverse=self.sort == "longest")
        return found

    def _accepts(self, row: RecordingRow) -> bool:
        _, is_in_state = STATES[self.state]
        return (
            is_in_state(row)
            and (not self.label or self.label in row.labels)
            and self.search.casefold() in row.sample.name.casefold()
        )


def make_row(
    sample: LocalSample,
    details: Mapping[str, Any],
    job_id: int | None,
    proposed: tuple[StructuredLabel, ...] = (),
) -> RecordingRow:
    """Return the row of a sample. `details` are a job's newest about it; `job_id` is the job that has `proposed`."""
    labeled_by = find_labeler(sample)
    # Labels by hand are settled, whatever a block reported; an open proposal is not.
    is_settled = labeled_by == HAND and job_id is None
    return RecordingRow(
        sample,
        labeled_by,
        job_id,
        proposed,
        is_uncertain=not is_settled and is_uncertain(details, sample, has_proposal=job_id is not None),
        error="" if is_settled else str(details.get("error") or ""),
    )


def _compute_shares(sample: LocalSample, labels: Iterable[StructuredLabel], whole: str) -> tuple[LabelShare, ...]:
    """Return the shares of the labels in a recording, the largest first. `whole` is its label if there are none."""
    counts: Counter[str] = Counter()
    for one in labels:
        counts[one.label] += one.end_index - one.start_index + 1
    if not counts and whole:
        counts[whole] = max(1, sample.values_count)
    left, shares, total = 0.0, [], counts.total()
    for label, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        seconds = count / sample.frequency_hz if sample.frequency_hz else None
        width = 100 * count / total
        shares.append(LabelShare(label, seconds, left, width))
        left += width
    return tuple(shares)


def find_labeler(sample: LocalSample) -> str:
    """Return who labeled a sample: NO_ONE, HAND, BLOCK, or OTHER if nothing says so.

    The block decides by the same rules whether it may replace labels. Another block that names itself counts too.
    """
    if not sample.structured_labels and not sample.label:
        return NO_ONE
    owner = judge_owner(sample.metadata, [one.to_json() for one in sample.structured_labels or ()], sample.label)
    if owner is LabelOwner.PERSON:
        return HAND
    is_named = bool(sample.metadata.get("labeled_by", "").strip())
    return OTHER if owner is LabelOwner.OTHER and not is_named else BLOCK


def count_totals(rows: Sequence[RecordingRow]) -> dict[str, float]:
    """Return how many recordings there are, how many of them are labeled, how many by hand, and how long all are."""
    return {
        "count": len(rows),
        "labeled": sum(row.is_labeled for row in rows),
        "by_hand": sum(row.labeled_by == HAND for row in rows),
        "seconds": sum(row.length_s for row in rows),
    }


def count_labels(rows: Iterable[RecordingRow]) -> list[tuple[str, int]]:
    """Return every label and how many recordings have it, in the order of names."""
    counts = Counter(label for row in rows for label in row.labels if label)
    return sorted(counts.items(), key=lambda item: natural_key(item[0]))


@lru_cache(maxsize=1 << 15)
def natural_key(name: str) -> tuple[tuple[str, int], ...]:
    """Return a key that sorts names as people do: `take 2` before `take 10`, capitals like small letters."""
    return tuple((text.casefold(), int(digits or -1)) for text, digits in re.findall(r"(\D*)(\d{0,18})", name))


def _read_choice(query: Query, name: str, known: Iterable[str]) -> str:
    value = query.values.get(name, "")
    if value not in known:
        raise RequestError(f"{name} must be one of {', '.join(one for one in known if one)}, got {value[:40]!r}")
    return value
