"""The page on which thresholds move: what other settings would change in a job's labels, and proposing that.

The query string is the state of the page. Without a script, it's a form with a button; with it, each move asks for the
numbers as JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from block.evaluation.thresholds import read_goal
from block.formatting import count
from block.local_studio.data.validation import RequestError
from block.local_studio.jobs.comparison import Flip, JobDecider, LabelComparison, LabelTotal
from block.local_studio.jobs.decided_job import propose_again, set_thresholds
from block.local_studio.jobs.kept_scores import ScoresGone, read_record
from block.local_studio.jobs.store import StudioJob
from block.local_studio.web.job_pages import find_job
from block.local_studio.web.label_overview import LabelOverview, load_overviews
from block.local_studio.web.recording_view import version
from block.local_studio.web.rendering import load_template
from block.local_studio.web.site import WebSite, parse_share, parse_whole_number, redirect
from block.settings import FAST, SOUND, DecisionSettings, SettingsError, WindowSettings

FLIPS = 50  # on the page
NAMED = 5  # recordings without scores
TIMES = {
    "median-ms": "Median filter (ms)",
    "min-segment-ms": "Shortest label (ms)",
    "min-event-ms": "Shortest sound (ms)",
    "min-gap-ms": "Shortest gap (ms)",
}
MOST_MS = 60_000
GOALS = {"f1": "the best F1", **{f"precision={one}": f"a precision of {one}" for one in ("0.8", "0.9", "0.95", "0.99")}}


@dataclass(frozen=True)
class Wanted:
    """The settings on the page, and the windows whose scores to decide from."""

    settings: DecisionSettings
    windows: WindowSettings


def routes(site: WebSite) -> list[Route]:
    """Return the routes of the page, of its numbers, and of its button."""
    return [
        site.get("/jobs/{job}/thresholds", show_thresholds),
        site.get("/jobs/{job}/thresholds.json", send_comparison),
        site.get("/jobs/{job}/overviews.json", send_overviews),
        site.post("/jobs/{job}/thresholds", propose),
    ]


def show_thresholds(site: WebSite, request: Request) -> Response:
    """Show what the settings in the query change."""
    job = find_job(site, request)
    try:
        wanted = read_wanted(job, request.query_params)
        decider = site.jobs.deciders.get(job, wanted.windows)
    except ScoresGone as gone:
        return site.render(request, "thresholds.html", gone.status, job=job, gone=gone.message)
    comparison, record = decider.compare(wanted.settings), decider.own.record
    return site.render(
        request,
        "thresholds.html",
        job=job,
        gone="",
        settings=wanted.settings,
        windows=format_windows(wanted.windows),
        all_windows=[(format_windows(one), str(one)) for one in site.jobs.scores.list_windows(job)],
        times=[(name, title, getattr(wanted.settings, name.replace("-", "_"))) for name, title in TIMES.items()],
        most_ms=MOST_MS,
        is_fast=record.key.mode == FAST,
        missing=_name_missing(site, comparison),
        query=request.url.query,
        goals=GOALS,
        goal=read_goal_name(request.query_params),
        overviews=_load_overviews(site, job, decider, wanted, request.query_params),
        **_describe_comparison(site, wanted.settings, comparison),
    )


def send_comparison(site: WebSite, request: Request) -> Response:
    """Send what the settings in the query change."""
    job = find_job(site, request)
    wanted = read_wanted(job, request.query_params)
    comparison = site.jobs.deciders.get(job, wanted.windows).compare(wanted.settings)
    described = _describe_comparison(site, wanted.settings, comparison)
    changes = load_template("flips.html").render(job=job, **described)
    answer = {"rows": described["rows"], "summary": described["summary"], "changes": changes}
    return JSONResponse({"success": True, **answer})


def send_overviews(site: WebSite, request: Request) -> Response:
    """Send what verdicts say of each label with the settings in the query, as HTML."""
    job = find_job(site, request)
    wanted = read_wanted(job, request.query_params)
    decider = site.jobs.deciders.get(job, wanted.windows)
    overviews = _load_overviews(site, job, decider, wanted, request.query_params)
    template = load_template("label_overview.html")
    return JSONResponse({"overviews": [template.render(overview=one, at=at) for at, one in enumerate(overviews)]})


def propose(site: WebSite, request: Request, fields: dict[str, str]) -> Response:
    """Propose the labels that the form's settings give, as a new job: those that change, or all."""
    job = find_job(site, request)
    whole = fields.pop("which", "changed") == "all"
    wanted = read_wanted(job, dict(parse_qsl(fields.get("query", ""))))
    decider = site.jobs.deciders.get(job, wanted.windows)
    comparison = decider.compare(wanted.settings)
    chosen = comparison.samples if whole else list(comparison.segments)
    made = propose_again(site.project, site.jobs, job, decider.scores, wanted.settings, chosen)
    return redirect(f"/jobs/{made.id}#proposals")


