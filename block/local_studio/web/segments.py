"""What a page shows of labels: each segment with what a block said of it, and labels as lines of text."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from block.local_studio.data.sample import LocalSample, StructuredLabel
from block.local_studio.data.validation import RequestError
from block.local_studio.web.template_filters import colour

LINE = re.compile(r"(\S+)\s+(\S+)\s+(\S.*)")
CLOSE_S = 0.001  # this much beyond the end of the recording still means its end


@dataclass(frozen=True)
class BlockLabels:
    """What job `job_id` said of a sample: the block's own entries, one for each segment that it found."""

    job_id: int
    entries: Sequence[Mapping[str, Any]]

    @staticmethod
    def of(job_id: int, details: Mapping[str, Any]) -> BlockLabels:
        """Of what a block has written, the entries that can be understood; another block may write anything."""
        entries = details.get("segments")
        kept = [one for one in entries if _is_entry(one)] if isinstance(entries, list) else []
        return BlockLabels(job_id, kept)

    def fit(self, labels: Sequence[StructuredLabel]) -> int:
        """How many of `labels` are just what the job found."""
        found = {(one["startIndex"], one["endIndex"], one["label"]) for one in self.entries}
        return sum((one.start_index, one.end_index, one.label) in found for one in labels)


def best(said: Sequence[BlockLabels], labels: Sequence[StructuredLabel]) -> BlockLabels | None:
    """Of what several jobs said, newest first, that which fits `labels` best; the newest of equals."""
    return max(said, key=lambda one: one.fit(labels), default=None)


def shown(labels: Sequence[StructuredLabel], rate_hz: float, said: BlockLabels | None) -> list[dict[str, Any]]:
    """The segments of `labels` for the page: seconds, indices (the end not included), colour, and why, or None."""
    whys = _whys(labels, said) if said else [None] * len(labels)
    return [
        {
            "start": label.start_index,
            "end": label.end_index + 1,
            "from": label.start_index / rate_hz,
            "to": (label.end_index + 1) / rate_hz,
            "label": label.label,
            "colour": colour(label.label),
            "why": why,
        }
        for label, why in zip(labels, whys, strict=True)
    ]


def _whys(labels: Sequence[StructuredLabel], said: BlockLabels) -> list[dict[str, Any] | None]:
    """For each label the entry that covers the most of it, where that is at least half."""
    entries = sorted(said.entries, key=lambda one: int(one["startIndex"]))
    first, found = 0, []
    for label in labels:
        while first < len(entries) and entries[first]["endIndex"] < label.start_index:
            first += 1
        most, covering = 0, None
        for at in range(first, len(entries)):
            entry = entries[at]
            if entry["startIndex"] > label.end_index:
                break
            common = min(entry["endIndex"], label.end_index) - max(entry["startIndex"], label.start_index) + 1
            if common > most:
                most, covering = common, entry
        is_enough = covering is not None and 2 * most >= label.end_index - label.start_index + 1
        found.append(_why(label, covering, said.job_id) if covering is not None and is_enough else None)
    return found


def _why(label: StructuredLabel, entry: Mapping[str, Any], job_id: int) -> dict[str, Any]:
    """An entry as the page says it. `was` is the label that the job had found, where it is another."""
    pairs = entry.get("runnersUp")
    runners_up = [
        {"label": str(pair[0]), "score": pair[1]}
        for pair in (pairs if isinstance(pairs, list) else ())
        if isinstance(pair, list) and len(pair) == 2 and _number(pair[1]) is not None
    ]
    return {
        "job": job_id,
        "was": entry["label"] if entry["label"] != label.label else None,
        "same": (entry["startIndex"], entry["endIndex"]) == (label.start_index, label.end_index),
        "score": _number(entry.get("score")),
        "runnersUp": runners_up[:5],
        "loudness": _number(entry.get("loudnessDbfs")),
        "windows": _count(entry.get("windows")),
        "agreeing": _count(entry.get("agreeing")),
    }


def as_lines(labels: Sequence[StructuredLabel], rate_hz: float) -> str:
    """One line a label: its start and its end in seconds, exact to a value, and its name."""
    return "\n".join(
        f"{seconds(one.start_index, rate_hz)} {seconds(one.end_index + 1, rate_hz)} {one.label}" for one in labels
    )


