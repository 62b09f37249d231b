"""The segments to review, one after the other: those of a job's proposals, or of the recordings that a filter finds.

The query string is the state of a review, as it is the state of the list of recordings.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from block.local_studio.api.list_query import Query
from block.local_studio.data.painting import cut, merge, subtract
from block.local_studio.data.sample import LocalSample, StructuredLabel
from block.local_studio.data.validation import RequestError
from block.local_studio.data.verdicts import EDITED, LABELED, NO_JOB, Verdict, VerdictStore
from block.local_studio.web.range_order import RangeOrder
from block.local_studio.web.recording_view import can_draw
from block.local_studio.web.recordings_list import HAND, NEWEST_DETAILS, STATES, Filter, natural_key
from block.local_studio.web.segments import BlockLabels, as_count, as_number, describe_reason, find_entries
from block.local_studio.web.site import WebSite

ORDERS = {
    "": "most uncertain first",
    "score": "highest score first",
    "range": "spread over the scores",
    "label": "by label",
    "time": "by recording and time",
}
REVIEWED_STATES = {"": "with proposals", "uncertain": "uncertain", "all": "all that a block labeled"}
MOST_QUEUES = 8  # that stay as they were loaded
DECIDED_QUERY = 'SELECT sample_id, job_id, "start", "end" FROM verdicts WHERE batch > 0 AND kind != ?'
NEWEST_JOB_QUERY = "SELECT job_id FROM verdicts WHERE batch > 0 ORDER BY batch DESC LIMIT 1"


@dataclass(frozen=True)
class ReviewFilter:
    """What to review, in which order. `job` 0 means any; see ORDERS and REVIEWED_STATES.

    With `apart`, segments are as the block scored them; otherwise, neighbors with one label are one segment.
    """

    job: int = 0
    search: str = ""
    state: str = ""
    label: str = ""
    order: str = ""
    apart: str = ""

    @staticmethod
    def from_query(pairs: Iterable[tuple[str, str]]) -> ReviewFilter:
        """Read a query string's parameters. Raise RequestError if one is unknown or has an invalid value."""
        names = ("job", "search", "state", "label", "order", "apart")
        query = Query.parse([(name, value) for name, value in pairs if value], names)
        values = {name: query.values.get(name, "") for name in names if name != "job"}
        for name, known in (("order", ORDERS), ("state", REVIEWED_STATES), ("apart", ("", "1"))):
            if values[name] not in known:
                expected = ", ".join(one for one in known if one)
                raise RequestError(f"{name} must be one of {expected}, got {values[name][:40]!r}")
        return ReviewFilter(job=query.integer("job", least=1) or 0, **values)

    def link(self, **changes: object) -> str:
        """Return the address of the review with `changes`."""
        values = asdict(replace(self, **changes))  # type: ignore[arg-type]
        query = urlencode({name: value for name, value in values.items() if value})
        return f"/review?{query}" if query else "/review"


@dataclass(frozen=True)
class ReviewSegment:
    """A segment that waits for a verdict: the values `start` … `end` - 1 of `sample`.

    `entry` is what the block reported of it, None if it reported nothing.
    """

    sample: LocalSample
    job_id: int
    start: int
    end: int
    label: str
    entry: Mapping[str, Any] | None

    @cached_property
    def why(self) -> Mapping[str, Any]:
        """What the page says of the label."""
        whole = StructuredLabel(self.start, self.end - 1, self.label)
        return {} if self.entry is None else describe_reason(whole, self.entry, self.job_id)

    @property
    def before(self) -> str:
        """The label that a rejection brings back, as the job reported it; empty for the job's other label."""
        before = (self.entry or {}).get("before")
        return before if isinstance(before, str) else ""

    @property
    def score(self) -> float:
        """The score, or -1 if it isn't known."""
        score = as_number((self.entry or {}).get("score"))
        return -1.0 if score is None else score

    @property
    def certainty(self) -> float:
        """How far the label is from another one; less if windows disagreed. Infinite if it isn't known."""
        entry = self.entry or {}
        margin, score = as_number(entry.get("margin")), as_number(entry.get("score"))
        if margin is None and score is not None and self.why["runnersUp"]:
            margin = score - max(one["score"] for one in self.why["runnersUp"])
        if margin is None:
            return math.inf
        windows, agreeing = as_count(entry.get("windows")), as_count(entry.get("agreeing"))
        return margin * (agreeing / windows if windows and agreeing is not None else 1)


