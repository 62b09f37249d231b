"""The query parameters of a list call, and the filter that they form: pure functions, no I/O.

Unsupported, unknown and repeated parameters are refused, not ignored: a filter that silently does nothing would label
the wrong samples.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from block.local_studio.data.sample import CATEGORIES, LocalSample
from block.local_studio.data.validation import LARGEST_ID, RequestError

# Samples on a page if no `limit` is given. The service's default isn't documented; a small one exposes clients that
# don't page.
DEFAULT_LIMIT = 100


@dataclass(frozen=True)
class Query:
    """The query parameters of a call, each given at most once. The methods check type and range."""

    values: Mapping[str, str]

    @staticmethod
    def parse(pairs: Sequence[tuple[str, str]], known: Iterable[str], unsupported: Iterable[str] = ()) -> Query:
        """Return the parameters `pairs`. Raise RequestError unless each is `known` and given once."""
        names = [name for name, _ in pairs]
        for name in names:
            if name in unsupported:
                raise RequestError(f"the query parameter {name} is not supported by the local Studio")
            if name not in known:
                raise RequestError(f"unknown query parameter {name!r}; expected one of {sorted(known)}")
            if names.count(name) > 1:
                raise RequestError(f"the query parameter {name} is given {names.count(name)} times; expected once")
        return Query(dict(pairs))

    def integer(self, name: str, least: int = 0) -> int | None:
        """Return the parameter as an integer `least` … 2^53 - 1 in plain digits, or None if it's absent."""
        value = self.values.get(name)
        if value is None:
            return None
        if value.isascii() and value.isdigit() and len(value) <= 16 and least <= int(value) <= LARGEST_ID:
            return int(value)
        raise RequestError(f"the query parameter {name} must be an integer of at least {least}, got {value[:40]!r}")

    def number(self, name: str, default: float) -> float:
        """Return the parameter as a finite number of at least 0, or `default` if it's absent."""
        value = self.values.get(name)
        if value is None:
            return default
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not 0 <= number < math.inf:
            raise RequestError(f"the query parameter {name} must be a number of at least 0, got {value[:40]!r}")
        return number

    def boolean(self, name: str) -> bool:
        """Return the parameter as a boolean, or False if it's absent. The Python bindings send True and False."""
        value = self.values.get(name, "false")
        if value.lower() not in ("true", "false"):
            raise RequestError(f"the query parameter {name} must be true or false, got {value[:40]!r}")
        return value.lower() == "true"

    def choice(self, name: str, choices: Sequence[str], default: str) -> str:
        """Return the parameter, which must be one of `choices`, or `default` if it's absent."""
        value = self.values.get(name, default)
        if value not in choices:
            raise RequestError(f"the query parameter {name} must be one of {list(choices)}, got {value[:40]!r}")
        return value

    def texts(self, name: str) -> frozenset[str] | None:
        """Return the parameter, a JSON array of strings, as a set, or None if it's absent."""
        value = self.values.get(name)
        if value is None:
            return None
        try:
            items = json.loads(value)
        except (ValueError, RecursionError):
            items = None
        if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
            raise RequestError(f"the query parameter {name} must be a JSON array of strings, got {value[:40]!r}")
        return frozenset(items)


@dataclass(frozen=True)
class ListQuery:
    """A list call: the filter, the order and the page. Lengths are in ms, frequencies in Hz.

    As documented, the bounds of lengths and frequencies are exclusive ("longer than", "higher than"), `min_id` is
    inclusive, and `max_id` is exclusive. `filename` and `search` both match part of the name, `search` regardless of
    case; what the service searches isn't documented. If a sample has structured labels, its single label doesn't count.
    All signatures count as valid.
    """

    category: str
    limit: int
    offset: int
    exclude_sensors: bool
    labels: frozenset[str] | None
    filename: str
    search: str
    min_length_ms: float
    max_length_ms: float
    min_frequency_hz: float
    max_frequency_hz: float
    min_id: int | None
    max_id: int | None
    include_disabled: str
    signature_validity: str
    data_type: str
    sort_by: str
    job_id: int | None

    KNOWN = (
        *("category", "limit", "offset", "excludeSensors", "labels", "filename", "search", "minLength", "maxLength"),
        *("minFrequency", "maxFrequency", "minId", "maxId", "includeDisabled", "signatureValidity", "dataType"),
        *("sortBy", "proposedActionsJobId"),
    )
    UNSUPPORTED = (
        *("minLabel", "maxLabel", "metadata", "minDate", "maxDate", "truncateStructuredLabels", "datasetVersionId"),
    )

    @staticmethod
    def parse(pairs: Sequence[tuple[str, str]]) -> ListQuery:
        """Parse the query parameters `pairs` of a list call. Raise RequestError."""
        query = Query.parse(pairs, ListQuery.KNOWN, ListQuery.UNSUPPORTED)
        if "category" not in query.values:
            raise RequestError("the query parameter category is required")
        return ListQuery(
            category=query.choice("category", (*CATEGORIES, "all"), ""),
            limit=query.integer("limit", least=1) or DEFAULT_LIMIT,
            offset=query.integer("offset") or 0,
            exclude_sensors=query.boolean("excludeSensors"),
            labels=query.texts("labels"),
            filename=query.values.get("filename", ""),
            search=query.values.get("search", ""),
            min_length_ms=query.number("minLength", -1),
            max_length_ms=query.number("maxLength", math.inf),
            min_frequency_hz=query.number("minFrequency", -1),
            max_frequency_hz=query.number("maxFrequency", math.inf),
            min_id=query.integer("minId"),
            max_id=query.integer("maxId"),
            include_disabled=query.choice("includeDisabled", ("both", "enabled", "disabled"), "both"),
            signature_validity=query.choice("signatureValidity", ("both", "valid", "invalid"), "both"),
            data_type=query.choice("dataType", ("audio", "image"), "audio"),
            sort_by=query.choice("sortBy", ("id-desc", "random"), "id-desc"),
            job_id=query.integer("proposedActionsJobId", least=1),
        )

    def accepts(self, sample: LocalSample) -> bool:
        """Return True if `sample` matches the filter."""
        labels = {item.label for item in sample.structured_labels or ()} or {sample.label}
        return (
            self.category in ("all", sample.category)
            and (self.labels is None or not labels.isdisjoint(self.labels))
            and self.filename in sample.name
            and self.search.lower() in sample.name.lower()
            and self.min_length_ms < sample.length_ms < self.max_length_ms
            and self.min_frequency_hz < sample.frequency_hz < self.max_frequency_hz
            and (self.min_id is None or sample.id >= self.min_id)
            and (self.max_id is None or sample.id < self.max_id)
            and self.include_disabled in ("both", "disabled" if sample.is_disabled else "enabled")
            and self.signature_validity != "invalid"
            and self.data_type != "image"
        )

    def select(self, samples: Iterable[LocalSample]) -> list[LocalSample]:
        """Return all samples that match the filter, on all pages, in the order `sort_by`."""
        accepted = [sample for sample in samples if self.accepts(sample)]
        if self.sort_by == "random":
            random.shuffle(accepted)
        else:
            accepted.sort(key=lambda sample: sample.id, reverse=True)
        return accepted