def of_lines(text: str, rate_hz: float, values_count: int) -> list[dict[str, object]]:
    """The labels in such lines, as the API has them. Raises Refused, naming the line."""
    labels: list[dict[str, object]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        match = LINE.fullmatch(line.strip())
        if match is None:
            raise RequestError(f"line {number} must hold a start, an end and a label, got {line.strip()[:80]!r}")
        start, end = (_index(match.group(i), rate_hz, values_count, f"line {number}") for i in (1, 2))
        if not start < end:
            raise RequestError(f"line {number}: the end must come after the start, got {line.strip()[:80]!r}")
        labels.append({"startIndex": start, "endIndex": end - 1, "label": match.group(3)})
    return labels


def checked_by_hand(labels: Sequence[Mapping[str, Any]], rate_hz: float, values_count: int) -> None:
    """What a person's labels must keep beside the contract: a name each, in order, no overlap. Raises Refused."""
    at = 0
    for label in labels:
        start = int(label["startIndex"])
        if start < at:
            raise RequestError(f"the label at {seconds(start, rate_hz)} s begins before the one above it ends")
        if start > at:
            raise RequestError(f"{seconds(at, rate_hz)}–{seconds(start, rate_hz)} s have no label")
        if not str(label["label"]).strip():
            raise RequestError(f"the segment from {seconds(start, rate_hz)} s on has no label yet")
        at = int(label["endIndex"]) + 1
    if at < values_count:
        raise RequestError(f"{seconds(at, rate_hz)}–{seconds(values_count, rate_hz)} s have no label")


def seconds(index: int, rate_hz: float) -> str:
    """An index as seconds, with no more digits than it takes to find it again."""
    digits = next((n for n in range(10) if round(round(index / rate_hz, n) * rate_hz) == index), 10)
    return f"{index / rate_hz:.{digits}f}"


def _index(text: str, rate_hz: float, values_count: int, where: str) -> int:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= values_count / rate_hz + CLOSE_S:
        raise RequestError(f"{where}: expected seconds from 0 to {seconds(values_count, rate_hz)}, got {text[:40]!r}")
    return min(round(value * rate_hz), values_count)


def _is_entry(value: object) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("label"), str):
        return False
    return _count(value.get("startIndex")) is not None and _count(value.get("endIndex")) is not None


def _number(value: object) -> float | None:
    is_one = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if is_one else None  # type: ignore[arg-type]


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


CLOSE = 0.1  # to another label, of a score


def is_uncertain(said: Mapping[str, object], sample: LocalSample, *, has_proposal: bool) -> bool:
    """Was a block unsure of a segment that the sample has, or, with `has_proposal`, of one that it proposes?

    `said` are details as the README describes them; those of a proposal that was rejected, or of labels that were
    replaced since, no longer count.
    """
    entries = said.get("segments")
    if not isinstance(entries, list):
        return False
    unsure = [one for one in entries if isinstance(one, dict) and is_unsure(one)]
    return any(has_proposal or _stands(one, sample.structured_labels or ()) for one in unsure)


def is_unsure(entry: Mapping[str, Any]) -> bool:
    """Did one of a segment's windows not agree, or was another label close?

    How close, a block says as `margin`; of one that does not, the runner-up's score is compared.
    """
    windows, agreeing = entry.get("windows"), entry.get("agreeing")
    if isinstance(windows, int) and isinstance(agreeing, int) and agreeing < windows:
        return True
    if isinstance(margin := entry.get("margin"), int | float):
        return margin < CLOSE
    score, pairs = entry.get("score"), entry.get("runnersUp")
    if not isinstance(score, int | float) or not isinstance(pairs, list):
        return False
    rivals = [one[1] for one in pairs if isinstance(one, list) and len(one) == 2 and isinstance(one[1], int | float)]
    return bool(rivals) and score - max(rivals) < CLOSE


def _stands(entry: Mapping[str, Any], labels: Sequence[StructuredLabel]) -> bool:
    """Is what the block said the sample's label now? Neighbours with one label may have been merged since."""
    start, end = entry.get("startIndex"), entry.get("endIndex")
    if not isinstance(start, int) or not isinstance(end, int):
        return False
    return any(one.start_index <= start and end <= one.end_index and one.label == entry.get("label") for one in labels)
