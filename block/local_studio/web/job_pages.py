"""The pages of jobs: their list, and one job's state, log, settings and proposals."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from block.formatting import count, format_duration
from block.local_studio.data.rows import now
from block.local_studio.data.sample import LocalSample, ProposedChanges
from block.local_studio.data.store import StaleError
from block.local_studio.data.validation import RequestError, parse_id
from block.local_studio.data.verdicts import ACCEPTED_WHOLE, REJECTED_WHOLE, VerdictStore
from block.local_studio.jobs.block import SECRET
from block.local_studio.jobs.files import COMMAND
from block.local_studio.jobs.jobs import JobProgress
from block.local_studio.jobs.store import CANCELED, FAILED, FINISHED, INTERRUPTED, RUNNING, StudioJob
from block.local_studio.web.recordings_list import HAND, find_labeler
from block.local_studio.web.site import WebSite, parse_whole_number, redirect
from block.local_studio.web.template_filters import format_clock

SOME_FAILED = 1  # the block's exit code
LISTED = 200  # jobs on the page of all
ROWS = 100  # proposals, or failures, on a job's page
TONES = {RUNNING: "busy", FINISHED: "good", FAILED: "bad", CANCELED: "off", INTERRUPTED: "warn"}
# Only 0 means the same for all blocks.
EXITS = {
    0: "success",
    1: "the block failed, or some of the recordings did: the log says which",
    2: "the block could not start its work: the log says why",
    130: "canceled",
    137: "ended by SIGKILL, as when it does not stop in time, or memory runs out",
    143: "ended by SIGTERM",
}

# What an address says was done to proposals: to what, and how it ended.
DONE = {
    "accept": ("segment", "accepted"),
    "discard": ("proposal", "discarded"),
    "accept-one": ("proposal", "accepted"),
    "reject-one": ("proposal", "rejected"),
}


def routes(site: WebSite) -> list[Route]:
    """Return the routes: the list of jobs, one job, its state as JSON, canceling it, and deciding on its proposals."""
    return [
        site.get("/jobs", list_jobs),
        site.get("/jobs/{job}", show_job),
        site.get("/jobs/{job}/state.json", send_state),
        site.post("/jobs/{job}/cancel", cancel_job),
        site.post("/jobs/{job}/proposals", decide),
    ]


def list_jobs(site: WebSite, request: Request) -> Response:
    """Show the newest jobs."""
    open_counts = site.jobs.store.open_counts()
    rows = [
        {
            **_describe_state(job, len(site.jobs.store.errors(job.id)) if job.exit_code == SOME_FAILED else 0),
            "open": open_counts.get(job.id, 0),
        }
        for job in site.jobs.store.latest(LISTED)
    ]
    return site.render(request, "jobs.html", rows=rows, block=site.jobs.block)


def show_job(site: WebSite, request: Request) -> Response:
    """Show one job."""
    job, block = find_job(site, request), site.jobs.block
    samples = {row.sample.id: row.sample for row in site.rows.load()}
    open_proposals = site.project.store.open_proposals(job.id, ROWS)
    proposed = [
        _describe_proposal(samples[item.sample_id], item.changes)
        for item in open_proposals
        if item.sample_id in samples
    ]
    errors = site.jobs.store.errors(job.id)
    progress = site.jobs.progress(job)
    names = {item.param: item.name for item in block.items}
    return site.render(
        request,
        "job.html",
        **_describe_state(job, len(errors)),
        progress=_describe_progress(progress),
        count=progress,
        log=site.jobs.log(job.id),
        command=site.jobs.files.read(job.id, COMMAND),
        settings=[(names.get(param, param), value) for param, value in job.parameters.items()],
        proposed=proposed,
        proposed_count=site.jobs.store.open_counts().get(job.id, 0),
        failed=[(samples[one], error) for one, error in list(errors.items())[:ROWS] if one in samples],
        failed_count=len(errors),
        secrets=[item.name for item in block.items if item.type == SECRET],
        is_same_block=job.block == block.name,
        done=_describe_done(request),
    )


def send_state(site: WebSite, request: Request) -> Response:
    """Send a job's state to the script, with what its log holds after the offset in the address."""
    job = find_job(site, request)
    offset = parse_whole_number(request.query_params.get("offset", "0"), "offset must be a whole number")
    log = site.jobs.log(job.id, offset)
    progress = site.jobs.progress(job)
    state = _describe_state(job, 0 if progress is None else progress.failed)
    return JSONResponse(
        {
            "state": job.state,
            "tone": state["tone"],
            "isRunning": job.is_running,
            "duration": state["duration"],
            "exit": None if job.exit_code is None else f"{job.exit_code}: {state['meaning']}",
            "done": None if progress is None else progress.done,
            "of": len(job.sample_ids),
            "share": None if progress is None else progress.share,
            "progress": _describe_progress(progress),
            "text": log.text,
            "offset": log.offset,
        }
    )


