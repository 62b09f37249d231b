"""The list of recordings: which are shown, in which order and state, and the sums over all. Pure functions.

The query string is the state of the list: a filter is read from one and written into one, and blanks mean "any", for
a form sends them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from urllib.parse import urlencode

from block.edge_impulse.label_owner import PEOPLE, SEGMENTS, fingerprint
from block.labeling.job import LABELED_BY
from block.local_studio.api.list_query import Query
from block.local_studio.data.sample import LocalSample
from block.local_studio.data.validation import RequestError
from block.local_studio.web.segments import is_uncertain

PAGE = 200  # recordings
MOST_SHARES = 5  # labels that a row names
STATES = {
    "": "all",
    "unlabelled": "unlabelled",
    "labelled": "labelled",
    "hand": "labelled by hand",
    "proposed": "proposed",
    "uncertain": "uncertain",
    "failed": "failed",
}
SORTS = {"": "name", "changed": "last changed", "longest": "longest", "shortest": "shortest"}
NOBODY, HAND, BLOCK, OTHER = "nobody", "hand", "block", "other"  # who gave the labels


@dataclass(frozen=True)
class Filter:
    """Which recordings, in which order, and which page of them, from 1. Empty texts mean any; see STATES and SORTS."""

    search: str = ""
    label: str = ""
    state: str = ""
    sort: str = ""
    page: int = 1

    @staticmethod
    def of(pairs: Sequence[tuple[str, str]]) -> Filter:
        """The filter in the parameters of a query string. Raises Refused where it would not mean what it seems to."""
        query = Query.parse(
            [(name, value) for name, value in pairs if value], ("search", "label", "state", "sort", "page")
        )
        return Filter(
            search=query.values.get("search") or "",
            label=query.values.get("label") or "",
            state=_choice(query, "state", STATES),
            sort=_choice(query, "sort", SORTS),
            page=query.integer("page", least=1) or 1,
        )

    def query(self, **changes: object) -> str:
        """The query string of this filter with `changes`; back on the first page unless they name one."""
        changed = replace(self, **{"page": 1, **changes})  # type: ignore[arg-type]
        values = {"search": changed.search, "label": changed.label, "state": changed.state, "sort": changed.sort}
        if changed.page > 1:
            values["page"] = str(changed.page)
        return urlencode({name: value for name, value in values.items() if value})

    def link(self, **changes: object) -> str:
        """The address of the list with this filter and `changes`."""
        query = self.query(**changes)
        return f"/?{query}" if query else "/"

    @property
    def is_any(self) -> bool:
        """Does it let every recording through?"""
        return not (self.search or self.label or self.state)


@dataclass(frozen=True)
class Share:
    """How much of a recording has a label: `seconds`, None where the rate is unknown, and where its bar is, 0…100."""

    label: str
    seconds: float | None
    left: float
    width: float


@dataclass(frozen=True)
class RecordingRow:
    """A row. `job_id` is that of an open proposal; `error` says why a block failed at it, empty where none did."""

    sample: LocalSample
    given_by: str
    job_id: int | None
    is_uncertain: bool
    error: str

    @property
    def length_s(self) -> float:
        return self.sample.length_ms / 1000

    @property
    def is_labelled(self) -> bool:
        return self.given_by != NOBODY

    @cached_property
    def labels(self) -> frozenset[str]:
        """All that is written on it."""
        sample = self.sample
        if sample.structured_labels:
            return frozenset(one.label for one in sample.structured_labels)
        return frozenset((sample.label,)) if sample.label else frozenset()

    @cached_property
    def shares(self) -> list[Share]:
        """Of each label, the largest first."""
        sample = self.sample
        values: Counter[str] = Counter()
        for one in sample.structured_labels or ():
            values[one.label] += one.end_index - one.start_index + 1
        if not values and sample.label:
            values[sample.label] = max(1, sample.values_count)
        whole, left, shares = sum(values.values()), 0.0, []
        for label, count in sorted(values.items(), key=lambda item: (-item[1], item[0])):
            seconds = count / sample.frequency_hz if sample.frequency_hz else None
            width = 100 * count / whole
            shares.append(Share(label, seconds, left, width))
            left += width
        return shares

    @property
    def unnamed(self) -> int:
        """How many labels a row has no room for."""
        return max(0, len(self.shares) - MOST_SHARES)


@dataclass(frozen=True)
class Totals:
    """How many recordings there are, how many of them have labels, how many seconds they last."""

    count: int
    labelled: int
    by_hand: int
    seconds: float

    @staticmethod
    def of(entries: Iterable[RecordingRow]) -> Totals:
        there = list(entries)
        return Totals(
            len(there),
            sum(one.is_labelled for one in there),
            sum(one.given_by == HAND for one in there),
            sum(one.length_s for one in there),
        )


def entry(sample: LocalSample, said: Mapping[str, object], job_id: int | None) -> RecordingRow:
    """The row of a sample, of which the newest details are `said`; `job_id` is that of an open proposal for it."""
    by = given_by(sample)
    error = said.get("error")
    # What a person has labelled is settled, whatever a block had to say of it; an open proposal is not.
    is_settled = by == HAND and job_id is None
    return RecordingRow(
        sample,
        by,
        job_id,
        not is_settled and is_uncertain(said, sample, has_proposal=job_id is not None),
        str(error) if error and not is_settled else "",
    )


def entries(
    samples: Iterable[LocalSample], details: Mapping[int, Mapping[str, object]], proposals: Mapping[int, int]
) -> list[RecordingRow]:
    """A row for each sample. `details` and `proposals` are the newest that jobs said and proposed, by sample id."""
    return [entry(sample, details.get(sample.id, {}), proposals.get(sample.id)) for sample in samples]


def chosen(rows: Iterable[RecordingRow], wanted: Filter) -> list[RecordingRow]:
    """The rows that the filter lets through, in its order, on all pages."""
    kept = [row for row in rows if _accepts(wanted, row)]
    kept.sort(key=lambda row: (natural(row.sample.name), row.sample.id))
    if wanted.sort == "changed":
        kept.sort(key=lambda row: row.sample.modified, reverse=True)
    elif wanted.sort:
        kept.sort(key=lambda row: row.length_s, reverse=wanted.sort == "longest")
    return kept


def natural(name: str) -> tuple[tuple[str, int], ...]:
    """By which names are ordered as people do: `take 2` before `take 10`, capitals like small letters."""
    return tuple((text.casefold(), int(digits or -1)) for text, digits in re.findall(r"(\D*)(\d{0,18})", name))


def label_counts(rows: Iterable[RecordingRow]) -> list[tuple[str, int]]:
    """Every label and how many recordings have it, in the order of names."""
    counts = Counter(label for row in rows for label in row.labels if label)
    return sorted(counts.items(), key=lambda item: natural(item[0]))


def given_by(sample: LocalSample) -> str:
    """Who gave a sample its labels: NOBODY, HAND, BLOCK, or OTHER where nothing says so.

    As the block that labels understands it: labels that are no longer those it wrote were changed by hand.
    """
    if not sample.structured_labels and not sample.label:
        return NOBODY
    writer = sample.metadata.get("labeled_by", "").strip().lower()
    if not writer:
        return OTHER
    if writer in PEOPLE:
        return HAND
    written = sample.metadata.get(SEGMENTS)
    if writer == LABELED_BY and written and sample.structured_labels:
        return BLOCK if fingerprint([one.to_json() for one in sample.structured_labels]) == written else HAND
    return BLOCK


def _accepts(wanted: Filter, row: RecordingRow) -> bool:
    is_in_state = {
        "": True,
        "unlabelled": not row.is_labelled,
        "labelled": row.is_labelled,
        "hand": row.given_by == HAND,
        "proposed": row.job_id is not None,
        "uncertain": row.is_uncertain,
        "failed": bool(row.error) or row.sample.processing_error is not None,
    }[wanted.state]
    return (
        is_in_state
        and (not wanted.label or wanted.label in row.labels)
        and wanted.search.casefold() in row.sample.name.casefold()
    )


def _choice(query: Query, name: str, known: Mapping[str, str]) -> str:
    value = query.values.get(name) or ""
    if value not in known:
        raise RequestError(f"{name} must be one of {', '.join(one for one in known if one)}, got {value[:40]!r}")
    return value