@dataclass(frozen=True)
class ReviewQueue:
    """The segments to review in order, what was decided of the same jobs, oldest first, and all labels that occur.

    If nothing is left to review, what was decided of the job that had the newest verdict.
    """

    pending: Sequence[ReviewSegment]
    decided: Sequence[Verdict]
    labels: Sequence[str]


def load_queue(site: WebSite, wanted: ReviewFilter) -> ReviewQueue:
    """Return what is left to review. Takes a few queries, or none while the database stays as it is."""
    version, queues = site.project.store.version(), site.review_queues
    known = queues.get(wanted)
    if known is None or known[0] != version:
        if len(queues) >= MOST_QUEUES:
            queues.clear()
        queues[wanted] = known = version, _make_queue(site, wanted)
    queue: ReviewQueue = known[1]
    return queue


def _make_queue(site: WebSite, wanted: ReviewFilter) -> ReviewQueue:
    decided: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for row in site.project.store.read(DECIDED_QUERY, EDITED):
        decided[row["job_id"], row["sample_id"]].append((row["start"], row["end"]))
    targets = _find_targets(site, wanted, {sample_id for job_id, sample_id in decided if job_id == NO_JOB})
    details = _load_details(site, {job_id for _, job_id, _ in targets})
    parts: list[_ReviewPart] = []
    for target in targets:
        sample, job_id, labels = target
        text = details.get((job_id, sample.id), "{}")
        state = (sample.revision, labels, tuple(decided[job_id, sample.id]), text)
        key = job_id, sample.id, wanted.apart
        cached = site.review_cache.get(key)
        if cached is None or cached[0] != state:
            cached = state, _make_part(target, decided[job_id, sample.id], text, bool(wanted.apart))
            site.review_cache[key] = cached
        parts.append(cached[1])
    shown = [one for part in parts for one in part.segments if wanted.label in ("", one.label)]
    names = {sample.id: natural_key(sample.name) for sample, _, _ in targets}
    shown.sort(key=lambda one: (names[one.sample.id], one.sample.id, one.start))
    shown.sort(key=_make_range_key(details) if wanted.order == "range" else _ORDER_KEYS[wanted.order])
    newest_job = [row["job_id"] for row in site.project.store.read(NEWEST_JOB_QUERY)]
    job_ids = [wanted.job] if wanted.job else {job_id for _, job_id, _ in targets} or newest_job
    verdicts = VerdictStore(site.project.store).list_decided(job_ids)
    newest = {(one.job_id, one.sample_id, one.start, one.end): one for one in verdicts}
    asked = [
        label
        for job_id in sorted(job_ids)
        if (job := site.jobs.store.get(job_id)) is not None
        for label in (site.jobs.models.list_labels(job.parameters) if site.jobs.models.has_any else ())
    ]
    return ReviewQueue(shown, list(newest.values()), _list_labels(asked, parts, verdicts))


@dataclass(frozen=True)
class _ReviewPart:
    """What is left to review of one recording; the labels proposed for it, those reported, and the runners-up."""

    segments: Sequence[ReviewSegment]
    proposed: frozenset[str]
    reported: frozenset[str]
    close: frozenset[str]


_ORDER_KEYS: Mapping[str, Callable[[ReviewSegment], Any]] = {
    "": lambda one: one.certainty,
    "score": lambda one: -one.score,
    "label": lambda one: natural_key(one.label),
    "time": lambda one: 0,
}


def _make_range_key(details: Mapping[tuple[int, int], str]) -> Callable[[ReviewSegment], Any]:
    order = RangeOrder(details)
    return lambda one: order.find_place(one.job_id, one.sample.id, one.label, (one.start + one.end) / 2)


