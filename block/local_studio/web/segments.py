"""What a page shows of labels: each segment with what a block reported about it, and labels as lines of text."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from block.local_studio.data.sample import LocalSample, StructuredLabel
from block.local_studio.data.validation import RequestError

LINE = re.compile(r"(\S+)\s+(\S+)\s+(\S.*)")
CLOSE_S = 0.001  # this much beyond the end of the recording still means its end
CLOSE = 0.1  # a score this near another makes a segment uncertain
MOST_RUNNERS_UP = 5


@dataclass(frozen=True)
class BlockLabels:
    """The labels that job `job_id` found: the block's own entries, one for each segment."""

    job_id: int
    entries: Sequence[Mapping[str, Any]]

    @staticmethod
    def from_details(job_id: int, details: Mapping[str, Any]) -> BlockLabels:
        """Keep the entries of a block's details that can be understood; another block may write anything."""
        entries = details.get("segments")
        return BlockLabels(job_id, [one for one in entries if _is_entry(one)] if isinstance(entries, list) else [])

    def count_matches(self, labels: Sequence[StructuredLabel]) -> int:
        """Return how many of `labels` are exactly what the job found."""
        found = {(one["startIndex"], one["endIndex"], one["label"]) for one in self.entries}
        return sum((one.start_index, one.end_index, one.label) in found for one in labels)


def describe_segments(
    labels: Sequence[StructuredLabel],
    rate_hz: float,
    reports: Sequence[BlockLabels],
    color: Callable[[str], int],
) -> list[dict[str, Any]]:
    """Return the segments of `labels` for the page: seconds, indices (the end exclusive), color, and why, or None.

    The reason is from the job of `reports`, newest first, that fits the labels best; the newest of equals. Empty if the
    rate is unknown (0).
    """
    if not rate_hz:
        return []
    report = max(reports, key=lambda one: one.count_matches(labels), default=None)
    entries = find_entries(labels, report) if report else [None] * len(labels)
    job_id = report.job_id if report else 0
    return [
        {
            "start": label.start_index,
            "end": label.end_index + 1,
            "from": label.start_index / rate_hz,
            "to": (label.end_index + 1) / rate_hz,
            "label": label.label,
            "color": color(label.label),
            "why": None if entry is None else describe_reason(label, entry, job_id),
        }
        for label, entry in zip(labels, entries, strict=True)
    ]


def format_lines(labels: Sequence[StructuredLabel], rate_hz: float) -> str:
    """Write one line a label: its start and its end in seconds, exact to a value, and its name."""
    return "\n".join(
        f"{format_seconds(one.start_index, rate_hz)} {format_seconds(one.end_index + 1, rate_hz)} {one.label}"
        for one in labels
    )


