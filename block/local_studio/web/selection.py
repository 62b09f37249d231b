"""Which recordings a job gets: all, those without labels, those that failed, or those named; and a few of them."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Sequence
from itertools import groupby

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
MOST_IDS = 1_000_000  # in one span
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
        wanted = parse_ids(ids)
        for sample_id in wanted:
            if sample_id not in by_id:
                raise RequestError(f"there is no recording {sample_id}")
        return [by_id[sample_id] for sample_id in wanted]
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


def parse_ids(text: str) -> list[int]:
    """Return the ids in a text such as `1, 2, 5-9`, each once. Raise RequestError if it isn't one."""
    if len(text) > LONGEST_TEXT:
        raise RequestError("these are too many ids")
    ids: dict[int, None] = {}
    for word in re.findall(r"[^,\s]+", text):
        match = SPAN.fullmatch(word)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 1 <= first <= last <= LARGEST_ID or last - first > MOST_IDS:
            raise RequestError(f"{word[:40]!r} isn't a recording id; expected ids such as 1, 2, 5-9")
        ids.update(dict.fromkeys(range(first, last + 1)))
    return list(ids)


def format_ids(ids: Iterable[int]) -> str:
    """Write ids as `1-3,7`, ascending, each once."""
    words = []
    # Within a run of consecutive ids, the difference between an id and its position stays the same.
    for _, run in groupby(enumerate(sorted(set(ids))), lambda pair: pair[1] - pair[0]):
        numbers = [number for _, number in run]
        words.append(f"{numbers[0]}-{numbers[-1]}" if len(numbers) > 1 else str(numbers[0]))
    return ",".join(words)
