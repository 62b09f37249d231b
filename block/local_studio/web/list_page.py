"""The page with the list of recordings: filtered, and chosen for an action."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from block.local_studio.data import validation
from block.local_studio.data.validation import RequestError
from block.local_studio.web.exports import FORMATS
from block.local_studio.web.recordings_list import SORTS, STATES, Filter, RecordingRow, count_labels, count_totals
from block.local_studio.web.selection import ALL, UNLABELED, format_ids
from block.local_studio.web.site import WebSite, redirect

PAGE = 200  # recordings
LONGEST_IDS = 32_000  # characters; the server takes 64 KiB of a request's head


def routes(site: WebSite) -> list[Route]:
    """Return the routes of the list and of the choice made in it."""
    return [site.get("/", show_list), site.get("/chosen", choose), site.post("/scan", scan)]


def show_list(site: WebSite, request: Request) -> Response:
    """Show the list under the filter in the query string."""
    wanted = Filter.from_query(request.query_params.multi_items())
    return site.render(request, "list.html", **list_values(site.rows.load(), wanted))


def scan(site: WebSite, request: Request, fields: dict[str, str]) -> Response:
    """Read the folder again, for recordings that were added or removed since the server started."""
    site.project.scan()
    return redirect("/")


def choose(site: WebSite, request: Request) -> Response:
    """Take the checked recordings to the form of the action."""
    ids = [validation.parse_id(text, "sample") for text in request.query_params.getlist("id")]
    if not ids:
        raise RequestError("Check at least one recording first.")
    return redirect(f"/actions?ids={format_ids(ids)}")


def list_values(rows: Sequence[RecordingRow], wanted: Filter) -> dict[str, Any]:
    """Return what the template needs to show `rows` under a filter; a page number too high becomes the last."""
    found = wanted.apply(rows)
    pages = max(1, -(-len(found) // PAGE))
    number = min(wanted.page, pages)
    enabled_ids = [row.sample.id for row in found if not row.sample.is_disabled]  # blocks leave the others alone
    return {
        "wanted": wanted,
        "list_query": wanted.query,
        "rows": found[(number - 1) * PAGE : number * PAGE],
        "first": (number - 1) * PAGE + 1,
        "number": number,
        "pages": pages,
        "totals": count_totals(rows),
        "shown": count_totals(found),
        "labels": count_labels(rows),
        "states_known": {state: title for state, (title, _) in STATES.items()},
        "sorts": SORTS,
        "formats": FORMATS,
        "proposed_count": sum(row.job_id is not None for row in rows),
        "for_action": len(enabled_ids),
        "all_link": make_action_link(wanted, enabled_ids),
    }


def make_action_link(wanted: Filter, ids: Sequence[int]) -> str:
    """Return the address of an action on all `ids` that a filter finds; empty if they are too many for an address."""
    if wanted.is_any:
        return f"/actions?filter={ALL}"
    if (wanted.search, wanted.label, wanted.state) == ("", "", UNLABELED):
        return f"/actions?filter={UNLABELED}"
    text = format_ids(ids)
    return f"/actions?ids={text}" if 0 < len(text) <= LONGEST_IDS else ""
