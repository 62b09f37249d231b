"""The page of one recording: what is in it, where, and why; its labels by hand, and proposals for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from block.local_studio.api.app import make_audio_response
from block.local_studio.data import validation
from block.local_studio.data.store import StaleError
from block.local_studio.data.validation import RequestError
from block.local_studio.data.verdicts import ACCEPTED_WHOLE, EDITED, NO_JOB, REJECTED_WHOLE, VerdictStore
from block.local_studio.web import pictures
from block.local_studio.web.pictures import TimeSpan
from block.local_studio.web.recording_view import OVERVIEW, can_draw, version, view_recording
from block.local_studio.web.recordings_list import Filter
from block.local_studio.web.segments import check_partition, parse_lines
from block.local_studio.web.site import WebSite, has_json, parse_whole_number, redirect

NOTICES = {
    "saved": "The labels are saved and marked as hand-made.",
    "accepted": "The proposal is accepted. These are the labels now.",
    "rejected": "The proposal is rejected. The labels stay as they are.",
    "undone": "Undone: the recording is as it was before.",
}
STALE = "this recording was changed meanwhile, in another window or by an action; load it again"


def routes(site: WebSite) -> list[Route]:
    """Return the routes of a recording's page, its pictures and its audio, and of what can be done there."""
    at = "/recordings/{sample}"
    return [
        site.get(at, show_recording),
        site.get(f"{at}/spectrogram.png", partial(send_picture, _draw_spectrogram)),
        site.get(f"{at}/waveform.json", partial(send_picture, _draw_waveform)),
        site.get(f"{at}/audio", send_audio),
        site.get(f"{at}/clip", send_clip),
        Route(f"{at}/labels", partial(save_labels, site), methods=["POST"]),
        site.post(f"{at}/proposal", decide),
        site.post(f"{at}/undo", undo),
    ]


def show_recording(site: WebSite, request: Request) -> Response:
    """Show the page, with the proposal of the job in the address if there is one."""
    pairs = request.query_params.multi_items()
    wanted = Filter.from_query([pair for pair in pairs if pair[0] not in ("job", "done")])
    job = request.query_params.get("job")
    job_id = None if job is None else validation.parse_id(job, "job")
    values = view_recording(site, _sample_id(request), job_id, wanted)
    done = request.query_params.get("done", "")
    values |= {"notice": NOTICES.get(done, ""), "is_undone": done == "undone"}
    return site.render(request, "recording.html", **values)


def send_picture(draw: Callable[[Path, TimeSpan, int], Response], site: WebSite, request: Request) -> Response:
    """Send what `draw` makes of a time span and a height in pixels. It isn't drawn if the browser has it."""
    sample = site.project.sample(_sample_id(request))
    query = request.query_params
    length_s = sample.values_count / sample.frequency_hz if sample.frequency_hz else 0.0
    start_s, end_s = _parse_second(query.get("start"), 0.0), _parse_second(query.get("end"), length_s)
    if not 0 <= start_s < end_s <= length_s + 1:
        raise RequestError(f"expected 0 ≤ start < end ≤ {length_s:g} s, got {start_s:g} and {end_s:g}")
    width = _parse_pixels(query.get("width"), OVERVIEW["width"], *pictures.WIDTHS)
    height = _parse_pixels(query.get("height"), OVERVIEW["height"], *pictures.HEIGHTS)
    # An address with the version of the audio in it never means another picture.
    caching = "private, max-age=31536000" if query.get("v") == version(sample) else "private, no-cache"
    headers = {"Cache-Control": caching, "ETag": f'"{version(sample)}"'}
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    response = draw(site.project.audio(sample), TimeSpan(start_s, end_s, width), height)
    response.headers.update(headers)
    return response


def _draw_spectrogram(path: Path, span: TimeSpan, height: int) -> Response:
    return Response(pictures.spectrogram(path, span, height), media_type="image/png")


def _draw_waveform(path: Path, span: TimeSpan, height: int) -> Response:
    peaks = pictures.peaks(path, span)
    low, high = ([round(value, 4) for value in values.tolist()] for values in (peaks.low, peaks.high))
    return JSONResponse({"low": low, "high": high, "exact": peaks.is_exact})


def send_audio(site: WebSite, request: Request) -> Response:
    """Send the audio, or a range of it, as a WAV that browsers play."""
    sample = site.project.sample(_sample_id(request))
    headers = {"Cache-Control": "no-cache", "ETag": f'"{version(sample)}"'}
    return make_audio_response(site.project.playable(sample), headers)


def send_clip(site: WebSite, request: Request) -> Response:
    """Send the values `start` … `end` - 1 of the audio as a WAV that browsers play."""
    sample = site.project.sample(_sample_id(request))
    query = request.query_params
    refusal = f"expected start and end as positions from 0 to {sample.values_count}, start before end"
    start = parse_whole_number(query.get("start", ""), refusal)
    end = parse_whole_number(query.get("end", ""), refusal, start + 1, sample.values_count)
    caching = "private, max-age=31536000" if query.get("v") == version(sample) else "no-cache"
    return make_audio_response(site.project.playable(sample, slice(start, end)), {"Cache-Control": caching})


