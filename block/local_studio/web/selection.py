"""Which recordings a job is given: those named, all, those without labels, those that failed; and a few of them."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from block.local_studio.data.project import LocalProject
from block.local_studio.data.sample import LocalSample
from block.local_studio.data.validation import LARGEST_ID, RequestError
from block.local_studio.jobs.store import JobStore
from block.local_studio.web.recordings_list import HAND, RecordingRow, entries, given_by

GIVEN, ALL, UNLABELLED, FAILED = "given", "all", "unlabelled", "failed"
WHICH = (ALL, UNLABELLED, FAILED, GIVEN)
NONE = {
    ALL: "there are no recordings",
    UNLABELLED: "all recordings have labels",
    FAILED: "no recording has failed",
    GIVEN: "no recordings are named",
}
LONGEST_TEXT = 200_000  # characters of ids
SPAN = re.compile(r"([0-9]{1,16})(?:-([0-9]{1,16}))?")


@dataclass(frozen=True)
class SelectionChoices:
    """What there is to choose from: how many samples each choice means, and how many of all are labelled by hand."""

    counts: dict[str, int]
    by_hand: int


def offer(project: LocalProject, store: JobStore) -> SelectionChoices:
    """The choices in this project at this moment."""
    rows = _rows(project, store)
    counts = {which: len(_of(which, rows, "")) for which in (ALL, UNLABELLED, FAILED)}
    return SelectionChoices(counts, sum(row.given_by == HAND for row in rows))


def chosen(project: LocalProject, store: JobStore, which: str, ids: str, *, with_hand: bool) -> list[int]:
    """The ids of the samples that are meant, without those labelled by hand unless `with_hand`. Raises Refused."""
    if which not in WHICH:
        raise RequestError("choose which recordings are meant")
    rows = _of(which, _rows(project, store), ids)
    if not rows:
        raise RequestError(NONE[which])
    kept = [row.sample.id for row in rows if with_hand or row.given_by != HAND]
    if not kept:
        raise RequestError("all of these are labelled by hand, and left alone unless you say otherwise")
    return kept


def few(ids: Sequence[int], count: int | None) -> list[int]:
    """At most `count` of them, drawn at random, in order; all for None."""
    return list(ids) if count is None or count >= len(ids) else sorted(random.sample(list(ids), count))


def is_by_hand(sample: LocalSample) -> bool:
    """Are the labels those of a person?"""
    return given_by(sample) == HAND


def named(text: str) -> list[int]:
    """The ids in `1, 2, 5-9`, each once. Raises Refused."""
    if len(text) > LONGEST_TEXT:
        raise RequestError("these are too many ids")
    found: dict[int, None] = {}
    for word in re.split(r"[,\s]+", text.strip()):
        match = SPAN.fullmatch(word)
        if not word:
            continue
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 1 <= first <= last <= LARGEST_ID or last - first > 1_000_000:
            raise RequestError(f"{word[:40]!r} is no id of a recording; expected such as: 1, 2, 5-9")
        found.update(dict.fromkeys(range(first, last + 1)))
    return list(found)


def _rows(project: LocalProject, store: JobStore) -> list[RecordingRow]:
    return entries(project.samples(), store.newest_details(), store.open_proposals())


def _of(which: str, rows: Sequence[RecordingRow], ids: str) -> list[RecordingRow]:
    if which == GIVEN:
        wanted = named(ids)
        there = {row.sample.id: row for row in rows}
        unknown = [one for one in wanted if one not in there]
        if unknown:
            raise RequestError(f"there is no recording {unknown[0]}")
        return [there[one] for one in wanted]
    # What is disabled is left alone, as blocks do, unless it is named.
    rows = [row for row in rows if not row.sample.is_disabled]
    if which == UNLABELLED:
        return [row for row in rows if not row.is_labelled]
    if which == FAILED:
        return [row for row in rows if row.error or row.sample.processing_error is not None]
    return list(rows)
