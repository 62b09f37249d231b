"""The page that reviews segments one after the other, and the verdicts that it posts.

A script shows the next segment at once and posts each verdict as JSON. Without it, the page is a form that comes back
with the next segment.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from block.local_studio.data import validation
from block.local_studio.data.sample import LocalSample
from block.local_studio.data.store import StaleError
from block.local_studio.data.validation import RequestError
from block.local_studio.data.verdicts import (
    ACCEPTED,
    KINDS,
    LABELED,
    NO_JOB,
    REJECTED,
    BorderMove,
    Verdict,
    VerdictStore,
)
from block.local_studio.jobs.store import StudioJob
from block.local_studio.web.recording_view import version
from block.local_studio.web.recordings_list import HAND, find_labeler
from block.local_studio.web.review_queue import (
    ORDERS,
    REVIEWED_STATES,
    ReviewFilter,
    ReviewQueue,
    ReviewSegment,
    load_queue,
)
from block.local_studio.web.site import WebSite, has_json, parse_whole_number, redirect

SENT = 500  # segments that the page gets at once
SENT_DECIDED = 100  # of those that were decided before
KEYS = 9  # labels that have a key
LONGEST_LABEL = 200  # characters
LISTENING_S, DECIDING_S = 6.0, 1.5  # how much of a segment people hear at most before a verdict, and how long it takes
STALE = "This segment was changed meanwhile, in another window or by an action. Load the page again to see it."


def routes(site: WebSite) -> list[Route]:
    """Return the routes of the page, and of what it posts."""
    return [
        site.get("/review", show_review),
        Route("/review/verdict", _post(site, decide), methods=["POST"]),
        Route("/review/undo", _post(site, undo), methods=["POST"]),
    ]


def show_review(site: WebSite, request: Request) -> Response:
    """Show the first segment that waits for a verdict, and hand the next ones to the script."""
    wanted = ReviewFilter.from_query(request.query_params.multi_items())
    queue = load_queue(site, wanted)
    other = site.find_other_label(wanted.job)
    labels = [label for label in queue.labels if label != other]
    sent, before = queue.pending[:SENT], queue.decided[-SENT_DECIDED:]
    samples = {one.sample.id: one.sample for one in sent}
    for verdict in before:
        if verdict.sample_id not in samples and (sample := site.project.store.sample(verdict.sample_id)) is not None:
            samples[sample.id] = sample
    seconds_each = _estimate_seconds(queue)
    data = {
        "samples": {sample.id: _describe_sample(sample) for sample in samples.values()},
        "decided": [_describe_verdict(verdict) for verdict in before if verdict.sample_id in samples],
        "pending": [_describe_segment(segment) for segment in sent],
        "done": len(queue.decided),
        "total": len(queue.decided) + len(queue.pending),
        "job": wanted.job,
        "labels": labels[:KEYS],
        "other": other,
        "secondsEach": seconds_each,
        "colors": {label: site.colors(label) for label in queue.labels},
    }
    return site.render(
        request,
        "review.html",
        wanted=wanted,
        query=wanted.link().partition("?")[2],
        first=sent[0] if sent else None,
        data=json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False),
        done=data["done"],
        total=data["total"],
        running=_find_running(site, wanted.job),
        minutes=seconds_each * len(queue.pending) / 60,
        keys=labels[:KEYS],
        labels=queue.labels,
        other=other,
        orders=ORDERS,
        states=REVIEWED_STATES,
        version=version(sent[0].sample) if sent else "",
    )


def decide(site: WebSite, values: Mapping[str, object]) -> dict[str, object]:
    """Store a verdict on the values `from` … `to` - 1, which become `start` … `end` - 1 if the person moved borders."""
    validation.check_keys(
        values, ("job", "sample", "start", "end", "from", "to", "was", "label", "kind"), "the verdict"
    )
    numbers = {name: validation.parse_integer(values.get(name), name) for name in ("job", "sample", "start", "end")}
    sample = site.project.sample(numbers["sample"])
    start, end, old_start, old_end = (
        numbers["start"],
        numbers["end"],
        validation.parse_integer(values.get("from", numbers["start"]), "from"),
        validation.parse_integer(values.get("to", numbers["end"]), "to"),
    )
    for first, last in ((start, end), (old_start, old_end)):
        if not 0 <= first < last <= sample.values_count:
            raise RequestError(f"expected a segment within 0…{sample.values_count}, got {first}…{last}")
    if end <= old_start or old_end <= start:
        raise RequestError("the segment's new place must overlap its old one")
    was, label = (validation.parse_text(values.get(name), name) for name in ("was", "label"))
    if not label.strip() or len(label) > LONGEST_LABEL:
        raise RequestError(f"expected a label of 1 to {LONGEST_LABEL} characters")
    kind = validation.parse_text(values.get("kind"), "kind")
    if kind not in KINDS:
        raise RequestError(f"kind must be one of {', '.join(KINDS)}, got {kind[:40]!r}")
    job_id = numbers["job"]
    verdict = Verdict(job_id, sample.id, start, end, label.strip(), was, kind)
    move = BorderMove(old_start, old_end, site.find_other_label(job_id))
    try:
        return {"batch": VerdictStore(site.project.store).decide([verdict], move)}
    except StaleError:
        raise RequestError(STALE, 409) from None


def undo(site: WebSite, values: Mapping[str, object]) -> dict[str, object]:
    """Undo the newest verdict, of a job if it isn't 0. Return the segments as they are again."""
    validation.check_keys(values, ("job",), "the request body")
    try:
        undone = VerdictStore(site.project.store).undo(validation.parse_integer(values.get("job"), "job"))
    except StaleError:
        raise RequestError("This verdict can't be undone: the recording was changed since.", 409) from None
    return {"undone": [_describe_verdict(verdict) for verdict in undone]}