Target = tuple[LocalSample, int, Sequence[StructuredLabel]]  # a sample, the job, and the labels that it proposed


def _find_targets(site: WebSite, wanted: ReviewFilter, started: set[int]) -> list[Target]:
    """Return the recordings to review. `started` are those whose own labels have verdicts already."""
    state = {"": "proposed", "all": ""}.get(wanted.state, wanted.state)
    rows = site.rows.load()
    if wanted.job:
        targets: list[Target] = [(row.sample, wanted.job, row.proposed) for row in rows if row.job_id == wanted.job]
        newer = {row.sample.id: row.sample for row in rows if row.job_id is not None and row.job_id > wanted.job}
        for item in site.project.store.open_proposals(wanted.job) if newer else ():
            if item.sample_id in newer:
                targets.append((newer[item.sample_id], wanted.job, item.changes.structured_labels or ()))
        return [target for target in targets if can_draw(target[0])]
    assert state in STATES
    targets = []
    rows = [row for row in Filter(search=wanted.search, state=state).apply(rows) if can_draw(row.sample)]
    for row in rows:
        if row.job_id is not None:
            targets.append((row.sample, row.job_id, row.proposed))
        elif row.labeled_by != HAND or row.sample.id in started:
            targets.append((row.sample, NO_JOB, row.sample.structured_labels or ()))
    return targets


def _load_details(site: WebSite, job_ids: Iterable[int]) -> dict[tuple[int, int], str]:
    """Return what each job reported as JSON, by job and sample; for NO_JOB, what the newest reported."""
    details = {}
    for job_id in job_ids:
        query = NEWEST_DETAILS if job_id == NO_JOB else "SELECT sample_id, details FROM details WHERE job_id = ?"
        for row in site.project.store.read(query, *(() if job_id == NO_JOB else (job_id,))):
            details[job_id, row["sample_id"]] = row["details"]
    return details


def _make_part(target: Target, decided: Sequence[tuple[int, int]], details: str, apart: bool) -> _ReviewPart:
    """Return what is left to review of a recording."""
    sample, job_id, labels = target
    report = BlockLabels.from_details(job_id, json.loads(details))
    left = subtract(labels if apart else merge(labels), decided)
    if apart:
        left = _split(left, report)
    close: set[str] = set()
    for entry in report.entries:
        pairs = entry.get("runnersUp")
        close.update(str(one[0]) for one in (pairs if isinstance(pairs, list) else ()) if isinstance(one, list))
    return _ReviewPart(
        [
            ReviewSegment(sample, job_id, one.start_index, one.end_index + 1, one.label, entry)
            for one, entry in zip(left, find_entries(left, report), strict=True)
        ],
        frozenset(one.label for one in labels),
        frozenset(str(entry["label"]) for entry in report.entries),
        frozenset(close),
    )


def _split(labels: Sequence[StructuredLabel], report: BlockLabels) -> list[StructuredLabel]:
    """Cut labels where a block's own segments end."""
    edges = sorted({int(one["endIndex"]) for one in report.entries})
    found: list[StructuredLabel] = []
    for label in labels:
        start = label.start_index
        for edge in edges:
            if start <= edge < label.end_index:
                found += cut([label], start, edge)
                start = edge + 1
        found += cut([label], start, label.end_index)
    return found


def _list_labels(
    asked: Sequence[str],
    parts: Sequence[_ReviewPart],
    decided: Iterable[Verdict],
) -> list[str]:
    """Return the labels to choose from, in an order that verdicts don't change: each has a key.

    Those that jobs asked for come first, then those that were proposed, the runners-up, and what people typed.
    """
    typed = dict.fromkeys(one.label for one in decided if one.kind == LABELED)
    known = {label for part in parts for label in part.proposed} - set(typed)
    known.update(one.was for one in decided)
    known.update(label for part in parts for label in part.reported)
    close = {label for part in parts for label in part.close}
    labels = [*asked, *sorted(known, key=natural_key), *sorted(close, key=natural_key), *typed]
    return [label for label in dict.fromkeys(labels) if label]
