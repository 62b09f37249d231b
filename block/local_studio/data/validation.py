"""The rules for ids and request bodies: pure functions, no I/O.

If a rule is broken, the function raises `RequestError` with the HTTP status and a message that says what was sent and
what was expected. Assumed, because Edge Impulse doesn't document it: bodies and labels must not have undocumented keys,
1.0 is not an integer, and strings must be encodable as UTF-8.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from heapq import heappop, heappush
from itertools import pairwise

from block.formatting import count
from block.local_studio.data.painting import merge
from block.local_studio.data.sample import ProposedChanges, StructuredLabel

LARGEST_ID = 2**53 - 1  # JavaScript, and so the real service, has no exact integers beyond this


class RequestError(Exception):
    """A request breaks a rule. `status` is the HTTP status of the answer, and `message` its error text."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


def parse_id(text: str, what: str) -> int:
    """Return the id in a URL: 1 … 2^53 - 1 in plain digits. Raise RequestError (404) for anything else."""
    if not (text.isascii() and text.isdigit() and len(text) <= 16 and 1 <= int(text) <= LARGEST_ID):
        raise RequestError(f"there is no {what} {text[:40]!r}", 404)
    return int(text)


def parse_object(body: bytes) -> dict[str, object]:
    """Return the JSON object in a request body. Also refuse NaN, Infinity and repeated keys."""
    try:
        value = json.loads(
            body.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_refuse_repeated_keys
        )
    except (ValueError, RecursionError) as error:
        raise RequestError(f"the request body is not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise RequestError(f"the request body must be a JSON object, got {_kind(value)}")
    return value


def check_keys(value: Mapping[str, object], known: Iterable[str], where: str) -> None:
    """Raise RequestError if `value` has keys that aren't `known`."""
    unknown = sorted(set(value) - set(known))
    if unknown:
        raise RequestError(f"{where} has unknown keys {unknown}; expected only {sorted(known)}")


def parse_text(value: object, where: str) -> str:
    """Return `value`, which must be a string that can be stored and sent."""
    if not isinstance(value, str):
        raise RequestError(f"{where} must be a string, got {_kind(value)}")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise RequestError(f"{where} contains a lone surrogate, which can't be encoded as UTF-8") from None
    return value


def parse_integer(value: object, where: str) -> int:
    """Return `value`, which must be an integer within ±LARGEST_ID: neither a boolean nor a float, not even 1.0."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise RequestError(f"{where} must be an integer, got {_kind(value)}")
    if abs(value) > LARGEST_ID:  # SQLite raises an exception for much larger ones
        raise RequestError(f"{where} must be an integer within ±{LARGEST_ID}, got one of {value.bit_length()} bits")
    return value


def parse_metadata(value: object, where: str) -> dict[str, str]:
    """Return `value`, which must map non-empty strings to strings."""
    if not isinstance(value, dict):
        raise RequestError(f"{where} must be an object of strings, got {_kind(value)}")
    for key, item in value.items():
        if not parse_text(key, f"a key of {where}"):
            raise RequestError(f"{where} has an empty key")
        parse_text(item, f"{where}[{key!r}]")
    return dict(value)


def parse_labels(value: object, values_count: int, where: str) -> tuple[StructuredLabel, ...]:
    """Return the labels in `value`, which must cover ``0 … values_count - 1``. Equal neighbors are merged.

    As in the validator that Edge Impulse shares with its CLI, a later entry overrides an earlier one where they
    overlap, and every value needs a label. For an empty sample (`values_count` 0), only the empty list is valid.
    """
    if not isinstance(value, list):
        raise RequestError(f"{where} must be an array, got {_kind(value)}")
    entries = [_parse_label(item, values_count, f"{where}[{i}]") for i, item in enumerate(value)]
    return merge(_paint(entries, values_count, where))


def parse_changes(value: object, values_count: int, where: str) -> ProposedChanges:
    """Return a `SampleProposedChanges` for a sample of `values_count` values.

    The rules for structured labels are the same as for labels set directly. `boundingBoxes` may be present but must be
    empty, because a recording has none.
    """
    if not isinstance(value, dict):
        raise RequestError(f"{where} must be an object, got {_kind(value)}")
    check_keys(value, ("label", "isDisabled", "boundingBoxes", "metadata", "structuredLabels"), where)
    if value.get("boundingBoxes", []) != []:
        raise RequestError(f"{where}.boundingBoxes must be an empty array: a recording has no bounding boxes")
    disabled = value.get("isDisabled")
    if "isDisabled" in value and not isinstance(disabled, bool):
        raise RequestError(f"{where}.isDisabled must be a boolean, got {_kind(disabled)}")
    return ProposedChanges(
        label=parse_text(value["label"], f"{where}.label") if "label" in value else None,
        is_disabled=disabled if isinstance(disabled, bool) else None,
        metadata=parse_metadata(value["metadata"], f"{where}.metadata") if "metadata" in value else None,
        structured_labels=parse_labels(value["structuredLabels"], values_count, f"{where}.structuredLabels")
        if "structuredLabels" in value
        else None,
    )


def _parse_label(item: object, values_count: int, where: str) -> StructuredLabel:
    if not isinstance(item, dict):
        raise RequestError(f"{where} must be an object, got {_kind(item)}")
    check_keys(item, ("startIndex", "endIndex", "label"), where)
    for key in ("startIndex", "endIndex", "label"):
        if key not in item:
            raise RequestError(f"{where} is missing {key}")
    start = parse_integer(item["startIndex"], f"{where}.startIndex")
    end = parse_integer(item["endIndex"], f"{where}.endIndex")
    label = parse_text(item["label"], f"{where}.label")
    if not 0 <= start <= end <= values_count - 1:
        raise RequestError(
            f"{where} spans {start}…{end}; expected 0 ≤ startIndex ≤ endIndex ≤ {values_count - 1}, "
            f"because the sample has {count(values_count, 'value')}"
        )
    return StructuredLabel(start, end, label)


def _paint(entries: Sequence[StructuredLabel], values_count: int, where: str) -> list[StructuredLabel]:
    """Cut the entries at each other's ends, and give each segment the label of the last entry that covers it.

    Works on the cuts rather than on single values, because a sample can have hundreds of millions of values.
    """
    cuts = sorted({0, values_count, *(e.start_index for e in entries), *(e.end_index + 1 for e in entries)})
    starting = sorted(range(len(entries)), key=lambda i: entries[i].start_index, reverse=True)
    covering: list[int] = []  # heap of negated positions: the last entry that covers the segment comes first
    segments = []
    for start, stop in pairwise(cuts):
        while starting and entries[starting[-1]].start_index == start:
            heappush(covering, -starting.pop())
        while covering and entries[-covering[0]].end_index < start:
            heappop(covering)
        if not covering:
            raise RequestError(
                f"{where} leaves the values {start}…{stop - 1} without a label; "
                f"expected labels for all of 0…{values_count - 1}"
            )
        segments.append(StructuredLabel(start, stop - 1, entries[-covering[0]].label))
    return segments


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not a JSON number")


def _refuse_repeated_keys(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("an object has the same key twice")
    return value


def _kind(value: object) -> str:
    """Return the JSON type of `value`, followed by the value if it's short."""
    names = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    name = "null" if value is None else names.get(type(value), type(value).__name__)
    if not isinstance(value, bool | int | float | str):
        return name
    content = json.dumps(value)
    return f"{name} {content}" if len(content) <= 40 else name
