"""The page that accepts or discards many of a job's proposals at once: the count comes first, and undo after."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from block.local_studio.data.store import StaleError
from block.local_studio.data.validation import RequestError, parse_id
from block.local_studio.data.verdicts import DISCARDED, IN_BULK, Verdict, VerdictStore
from block.local_studio.web.recordings_list import HAND, find_labeler
from block.local_studio.web.review_queue import ReviewFilter, ReviewSegment, load_queue
from block.local_studio.web.site import WebSite, parse_share, redirect

STALE = "Nothing was changed: these proposals changed meanwhile. Load the page again to see them."


def routes(site: WebSite) -> list[Route]:
    """Return the routes of the page and of its button."""
    return [site.get("/jobs/{job}/bulk", show_bulk), site.post("/jobs/{job}/bulk", decide)]


def show_bulk(site: WebSite, request: Request) -> Response:
    """Show how many segments and recordings would be accepted, and how many discarded."""
    job_id = parse_id(request.path_params["job"], "job")
    query = request.query_params
    label, at_least = query.get("label", ""), parse_share(query.get("at-least", ""), "the score", 0.0)
    queue = load_queue(site, ReviewFilter(job=job_id))
    chosen = _choose(queue.pending, label, at_least)
    values: dict[str, Any] = {
        "job": job_id,
        "label": label,
        "at_least": query.get("at-least", ""),
        "labels": sorted({one.label for one in queue.pending}),
        "segments": len(chosen),
        "recordings": len({one.sample.id for one in chosen}),
        "by_hand": len({one.sample.id for one in queue.pending if find_labeler(one.sample) == HAND}),
        "open": len(site.project.store.open_proposals(job_id)),
    }
    return site.render(request, "bulk.html", **values)


def decide(site: WebSite, request: Request, fields: dict[str, str]) -> Response:
    """Accept the segments that the form names, or discard all proposals of the job."""
    job_id = parse_id(request.path_params["job"], "job")
    if fields.get("decision") == "discard":
        open_proposals = site.project.store.open_proposals(job_id)
        counts = {sample.id: sample.values_count for sample in site.project.samples()}
        verdicts = [
            Verdict(job_id, one.sample_id, 0, counts[one.sample_id], "", "", DISCARDED) for one in open_proposals
        ]
        done = len(verdicts)
    elif fields.get("decision") == "accept":
        pending = load_queue(site, ReviewFilter(job=job_id, order="time")).pending
        chosen = _choose(pending, fields.get("label", ""), parse_share(fields.get("at-least", ""), "the score", 0.0))
        if fields.get("count", str(len(chosen))) != str(len(chosen)):
            raise RequestError(STALE, 409)
        verdicts, done = _join(chosen), len(chosen)
    else:
        raise RequestError("the decision must be accept or discard")
    try:
        VerdictStore(site.project.store).decide(verdicts)
    except StaleError:
        raise RequestError(STALE, 409) from None
    return redirect(f"/jobs/{job_id}?done={fields['decision']}&count={done}#proposals")


def _choose(pending: Sequence[ReviewSegment], label: str, at_least: float) -> list[ReviewSegment]:
    """Return the segments with this label, or any, and at least this score. Recordings with hand-made labels stay."""
    return [
        one
        for one in pending
        if label in ("", one.label) and (at_least == 0 or one.score >= at_least) and find_labeler(one.sample) != HAND
    ]


def _join(segments: Sequence[ReviewSegment]) -> list[Verdict]:
    """Return one verdict for each run of adjacent segments; they are in the order of recordings and time."""
    verdicts: list[Verdict] = []
    for one in segments:
        start = one.start
        if verdicts and (verdicts[-1].sample_id, verdicts[-1].end) == (one.sample.id, one.start):
            start = verdicts.pop().start
        verdicts.append(Verdict(one.job_id, one.sample.id, start, one.end, "", "", IN_BULK))
    return verdicts