def cancel_job(site: WebSite, request: Request, fields: dict[str, str]) -> Response:
    """Ask a job to end."""
    job = find_job(site, request)
    site.jobs.cancel(job.id)
    return redirect(f"/jobs/{job.id}")


def decide(site: WebSite, request: Request, fields: dict[str, str]) -> Response:
    """Accept or reject one proposal: `reject` is a sample's id, `accept` one with the revision that was seen."""
    job, store, verdicts = find_job(site, request), site.project.store, VerdictStore(site.project.store)
    if "accept" in fields:
        sample_id, _, text = fields["accept"].partition(":")
        revision = parse_whole_number(text, "the form lacks the revision of the recording: load the page again")
        sample = site.project.sample(parse_id(sample_id, "sample"))
        try:
            was_open = verdicts.decide_whole(
                ACCEPTED_WHOLE, job.id, sample, lambda: store.accept(job.id, sample.id, revision)
            )
        except StaleError:
            was_open = False
        if not was_open:
            raise RequestError("The recording was changed meanwhile: look at it again, then decide.", 409)
        done = "accept-one"
    elif "reject" in fields:
        sample = site.project.sample(parse_id(fields["reject"], "sample"))
        was_open = verdicts.decide_whole(REJECTED_WHOLE, job.id, sample, lambda: store.reject(job.id, sample.id))
        done = "reject-one"
    else:
        raise RequestError("neither accepted nor rejected")
    return redirect(f"/jobs/{job.id}{f'?done={done}&count=1' if was_open else ''}#proposals")


def find_job(site: WebSite, request: Request) -> StudioJob:
    """Return the job that the address names. Raise RequestError (404)."""
    job_id = parse_id(request.path_params["job"], "job")
    job = site.jobs.store.get(job_id)
    if job is None:
        raise RequestError(f"There is no job {job_id}.", 404)
    return job


def _describe_done(request: Request) -> str:
    """Return what was just done to proposals, as the address says; empty if nothing was."""
    text = request.query_params.get("count", "")
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    what = DONE.get(request.query_params.get("done", ""))
    return f"{count(number, what[0])} {what[1]}." if what is not None and number else ""


def _describe_state(job: StudioJob, failed: int) -> dict[str, Any]:
    """Return a job, of whose samples some `failed`: its state, how long it ran, and what its exit code means."""
    try:
        started, ended = (datetime.fromisoformat(time) for time in (job.started, job.ended or now()))
        duration = format_clock(max(0.0, (ended - started).total_seconds()))
    except ValueError:
        duration = "–"
    meaning = "" if job.exit_code is None else EXITS.get(job.exit_code, "failure: the log may say why")
    word, tone = "canceled" if job.state == CANCELED else job.state, TONES[job.state]
    has_some = job.exit_code == SOME_FAILED and 0 < failed < len(job.sample_ids)
    if has_some:
        word, tone = f"done, {failed} failed", "warn"
    is_done = has_some or job.exit_code == 0
    return {"job": job, "word": word, "tone": tone, "duration": duration, "meaning": meaning, "is_done": is_done}


def _describe_proposal(sample: LocalSample, changes: ProposedChanges) -> dict[str, Any]:
    """Return what a proposal would change: seconds of each label, longest first, and a text for other changes."""
    values: Counter[str] = Counter()
    for one in changes.structured_labels or ():
        values[one.label] += one.end_index + 1 - one.start_index
    others = []
    if changes.label is not None:
        others.append(f"label: {changes.label or 'none'}")
    if changes.is_disabled is not None:
        others.append("disabled" if changes.is_disabled else "enabled")
    if not values and not others:
        others.append("metadata" if changes.metadata else "nothing")
    rate_hz = sample.frequency_hz
    return {
        "sample": sample,
        "seconds": [(label, count / rate_hz if rate_hz else 0.0) for label, count in values.most_common()],
        "others": ", ".join(others),
        "is_by_hand": find_labeler(sample) == HAND,
    }


def _describe_progress(progress: JobProgress | None) -> str:
    if progress is None:
        return ""
    failed = f", {progress.failed} of them failed" if progress.failed else ""
    left = "" if progress.left_s is None else f", about {format_duration(progress.left_s)} left"
    return f"{progress.done} of {count(progress.total, 'recording')}{failed}{left}"
