"""Which recordings a job gets: all, those without labels, those that failed, or those named; and a few of them."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Sequence
from itertools import chain, groupby

from block.local_studio.data.validation import LARGEST_ID, RequestError
from block.local_studio.web.recordings_list import HAND, RecordingRow

ALL, UNLABELED, FAILED, GIVEN = "all", "unlabeled", "failed", "given"
EMPTY = {
    ALL: "there are no recordings",
    UNLABELED: "all recordings have labels",
    FAILED: "no recording has failed",
    GIVEN: "no recordings are named",
}
LONGEST_TEXT = 200_000  # characters of ids
SPAN = re.compile(r"([0-9]{1,16})(?:-([0-9]{1,16}))?")


def choose_ids(rows: Sequence[RecordingRow], which: str, ids: str, *, with_hand: bool) -> list[int]:
    """Return the ids of the selected samples, without those labeled by hand unless `with_hand`.

    Raise RequestError if none is left.
    """
    if which not in EMPTY:
        raise RequestError("choose which recordings are meant")
    selection = select(rows, which, ids)
    if not selection:
        raise RequestError(EMPTY[which])
    chosen = [row.sample.id for row in selection if with_hand or row.labeled_by != HAND]
    if not chosen:
        raise RequestError("all of these are labeled by hand; to include them, check “Also those labeled by hand”")
    return chosen


def select(rows: Sequence[RecordingRow], which: str, ids: str = "") -> list[RecordingRow]:
    """Return the rows that `which` stands for; `ids` names those of GIVEN. Raise RequestError for an unknown id."""
    if which == GIVEN:
        by_id = {row.sample.id: row for row in rows}
        wanted = []
        for sample_id in chain.from_iterable(parse_ids(ids)):  # ends at the first unknown id, however long a span is
            if sample_id not in by_id:
                raise RequestError(f"there is no recording {sample_id}")
            wanted.append(by_id[sample_id])
        return wanted
    # Blocks leave disabled recordings alone, so these are not selected unless named.
    enabled = [row for row in rows if not row.sample.is_disabled]
    if which == UNLABELED:
        return [row for row in enabled if not row.is_labeled]
    if which == FAILED:
        return [row for row in enabled if row.has_failed]
    return enabled


def draw(ids: Sequence[int], count: int | None) -> list[int]:
    """Return `count` of the ids, drawn at random and sorted, or all of them if there are no more or `count` is None."""
    return list(ids) if count is None or count >= len(ids) else sorted(random.sample(ids, count))


def parse_ids(text: str) -> list[range]:
    """Return the ids in a text such as `1, 2, 5-9`, ascending, each in one span. Raise RequestError if it isn't one.

    Spans aren't expanded here, because a short text can name more ids than memory holds.
    """
    if len(text) > LONGEST_TEXT:
        raise RequestError("these are too many ids")
    given = []
    for word in re.findall(r"[^,\s]+", text):
        match = SPAN.fullmatch(word)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 1 <= first <= last <= LARGEST_ID:
            raise RequestError(f"{word[:40]!r} isn't a recording id; expected ids such as 1, 2, 5-9")
        given.append(range(first, last + 1))
    spans: list[range] = []
    after = 0  # the first id behind all spans so far
    for span in sorted(given, key=lambda one: one.start):
        if span.stop > after:
            spans.append(range(max(span.start, after), span.stop))
            after = span.stop
    return spans


def format_ids(ids: Iterable[int]) -> str:
    """Write ids as `1-3,7`, ascending, each once."""
    words = []
    # Within a run of consecutive ids, the difference between an id and its position stays the same.
    for _, run in groupby(enumerate(sorted(set(ids))), lambda pair: pair[1] - pair[0]):
        numbers = [number for _, number in run]
        words.append(f"{numbers[0]}-{numbers[-1]}" if len(numbers) > 1 else str(numbers[0]))
    return ",".join(words)
