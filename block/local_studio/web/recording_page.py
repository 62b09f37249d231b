"""The page of one recording: what is in it, where, and why; its labels by hand, and proposals for it."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from block.local_studio.api.app import make_audio_response
from block.local_studio.data import validation, wav
from block.local_studio.data.playback import find_playable, locate_audio
from block.local_studio.data.sample import LocalSample
from block.local_studio.data.store import StaleError
from block.local_studio.data.validation import RequestError
from block.local_studio.web import pictures
from block.local_studio.web.recording_view import OVERVIEW, can_draw, values_of, version
from block.local_studio.web.segments import checked_by_hand, of_lines
from block.local_studio.web.site import HEADERS, WebSite, as_json, in_thread

STALE = "this recording was changed meanwhile, in another window or by an action: load it again"


def routes(site: WebSite) -> list[BaseRoute]:
    """The page of a recording, its pictures and its sound, and what can be done there."""

    async def page(request: Request) -> Response:
        values = await in_thread(values_of, site, _id(request), _job(request))
        return site.page(
            request, "recording.html", notice=NOTICES.get(request.query_params.get("done", ""), ""), **values
        )

    async def spectrogram(request: Request) -> Response:
        def draw(sample: LocalSample, span: pictures.TimeSpan, height: int) -> Response:
            data = pictures.spectrogram(locate_audio(site.project, sample), span, height)
            return Response(data, media_type="image/png")

        return await _picture(site, request, draw)

    async def waveform(request: Request) -> Response:
        def draw(sample: LocalSample, span: pictures.TimeSpan, height: int) -> Response:
            peaks = pictures.peaks(locate_audio(site.project, sample), span)
            answer = {
                "low": [round(value, 4) for value in peaks.low.tolist()],
                "high": [round(value, 4) for value in peaks.high.tolist()],
                "exact": peaks.is_exact,
            }
            return Response(as_json(answer), media_type="application/json")

        return await _picture(site, request, draw)

    async def audio(request: Request) -> Response:
        sample = await in_thread(site.project.sample, _id(request))
        try:
            found = await in_thread(lambda: find_playable(locate_audio(site.project, sample)))
        except wav.UnreadableAudio as error:
            raise RequestError(f"this recording {error}") from None
        headers = {**HEADERS, "Cache-Control": "no-cache", "ETag": _etag(sample)}
        return make_audio_response(found, request.headers.get("range"), headers)

    async def labels(request: Request) -> Response:
        sample_id = _id(request)
        if request.headers.get("content-type", "").startswith("application/json"):
            body = await site.json(request)
            validation.check_keys(body, ("revision", "labels"), "the request body")
            revision = validation.parse_integer(body.get("revision"), "revision")
            new = await in_thread(_save, site, sample_id, body.get("labels"), revision)
            return Response(as_json({"success": True, "revision": new}), media_type="application/json", headers=HEADERS)
        fields = await site.form(request)
        text = fields.get("lines", "")
        try:
            await in_thread(_save_lines, site, sample_id, text, _whole(fields.get("revision", "")))
        except RequestError as error:
            values = await in_thread(values_of, site, sample_id, None)
            values.update(wrong=error.message, lines=text)
            return site.page(request, "recording.html", error.status, notice="", **values)
        return site.to(f"/recordings/{sample_id}?done=saved")

    async def proposal(request: Request) -> Response:
        sample_id = _id(request)
        fields = await site.form(request)
        job_id = validation.parse_id(fields.get("job", ""), "job")
        done = await in_thread(_decide, site, sample_id, job_id, fields.get("decision"), fields.get("revision"))
        return site.to(f"/recordings/{sample_id}?done={done}")

    at = "/recordings/{sample}"
    return [
        Route(at, page, methods=["GET"]),
        Route(f"{at}/spectrogram.png", spectrogram, methods=["GET"]),
        Route(f"{at}/waveform.json", waveform, methods=["GET"]),
        Route(f"{at}/audio", audio, methods=["GET"]),
        Route(f"{at}/labels", labels, methods=["POST"]),
        Route(f"{at}/proposal", proposal, methods=["POST"]),
    ]


NOTICES = {
    "saved": "The labels are saved, and marked as given by hand.",
    "accepted": "The proposal is accepted: these are the labels now.",
    "rejected": "The proposal is rejected; the labels are as they were.",
}


def _save(site: WebSite, sample_id: int, given: object, revision: int) -> int:
    """Keep a person's labels; the sample's new revision. Raises Refused (400, 404, 409)."""
    sample = site.project.sample(sample_id)
    if not can_draw(sample):
        raise RequestError("this recording has no values that could be labelled")
    labels = validation.parse_labels(given, sample.values_count, "labels")
    assert isinstance(given, list)
    checked_by_hand(given, sample.frequency_hz, sample.values_count)
    try:
        return site.project.store.set_by_hand(sample_id, labels, revision)
    except StaleError:
        raise RequestError(STALE, 409) from None


def _save_lines(site: WebSite, sample_id: int, text: str, revision: int) -> int:
    sample = site.project.sample(sample_id)
    if not can_draw(sample):
        raise RequestError("this recording has no values that could be labelled")
    labels = of_lines(text, sample.frequency_hz, sample.values_count)
    checked_by_hand(labels, sample.frequency_hz, sample.values_count)
    return _save(site, sample_id, labels, revision)


def _decide(site: WebSite, sample_id: int, job_id: int, decision: str | None, revision: str | None) -> str:
    """Accept or reject what a job proposes; says which. Raises Refused (400, 404, 409)."""
    sample = site.project.sample(sample_id)
    if decision not in ("accept", "reject"):
        raise RequestError("the decision must be accept or reject")
    store = site.project.store
    # Who accepts has seen what is replaced; to reject replaces nothing.
    seen = None if revision is None else _whole(revision)
    try:
        was_there = store.accept(job_id, sample.id, seen) if decision == "accept" else store.reject(job_id, sample.id)
    except StaleError:
        raise RequestError(STALE, 409) from None
    if not was_there:
        raise RequestError(f"job {job_id} proposes nothing for this recording (any more)", 409)
    return f"{decision}ed"


async def _picture(site: WebSite, request: Request, draw: Any) -> Response:
    """The answer that `draw` gives of a sample, a span and a height; not even drawn where the browser has it."""
    sample = await in_thread(site.project.sample, _id(request))
    query = request.query_params
    length_s = sample.values_count / sample.frequency_hz if sample.frequency_hz else 0.0
    start_s, end_s = _second(query.get("start"), 0.0), _second(query.get("end"), length_s)
    if not 0 <= start_s < end_s <= length_s + 1:
        raise RequestError(f"expected 0 ≤ start < end ≤ {length_s:g} s, got {start_s:g} and {end_s:g}")
    span = pictures.TimeSpan(start_s, end_s, _pixels(query.get("width"), OVERVIEW["width"], *pictures.WIDTHS))
    height = _pixels(query.get("height"), OVERVIEW["height"], *pictures.HEIGHTS)
    etag = _etag(sample)
    # An address with the version of the audio in it never means another picture.
    caching = "private, max-age=31536000" if query.get("v") == version(sample) else "private, no-cache"
    headers = {**HEADERS, "Cache-Control": caching, "ETag": etag}
    if etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    try:
        answer: Response = await in_thread(draw, sample, span, height)
    except wav.UnreadableAudio as error:
        raise RequestError(f"this recording {error}") from None
    answer.headers.update(headers)
    return answer


def _etag(sample: LocalSample) -> str:
    return f'"{version(sample)}"'


def _id(request: Request) -> int:
    return validation.parse_id(str(request.path_params["sample"]), "recording")


def _job(request: Request) -> int | None:
    given = request.query_params.get("job")
    return None if given is None else validation.parse_id(given, "job")


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 16):
        raise RequestError("the form lacks the revision of the recording: load the page again")
    return int(text)


def _second(text: str | None, default: float) -> float:
    try:
        return default if text is None else float(text)
    except ValueError:
        raise RequestError(f"expected seconds, got {text[:40] if text else text!r}") from None


def _pixels(text: str | None, default: int, least: int, most: int) -> int:
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 6 and least <= int(text) <= most):
        raise RequestError(f"expected {least}…{most} pixels, got {text[:40]!r}")
    return int(text)
