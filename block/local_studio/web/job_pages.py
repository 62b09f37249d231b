"""The pages of jobs: their list, and one job's state, log, settings and proposals."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from block.local_studio.data.rows import now
from block.local_studio.data.sample import LocalSample, ProposedChanges
from block.local_studio.data.store import StaleError
from block.local_studio.data.validation import LARGEST_ID, RequestError, parse_id
from block.local_studio.jobs.block import SECRET
from block.local_studio.jobs.files import COMMAND
from block.local_studio.jobs.jobs import JobProgress
from block.local_studio.jobs.store import CANCELLED, FAILED, FINISHED, INTERRUPTED, RUNNING, StudioJob
from block.local_studio.web.selection import is_by_hand
from block.local_studio.web.site import HEADERS, WebSite, in_thread
from block.local_studio.web.template_filters import length

LISTED = 200  # jobs on the page of all
ROWS = 500  # proposals, or failures, on a job's page
TONES = {RUNNING: "busy", FINISHED: "good", FAILED: "bad", CANCELLED: "off", INTERRUPTED: "warn"}
EXITS = {
    0: "success",
    1: "the block failed, or some of the recordings did: the log says which",
    2: "the block could not start its work: the log says why",
    130: "cancelled",
    137: "ended by SIGKILL, as when it does not stop in time, or memory runs out",
    143: "ended by SIGTERM",
}


@dataclass(frozen=True)
class ProposalSummary:
    """A proposal as the page shows it: seconds of each label, longest first; or what else it would change."""

    sample: LocalSample
    seconds: Sequence[tuple[str, float]]
    others: str
    is_by_hand: bool


def routes(site: WebSite) -> list[BaseRoute]:
    """The list, a job, its state for the script, and what can be done to it."""

    async def listed(request: Request) -> Response:
        return await in_thread(_list, site, request)  # type: ignore[no-any-return]

    async def one(request: Request) -> Response:
        return await in_thread(_one, site, request, _job(site, request))  # type: ignore[no-any-return]

    async def state(request: Request) -> Response:
        return await in_thread(_state, site, request, _job(site, request))  # type: ignore[no-any-return]

    async def cancel(request: Request) -> Response:
        await site.form(request)
        job = _job(site, request)
        await in_thread(site.jobs.cancel, job.id)
        return site.to(f"/jobs/{job.id}")

    async def decide(request: Request) -> Response:
        fields = await site.form(request)
        return await in_thread(_decide, site, _job(site, request), fields)  # type: ignore[no-any-return]

    return [
        Route("/jobs", listed, methods=["GET"]),
        Route("/jobs/{job}", one, methods=["GET"]),
        Route("/jobs/{job}/state.json", state, methods=["GET"]),
        Route("/jobs/{job}/cancel", cancel, methods=["POST"]),
        Route("/jobs/{job}/proposals", decide, methods=["POST"]),
    ]


def _job(site: WebSite, request: Request) -> StudioJob:
    job_id = parse_id(str(request.path_params["job"]), "job")
    job = site.jobs.store.get(job_id)
    if job is None:
        raise RequestError(f"There is no job {job_id}.", 404)
    return job


def _list(site: WebSite, request: Request) -> Response:
    store = site.jobs.store
    jobs = store.latest(LISTED)
    open_of = store.open_counts()
    rows = [(job, TONES[job.state], duration(job), meaning(job.exit_code), open_of.get(job.id, 0)) for job in jobs]
    return site.page(request, "jobs.html", rows=rows, block=site.jobs.block)


def _one(site: WebSite, request: Request, job: StudioJob) -> Response:
    block = site.jobs.block
    samples = {sample.id: sample for sample in site.project.samples()}
    proposed = [
        _proposed(samples[item.sample_id], item.changes)
        for item in site.project.store.proposals(job.id)
        if item.sample_id in samples
    ]
    errors = site.jobs.store.errors(job.id)
    progress = site.jobs.progress(job)
    values: dict[str, Any] = {
        "job": job,
        "tone": TONES[job.state],
        "duration": duration(job),
        "meaning": meaning(job.exit_code),
        "progress": said(progress),
        "count": progress,
        "log": site.jobs.log(job.id),
        "command": site.jobs.files.read(job.id, COMMAND),
        "settings": [(_name(site, param), param, value) for param, value in job.parameters.items()],
        "proposed": proposed[:ROWS],
        "proposed_count": len(proposed),
        "failed": [(samples[one], error) for one, error in list(errors.items())[:ROWS] if one in samples],
        "failed_count": len(errors),
        "secrets": [item.name for item in block.items if item.type == SECRET],
        "is_same_block": job.block == block.name,
    }
    return site.page(request, "job.html", **values)


def _state(site: WebSite, request: Request, job: StudioJob) -> Response:
    given = request.query_params.get("offset", "0")
    if not (given.isascii() and given.isdigit() and len(given) <= 16 and int(given) <= LARGEST_ID):
        raise RequestError("offset must be a whole number")
    log = site.jobs.log(job.id, int(given))
    progress = site.jobs.progress(job)
    answer = {
        "state": job.state,
        "tone": TONES[job.state],
        "isRunning": job.is_running,
        "duration": duration(job),
        "exit": None if job.exit_code is None else f"{job.exit_code}: {meaning(job.exit_code)}",
        "done": None if progress is None else progress.done,
        "of": len(job.sample_ids),
        "progress": said(progress),
        "text": log.text,
        "offset": log.offset,
    }
    return JSONResponse(answer, headers=HEADERS)


def _decide(site: WebSite, job: StudioJob, fields: Mapping[str, str]) -> Response:
    """Accept or reject one proposal, or all (`decision`).

    `reject` is a sample's id, `accept` one with the revision that was seen. Together, proposals for recordings that
    a person has labelled are left: they want a look each.
    """
    store = site.project.store
    decision = fields.get("decision")
    if "accept" in fields:
        sample_id, _, revision = fields["accept"].partition(":")
        if not (revision.isascii() and revision.isdigit() and len(revision) <= 16):
            raise RequestError("it is not said which state of the recording was seen")
        try:
            store.accept(job.id, parse_id(sample_id, "sample"), int(revision))
        except StaleError:
            raise RequestError(
                "The recording has been changed meanwhile: look at it again, then decide.", 409
            ) from None
    elif "reject" in fields:
        store.reject(job.id, parse_id(fields["reject"], "sample"))
    elif decision == "reject":
        for item in store.proposals(job.id):
            store.reject(job.id, item.sample_id)
    elif decision == "accept":
        for item in store.proposals(job.id):
            sample = store.sample(item.sample_id)
            if sample is not None and not is_by_hand(sample):
                with contextlib.suppress(StaleError):  # labelled by hand at this moment
                    store.accept(job.id, sample.id, sample.revision)
    else:
        raise RequestError("neither accepted nor rejected")
    return site.to(f"/jobs/{job.id}#proposals")


def _proposed(sample: LocalSample, changes: ProposedChanges) -> ProposalSummary:
    seconds: dict[str, float] = {}
    for one in changes.structured_labels or ():
        values = one.end_index + 1 - one.start_index
        seconds[one.label] = seconds.get(one.label, 0.0) + (values / sample.frequency_hz if sample.frequency_hz else 0)
    others = []
    if changes.label is not None:
        others.append(f"label: {changes.label or 'none'}")
    if changes.is_disabled is not None:
        others.append("disabled" if changes.is_disabled else "enabled")
    if not seconds and not others:
        others.append("metadata" if changes.metadata else "nothing")
    longest = sorted(seconds.items(), key=lambda item: -item[1])
    return ProposalSummary(sample, longest, ", ".join(others), is_by_hand(sample))


def _name(site: WebSite, param: str) -> str:
    item = site.jobs.block.item(param)
    return item.name if item else param


def duration(job: StudioJob) -> str:
    """How long a job ran, or has been running."""
    try:
        started, ended = (datetime.fromisoformat(time) for time in (job.started, job.ended or now()))
    except ValueError:
        return "–"
    return length(max(0.0, (ended - started).total_seconds()))


def meaning(exit_code: int | None) -> str:
    """What an exit code says; only 0 is the same for all blocks."""
    return "" if exit_code is None else EXITS.get(exit_code, "failure: the log may say why")


def said(progress: JobProgress | None) -> str:
    """Progress in words."""
    if progress is None:
        return ""
    failed = f", {progress.failed} of them failed" if progress.failed else ""
    return f"{progress.done} of {progress.total} recordings{failed}"
