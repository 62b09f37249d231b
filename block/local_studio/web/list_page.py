"""The list of recordings: found, filtered, chosen for an action."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from block.local_studio.data import rows, validation
from block.local_studio.data.store import SampleStore
from block.local_studio.data.validation import RequestError
from block.local_studio.jobs.store import JobStore
from block.local_studio.web.recordings_list import (
    PAGE,
    SORTS,
    STATES,
    Filter,
    RecordingRow,
    Totals,
    chosen,
    entry,
    label_counts,
)
from block.local_studio.web.site import WebSite, in_thread

LONGEST_IDS = 32_000  # characters; the server takes 64 KiB of a request's head


def routes(site: WebSite) -> list[BaseRoute]:
    """The list, and where its choice of recordings goes."""

    kept = RowCache(site.project.store, site.jobs.store)

    async def page(request: Request) -> Response:
        wanted = Filter.of(request.query_params.multi_items())
        return site.page(request, "list.html", **await in_thread(lambda: values(kept.now(), wanted)))

    async def choice(request: Request) -> Response:
        given = request.query_params.getlist("id")
        ids = [validation.parse_id(one, "sample") for one in given]
        if not ids:
            raise RequestError("Choose at least one recording first, by its box.")
        return site.to(f"/actions?ids={spans(ids)}")

    return [Route("/", page, methods=["GET"]), Route("/chosen", choice, methods=["GET"])]


def action_link(wanted: Filter, found: Sequence[RecordingRow]) -> str:
    """Where an action on all that the list shows begins; empty where the ids are too many for an address.

    Disabled recordings are left out of the ids, as a block leaves them alone.
    """
    if wanted.is_any:
        return "/actions?filter=all"
    if (wanted.search, wanted.label, wanted.state) == ("", "", "unlabelled"):
        return "/actions?filter=unlabelled"
    ids = spans([row.sample.id for row in found if not row.sample.is_disabled])
    return f"/actions?ids={ids}" if 0 < len(ids) <= LONGEST_IDS else ""


def spans(ids: Iterable[int]) -> str:
    """Ids as `1-3,7`, ascending, each once."""
    first, last, words = 0, -1, []
    for one in [*sorted(set(ids)), -1]:
        if one == last + 1:
            last = one
            continue
        if last > 0:
            words.append(f"{first}-{last}" if last > first else str(first))
        first = last = one
    return ",".join(words)


def values(rows: Sequence[RecordingRow], wanted: Filter) -> dict[str, object]:
    """What the page says of `rows` under a filter; its page number is cut to those there are."""
    found = chosen(rows, wanted)
    pages = max(1, -(-len(found) // PAGE))
    number = min(wanted.page, pages)
    return {
        "wanted": wanted,
        "rows": found[(number - 1) * PAGE : number * PAGE],
        "first": (number - 1) * PAGE + 1,
        "number": number,
        "pages": pages,
        "totals": Totals.of(rows),
        "shown": Totals.of(found),
        "labels": label_counts(rows),
        "states_known": STATES,
        "sorts": SORTS,
        "for_action": sum(not row.sample.is_disabled for row in found),
        "all_link": action_link(wanted, found),
    }


NEWEST_DETAILS = """
    SELECT sample_id, details FROM details d
    WHERE job_id = (SELECT MAX(job_id) FROM details WHERE sample_id = d.sample_id)
"""

_State = tuple[int, int, int | None]


class RowCache:
    """The rows of one project. May be used from several threads."""

    def __init__(self, store: SampleStore, jobs: JobStore) -> None:
        self._store = store
        self._jobs = jobs
        self._kept: dict[int, tuple[_State, RecordingRow]] = {}

    def now(self) -> list[RecordingRow]:
        """A row for every recording, by id: three queries, however many there are."""
        said = {row["sample_id"]: row["details"] for row in self._store.read(NEWEST_DETAILS)}
        proposals = self._jobs.open_proposals()
        before, kept = self._kept, {}
        for row in self._store.read(f"{rows.SELECT_SAMPLES} ORDER BY id"):
            sample_id = row["id"]
            text, job_id = said.get(sample_id, "{}"), proposals.get(sample_id)
            state = row["revision"], hash(text), job_id
            found = before.get(sample_id)
            if found is None or found[0] != state:
                found = state, entry(rows.parse_sample(row), json.loads(text), job_id)
            kept[sample_id] = found
        self._kept = kept  # in one step: other threads see the rows before or after it
        return [one for _, one in kept.values()]