def parse_lines(text: str, rate_hz: float, values_count: int) -> list[dict[str, object]]:
    """Read such lines into labels as the API has them. Raise RequestError if they don't cover the recording."""
    labels: list[dict[str, object]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        match = LINE.fullmatch(line.strip())
        if match is None:
            raise RequestError(f"line {number} must hold a start, an end and a label, got {line.strip()[:80]!r}")
        start, end = (_parse_seconds(match[i], rate_hz, values_count, f"line {number}") for i in (1, 2))
        if not start < end:
            raise RequestError(f"line {number}: the end must come after the start, got {line.strip()[:80]!r}")
        labels.append({"startIndex": start, "endIndex": end - 1, "label": match[3]})
    check_partition(labels, rate_hz, values_count)
    return labels


def check_partition(labels: Sequence[Mapping[str, Any]], rate_hz: float, values_count: int) -> None:
    """Raise RequestError unless a person's labels have names, are in order, don't overlap and leave no gap."""
    covered = 0
    for label in labels:
        start = int(label["startIndex"])
        if start < covered:
            raise RequestError(f"the label at {format_seconds(start, rate_hz)} s begins before the one above it ends")
        if start > covered:
            raise RequestError(f"{format_seconds(covered, rate_hz)}–{format_seconds(start, rate_hz)} s have no label")
        if not str(label["label"]).strip():
            raise RequestError(f"the segment from {format_seconds(start, rate_hz)} s on has no label yet")
        covered = int(label["endIndex"]) + 1
    if covered < values_count:
        end = format_seconds(values_count, rate_hz)
        raise RequestError(f"{format_seconds(covered, rate_hz)}–{end} s have no label")


def format_seconds(index: int, rate_hz: float) -> str:
    """Write an index as seconds, with no more digits than it takes to find it again."""
    digits = next((n for n in range(10) if round(round(index / rate_hz, n) * rate_hz) == index), 10)
    return f"{index / rate_hz:.{digits}f}"


def is_uncertain(details: Mapping[str, object], sample: LocalSample, *, has_proposal: bool) -> bool:
    """Return True if a block was uncertain of a segment that the sample has or, with `has_proposal`, may get.

    `details` are as the README describes them. Those of a rejected proposal, or of labels that were replaced since, no
    longer count.
    """
    entries = details.get("segments")
    return isinstance(entries, list) and any(
        is_entry_uncertain(one) and (has_proposal or _is_current(one, sample.structured_labels or ()))
        for one in entries
        if isinstance(one, dict)
    )


def is_entry_uncertain(entry: Mapping[str, Any]) -> bool:
    """Return True if one of the segment's windows did not agree, or another label was close.

    A block reports how close as `margin`; for one that doesn't, the runner-up's score is compared.
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


def find_entries(labels: Sequence[StructuredLabel], report: BlockLabels) -> list[Mapping[str, Any] | None]:
    """Return for each label the entry that covers the most of it, None if that is less than half."""
    entries = sorted(report.entries, key=lambda one: int(one["startIndex"]))
    first = 0
    found: list[Mapping[str, Any] | None] = []
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
        is_enough = 2 * most >= label.end_index - label.start_index + 1
        found.append(covering if is_enough else None)
    return found


def describe_reason(label: StructuredLabel, entry: Mapping[str, Any], job_id: int) -> dict[str, Any]:
    """Return an entry for the page. `was` is the label that the job found, if it is another one."""
    pairs = entry.get("runnersUp")
    runners_up = [
        {"label": str(pair[0]), "score": pair[1]}
        for pair in (pairs if isinstance(pairs, list) else ())
        if isinstance(pair, list) and len(pair) == 2 and as_number(pair[1]) is not None
    ]
    return {
        "job": job_id,
        "was": entry["label"] if entry["label"] != label.label else None,
        "same": (entry["startIndex"], entry["endIndex"]) == (label.start_index, label.end_index),
        "score": as_number(entry.get("score")),
        "margin": as_number(entry.get("margin")),
        "runnersUp": runners_up[:MOST_RUNNERS_UP],
        "loudness": as_number(entry.get("loudnessDbfs")),
        "windows": as_count(entry.get("windows")),
        "agreeing": as_count(entry.get("agreeing")),
    }


def as_number(value: object) -> float | None:
    """Return a finite number that a block reported; None if it isn't one."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    return None


def as_count(value: object) -> int | None:
    """Return a whole number of 0 or more that a block reported; None if it isn't one."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _parse_seconds(text: str, rate_hz: float, values_count: int, where: str) -> int:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= values_count / rate_hz + CLOSE_S:
        end = format_seconds(values_count, rate_hz)
        raise RequestError(f"{where}: expected seconds from 0 to {end}, got {text[:40]!r}")
    return min(round(seconds * rate_hz), values_count)


def _is_entry(value: object) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("label"), str):
        return False
    return as_count(value.get("startIndex")) is not None and as_count(value.get("endIndex")) is not None


def _is_current(entry: Mapping[str, Any], labels: Sequence[StructuredLabel]) -> bool:
    """Return True if the sample has the entry's label there. Neighbors with one label may have been merged since."""
    start, end = entry.get("startIndex"), entry.get("endIndex")
    if not isinstance(start, int) or not isinstance(end, int):
        return False
    return any(one.start_index <= start and end <= one.end_index and one.label == entry.get("label") for one in labels)