async def save_labels(site: WebSite, request: Request) -> Response:
    """Save labels by hand, posted as JSON by the script or as lines of text by the form."""
    if not has_json(request):
        return await run_in_threadpool(_save_text, site, request, await site.read_form(request))
    body = await site.read_json(request)
    validation.check_keys(body, ("revision", "labels"), "the request body")
    revision = validation.parse_integer(body.get("revision"), "revision")
    new_revision = await run_in_threadpool(_save, site, _sample_id(request), revision, body.get("labels"))
    return JSONResponse({"success": True, "revision": new_revision})


def _save_text(site: WebSite, request: Request, fields: dict[str, str]) -> Response:
    sample_id, lines = _sample_id(request), fields.get("lines", "")
    try:
        _save(site, sample_id, _parse_revision(fields.get("revision", "")), lines=lines)
    except RequestError as error:
        values = view_recording(site, sample_id, None)
        values.update(wrong=error.message, lines=lines)
        return site.render(request, "recording.html", error.status, **values)
    return _come_back(sample_id, fields, "saved")


def _save(site: WebSite, sample_id: int, revision: int, labels: object = None, lines: str | None = None) -> int:
    """Store a person's labels, given as JSON or as `lines`. Return the sample's new revision.

    Raise RequestError (400, 404, 409).
    """
    sample = site.project.sample(sample_id)
    if not can_draw(sample):
        raise RequestError("this recording has no values that could be labeled")
    if lines is not None:
        labels = parse_lines(lines, sample.frequency_hz, sample.values_count)
    structured = validation.parse_labels(labels, sample.values_count, "labels")
    assert isinstance(labels, list)
    check_partition(labels, sample.frequency_hz, sample.values_count)
    try:
        return VerdictStore(site.project.store).decide_whole(
            EDITED, NO_JOB, sample, lambda: site.project.store.set_by_hand(sample_id, structured, revision)
        )
    except StaleError:
        raise RequestError(STALE, 409) from None


def decide(site: WebSite, request: Request, fields: dict[str, str]) -> Response:
    """Accept or reject what a job proposes for the recording."""
    sample_id, job_id = _sample_id(request), validation.parse_id(fields.get("job", ""), "job")
    sample = site.project.sample(sample_id)
    decision, store = fields.get("decision"), site.project.store
    verdicts = VerdictStore(store)
    if decision not in ("accept", "reject"):
        raise RequestError("the decision must be accept or reject")
    # Accepting replaces labels, so the person must have seen them. Rejecting replaces none.
    revision = _parse_revision(fields["revision"]) if "revision" in fields else None
    try:
        if decision == "accept":
            was_open = verdicts.decide_whole(
                ACCEPTED_WHOLE, job_id, sample, lambda: store.accept(job_id, sample_id, revision)
            )
        else:
            was_open = verdicts.decide_whole(REJECTED_WHOLE, job_id, sample, lambda: store.reject(job_id, sample_id))
    except StaleError:
        raise RequestError(STALE, 409) from None
    if not was_open:
        raise RequestError(f"job {job_id} proposes nothing for this recording (any more)", 409)
    return _come_back(sample_id, fields, f"{decision}ed")


def undo(site: WebSite, request: Request, fields: dict[str, str]) -> Response:
    """Undo the newest verdict on the recording, which the form names by its batch."""
    sample_id = _sample_id(request)
    batch = parse_whole_number(fields.get("batch", ""), "the form lacks what to undo: load the page again")
    try:
        VerdictStore(site.project.store).undo_sample(sample_id, batch)
    except StaleError:
        raise RequestError("This can't be undone: the recording was changed since.", 409) from None
    return _come_back(sample_id, fields, "undone")


def _come_back(sample_id: int, fields: Mapping[str, str], done: str) -> Response:
    """Show the recording again, in the list that it was opened from, which the form names."""
    wanted = Filter.from_query(parse_qsl(fields.get("list", "").removeprefix("?")))
    return redirect(f"/recordings/{sample_id}{wanted.query or '?'}{'&' if wanted.query else ''}done={done}")


def _sample_id(request: Request) -> int:
    return validation.parse_id(request.path_params["sample"], "recording")


def _parse_revision(text: str) -> int:
    return parse_whole_number(text, "the form lacks the revision of the recording: load the page again")


def _parse_second(text: str | None, default: float) -> float:
    try:
        return default if text is None else float(text)
    except ValueError:
        raise RequestError(f"expected seconds, got {text[:40] if text else text!r}") from None


def _parse_pixels(text: str | None, default: int, least: int, most: int) -> int:
    if text is None:
        return default
    return parse_whole_number(text, f"expected {least}…{most} pixels, got {text[:40]!r}", least, most)
