"""Arithmetic on the labels that a sample already has: which to keep, where new ones go, and how to put both together.

Spans are half-open, `[start, end)`, in values. Lists of spans and of labels are in order and don't overlap. Only labels
in the API's format and the text of spans in a sample's metadata have inclusive ends.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, Protocol, TypeVar

from block.recording import Span

NO_SPANS = "none"
SPANS = re.compile(r"[0-9]{1,18}-[0-9]{1,18}(,[0-9]{1,18}-[0-9]{1,18})*")


class Spanned(Protocol):
    """Anything with a half-open span `[start, end)`."""

    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...


SpannedT = TypeVar("SpannedT", bound=Spanned)


@dataclass(frozen=True)
class ExistingLabel:
    """A label that a sample already has, on `[start, end)`. `fields` is the label as the API sent it."""

    start: int
    end: int
    label: str
    fields: Mapping[str, Any] = field(default_factory=dict)


class UnreadableLabels(ValueError):
    """Structured labels don't match the API's documentation. The message counts to the first that doesn't."""


def read_labels(labels: Iterable[Mapping[str, Any]], values: int) -> tuple[ExistingLabel, ...]:
    """Return structured labels in the API's format as labels within `[0, values)`. Raise UnreadableLabels.

    Where labels overlap, the last in the list counts, as in Edge Impulse.
    """
    read = [_read_label(one, number) for number, one in enumerate(labels, 1)]
    starts = sorted(range(len(read)), key=lambda index: read[index].start)
    cuts = sorted({0, values, *(cut for one in read for cut in (one.start, one.end) if 0 < cut < values)})
    open_labels: list[int] = []  # a heap of negative indices, so that the last label in the list comes first
    found: list[ExistingLabel] = []
    next_start, last = 0, -1
    for start, end in pairwise(cuts):
        while next_start < len(starts) and read[starts[next_start]].start <= start:
            heapq.heappush(open_labels, -starts[next_start])
            next_start += 1
        while open_labels and read[-open_labels[0]].end <= start:
            heapq.heappop(open_labels)
        if not open_labels:
            last = -1
            continue
        index = -open_labels[0]
        if index == last:
            start = found.pop().start
        found.append(replace(read[index], start=start, end=end))
        last = index
    return tuple(found)


def find_labeled(labels: Iterable[ExistingLabel], other_label: str) -> tuple[ExistingLabel, ...]:
    """Return the labels that are neither empty nor `other_label`."""
    return tuple(one for one in labels if one.label.strip() and one.label != other_label)


def find_gaps(spans: Iterable[Spanned], values: int) -> tuple[Span, ...]:
    """Return the parts of `[0, values)` that `spans` leave out."""
    starts, ends = [0], list[int]()
    for span in spans:
        ends.append(span.start)
        starts.append(span.end)
    ends.append(values)
    return tuple(Span(start, end) for start, end in zip(starts, ends, strict=True) if start < end)


def clip(items: Sequence[SpannedT], spans: Sequence[Spanned]) -> Iterator[tuple[int, Span]]:
    """Yield the parts of `items` that are within `spans`, in order, each as the index of its item and its span."""
    index = number = 0
    while index < len(items) and number < len(spans):
        start, end = max(items[index].start, spans[number].start), min(items[index].end, spans[number].end)
        if start < end:
            yield index, Span(start, end)
        if items[index].end <= spans[number].end:
            index += 1
        else:
            number += 1


def clip_labels(labels: Sequence[ExistingLabel], spans: Sequence[Spanned]) -> tuple[ExistingLabel, ...]:
    """Return the parts of `labels` that are within `spans`."""
    return tuple(replace(labels[index], start=part.start, end=part.end) for index, part in clip(labels, spans))


def combine(kept: Iterable[ExistingLabel], new: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return kept labels, with all their fields, and new ones in the API's format, in order."""
    old = [{**one.fields, "startIndex": one.start, "endIndex": one.end - 1, "label": one.label} for one in kept]
    return sorted([*old, *map(dict, new)], key=lambda one: int(one["startIndex"]))


def join_spans(*lists: Iterable[Spanned]) -> tuple[Span, ...]:
    """Return the values that are in any of the spans, as few spans as possible."""
    joined: list[Span] = []
    for span in sorted((span for spans in lists for span in spans), key=lambda span: span.start):
        start, end = span.start, span.end
        if joined and start <= joined[-1].end:
            before = joined.pop()
            start, end = before.start, max(before.end, end)
        joined.append(Span(start, end))
    return tuple(joined)


def format_spans(spans: Iterable[Spanned]) -> str:
    """Return spans as text with inclusive ends, such as `0-3999,8000-9999`, or `none`."""
    return ",".join(f"{span.start}-{span.end - 1}" for span in spans) or NO_SPANS


def parse_spans(text: str) -> tuple[Span, ...] | None:
    """Return the spans in a text that `format_spans` made, or None if the text is something else."""
    text = text.strip()
    if text == NO_SPANS:
        return ()
    if not SPANS.fullmatch(text):
        return None
    pairs = [part.split("-") for part in text.split(",")]
    spans = [Span(int(first), int(last) + 1) for first, last in pairs]
    return join_spans(spans) if all(span.start < span.end for span in spans) else None


def _read_label(one: Mapping[str, Any], number: int) -> ExistingLabel:
    start, last, label = one.get("startIndex"), one.get("endIndex"), one.get("label")
    if type(start) is not int or type(last) is not int or not 0 <= start <= last or not isinstance(label, str):
        raise UnreadableLabels(
            f"its label {number} can't be read; expected whole numbers 0 ≤ startIndex ≤ endIndex, and a label as text"
        )
    return ExistingLabel(start, last + 1, label, one)
