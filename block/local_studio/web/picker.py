"""The class picker of the form: the classes of a model, a search of them, and the list of labels as rows.

A script asks for all of this as JSON. The list itself stays text, in the form; what it means is read here only.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from block.class_guide import GuideEntry, build_guide, explain
from block.label_search import search_classes, suggest_classes
from block.labels import write_entry
from block.local_studio.data.validation import RequestError, check_keys, parse_text
from block.local_studio.web.label_rows import MOST_ROWS, read_rows
from block.local_studio.web.site import WebSite

LABELS = "audioset-labels"  # the block's parameter that the picker fills in
CONFIDENCE = "min-confidence"
LONGEST_SEARCH = 200  # characters
LONGEST_LIST = 32 << 10  # characters; all classes of AudioSet have 8,000
MOST_FOUND = 40


def routes(site: WebSite) -> list[Route]:
    """Return the routes of the picker."""

    async def check(request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(check_labels, site, await site.read_json(request)))

    return [
        site.get("/actions/classes.json", send_classes),
        site.get("/actions/search.json", send_found),
        Route("/actions/labels.json", check, methods=["POST"]),
    ]


def has_picker(site: WebSite) -> bool:
    """Return True if the block's form has labels to pick, from models whose classes are known."""
    return site.jobs.models.has_any and site.jobs.block.item(LABELS) is not None


def send_classes(site: WebSite, request: Request) -> Response:
    """Send all classes of a model, in the order of AudioSet's hierarchy."""
    return JSONResponse({"classes": [_describe(entry) for entry in _find_guide(site, request)]})


def send_found(site: WebSite, request: Request) -> Response:
    """Send the names that a text finds, best first, or those that are spelled like it."""
    text = request.query_params.get("text", "")[:LONGEST_SEARCH]
    guide = _find_guide(site, request)
    found = search_classes(text, guide)
    near = [] if found else suggest_classes(text, guide)
    return JSONResponse({"names": [entry.name for entry in (found or near)[:MOST_FOUND]], "isGuess": not found})


def check_labels(site: WebSite, values: dict[str, object]) -> dict[str, Any]:
    """Return a list of labels as text and as rows.

    `entries` are texts, or objects with `className`, `name` and `threshold`, which are written as texts first.
    """
    check_keys(values, ("model", "entries", "confidence", "other"), "the list")
    names = site.jobs.models.find_class_names(parse_text(values.get("model"), "model"))
    entries = values.get("entries")
    if not isinstance(entries, list):
        raise RequestError("entries must be a list")
    text = "\n".join(_write(entry) for entry in entries)
    if len(text) > LONGEST_LIST:
        raise RequestError(f"the list has {len(text):,} characters; the picker shows up to {LONGEST_LIST:,}", 413)
    confidence = _read_confidence(parse_text(values.get("confidence", ""), "confidence"))
    rows = read_rows(text, names, confidence, parse_text(values.get("other", ""), "other"))
    if len(rows) > MOST_ROWS:
        raise RequestError(f"the list has more than {MOST_ROWS} entries, the most that the picker shows", 413)
    return {"text": text, "rows": [_name_fields(asdict(row)) for row in rows]}


def _find_guide(site: WebSite, request: Request) -> tuple[GuideEntry, ...]:
    return build_guide(site.jobs.models.find_class_names(request.query_params.get("model", "")))


def _describe(entry: GuideEntry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "isClass": entry.is_class,
        "groups": [" > ".join(path) for path in entry.groups],
        "kinds": entry.kinds,
        "total": entry.total,
        "holds": explain(entry),
    }


def _write(entry: object) -> str:
    if not isinstance(entry, dict):
        return parse_text(entry, "an entry")
    check_keys(entry, ("className", "name", "threshold"), "an entry")
    fields = (parse_text(entry.get(name, ""), name) for name in ("className", "name", "threshold"))
    return write_entry(*(" ".join(field.split()) for field in fields))


def _name_fields(row: dict[str, Any]) -> dict[str, Any]:
    return {"className" if name == "class_name" else name: value for name, value in row.items()}


def _read_confidence(text: str) -> float:
    try:
        value = float(text or 0)
    except ValueError:
        return 0.0  # the form's own check says what is wrong
    return value if math.isfinite(value) else 0.0