def read_wanted(job: StudioJob, query: Mapping[str, str]) -> Wanted:
    """Read the settings in a query or a form; without any, those of the job. Raise RequestError or ScoresGone."""
    record = read_record(job)
    before = record.decisions
    if not query:
        return Wanted(before, record.key.windows)
    thresholds = [
        parse_share(query.get(f"t{at}", ""), f"The threshold of {label.name!r}", label.threshold)
        for at, label in enumerate(before.labels)
    ]
    times: dict[str, Any] = {
        name.replace("-", "_"): parse_whole_number(
            query.get(name) or "0", f"{title}: enter a whole number of milliseconds, at most {MOST_MS}", 0, MOST_MS
        )
        for name, title in TIMES.items()
    }
    merge = query.get("merge", "") == "on"
    if not merge:
        times |= dict.fromkeys(("min_segment_ms", "min_event_ms", "min_gap_ms"), 0)
    hysteresis = parse_share(query.get("hysteresis", ""), "Hysteresis", before.hysteresis)
    try:
        settings = replace(
            before, labels=set_thresholds(before.labels, thresholds), hysteresis=hysteresis, merge=merge, **times
        )
        return Wanted(settings, _parse_windows(query.get("windows", ""), record.key.windows))
    except SettingsError as error:
        raise RequestError(f"These settings can't be used: {error}") from None


def read_goal_name(query: Mapping[str, str]) -> str:
    """Return what thresholds are fitted for, one of GOALS. Raise RequestError for anything else."""
    goal = query.get("goal") or "f1"
    if goal not in GOALS:
        raise RequestError(f"the goal must be one of {', '.join(GOALS)}, got {goal[:40]!r}")
    return goal


def format_windows(windows: WindowSettings) -> str:
    """Return windows as a value of the form."""
    return SOUND if windows.boundaries == SOUND else f"{windows.size_ms}-{windows.stride_ms}"


def _parse_windows(text: str, default: WindowSettings) -> WindowSettings:
    if not text:
        return default
    if text == SOUND:
        return WindowSettings(boundaries=SOUND)
    refusal = f"the windows must be {SOUND} or size-stride in ms, got {text[:40]!r}"
    size, _, stride = text.partition("-")
    return WindowSettings(parse_whole_number(size, refusal), parse_whole_number(stride, refusal))


def _describe_comparison(site: WebSite, settings: DecisionSettings, comparison: LabelComparison) -> dict[str, Any]:
    """Return the rows of the table, one for each label of interest and the other label, and the segments that flip."""
    names = [*(label.name for label in settings.labels), settings.other_label]
    rows: list[dict[str, Any]] = [
        {"label": name, "class": "", "threshold": None, "color": site.colors(name),
         "before": _describe_total(comparison.before.get(name)), "after": _describe_total(comparison.after.get(name))}
        for name in names
    ]  # fmt: skip
    for row, label in zip(rows, settings.labels, strict=False):
        row |= {"threshold": label.threshold, "class": label.class_name}
    return {
        "rows": rows,
        "flips": [one for flip in comparison.flips[:FLIPS] if (one := _describe_flip(site, flip)) is not None],
        "summary": _summarize(comparison),
        "flipped": len(comparison.flips),
        "changed": len(comparison.segments),
        "compared": len(comparison.samples),
    }


def _load_overviews(
    site: WebSite, job: StudioJob, decider: JobDecider, wanted: Wanted, query: Mapping[str, str]
) -> Sequence[LabelOverview]:
    goal = read_goal(read_goal_name(query))
    return load_overviews(site.project.store, job.id, decider, wanted.settings, goal)


def _summarize(comparison: LabelComparison) -> str:
    """Return how much changes, as a sentence."""
    flipped, compared = len(comparison.flips), count(len(comparison.samples), "recording")
    if not flipped:
        recut = len(comparison.segments)
        others = f"; {count(recut, 'recording')} {'is' if recut == 1 else 'are'} cut differently" if recut else ""
        return f"No segment in {compared} gets another label{others}."
    verb = "gets" if flipped == 1 else "get"
    return f"{count(flipped, 'segment')} in {len(comparison.segments):,} of {compared} {verb} another label."


def _describe_total(total: LabelTotal | None) -> dict[str, float]:
    total = total or LabelTotal()
    return {"seconds": round(total.seconds, 3), "segments": total.segments}


def _describe_flip(site: WebSite, flip: Flip) -> dict[str, Any] | None:
    sample = site.project.store.sample(flip.sample_id)
    if sample is None:
        return None
    rate_hz = sample.frequency_hz or 1.0
    return {
        "sample": sample.id, "name": sample.name, "start": flip.start, "end": flip.end, "from": flip.start / rate_hz,
        "to": flip.end / rate_hz, "was": flip.was, "wasColor": site.colors(flip.was), "label": flip.label,
        "color": site.colors(flip.label), "score": round(flip.score, 4), "version": version(sample),
    }  # fmt: skip


def _name_missing(site: WebSite, comparison: LabelComparison) -> dict[str, Any]:
    """Return how many recordings have no scores, and the names of some."""
    samples = {sample.id: sample.name for sample in site.project.samples()} if comparison.missing else {}
    return {"count": len(comparison.missing), "names": [samples.get(one, "") for one in comparison.missing[:NAMED]]}