def _post(site: WebSite, act: Any) -> Any:
    """Return a handler that calls `act` with what the script posted as JSON, or the form as fields."""

    async def handle(request: Request) -> Response:
        if has_json(request):
            values = await site.read_json(request)
            return JSONResponse({"success": True, **await run_in_threadpool(act, site, values)})
        fields = await site.read_form(request)
        back = ReviewFilter.from_query(parse_qsl(fields.pop("back", ""))).link()
        if fields.pop("back-to-job", ""):
            back = f"/jobs/{parse_whole_number(fields.get('job', ''), 'the form lacks the job')}"
        await run_in_threadpool(act, site, _read_fields(fields))
        return redirect(back)

    return handle


def _read_fields(fields: Mapping[str, str]) -> dict[str, object]:
    """Return a form's fields as the script would post them."""
    if "sample" not in fields:
        return {"job": parse_whole_number(fields.get("job", ""), "the form lacks the job: load the page again")}
    values: dict[str, object] = {"was": fields.get("was", "")}
    for name in ("job", "sample", "start", "end"):
        values[name] = parse_whole_number(fields.get(name, ""), f"the form lacks {name}: load the page again")
    pressed = fields.get("verdict", "")
    labels = {ACCEPTED: fields.get("was", ""), REJECTED: fields.get("other", ""), LABELED: fields.get("typed", "")}
    if pressed in labels:
        return {**values, "kind": pressed, "label": labels[pressed]}
    return {**values, "kind": LABELED, "label": pressed.removeprefix("label:")}


def _find_running(site: WebSite, job_id: int) -> StudioJob | None:
    """Return the running job if it may propose more for this review; job 0 stands for all jobs."""
    job = site.jobs.running()
    return job if job is not None and job.is_preview and job_id in (NO_JOB, job.id) else None


def _estimate_seconds(queue: ReviewQueue) -> float:
    """Return how many seconds a verdict takes, until the script has measured it."""
    if not queue.pending:
        return 0.0
    lengths = [(one.end - one.start) / one.sample.frequency_hz for one in queue.pending]
    return sum(min(length, LISTENING_S) for length in lengths) / len(lengths) + DECIDING_S


def _describe_sample(sample: LocalSample) -> dict[str, Any]:
    return {
        "name": sample.name,
        "rate": sample.frequency_hz,
        "values": sample.values_count,
        "version": version(sample),
        "byHand": find_labeler(sample) == HAND,
    }


def _describe_segment(segment: ReviewSegment) -> dict[str, Any]:
    return {
        "job": segment.job_id,
        "sample": segment.sample.id,
        "start": segment.start,
        "end": segment.end,
        "label": segment.label,
        "before": segment.before,
        "why": {name: segment.why.get(name) for name in ("score", "runnersUp", "windows", "agreeing", "loudness")},
    }


def _describe_verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "job": verdict.job_id,
        "sample": verdict.sample_id,
        "start": verdict.start,
        "end": verdict.end,
        "label": verdict.was,
        "verdict": verdict.label,
        "kind": verdict.kind,
        "why": {},
    }
