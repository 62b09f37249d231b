"""The page that finds sounds like one, asks a person about them, and proposes a label that no model knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from block.local_studio.data.examples import Example, ExampleStore, SoundSpan
from block.local_studio.data.sample import LocalSample
from block.local_studio.data.similarity import has_probe
from block.local_studio.data.validation import RequestError
from block.local_studio.jobs.sound_label import propose_label
from block.local_studio.jobs.sound_search import SoundSearch
from block.local_studio.web.recording_view import version
from block.local_studio.web.review_page import LONGEST_LABEL
from block.local_studio.web.site import OTHER_LABEL, WebSite, parse_whole_number, redirect

SHOWN = 12  # candidates
YES, NO, FORGET = "yes", "no", "forget"


def routes(site: WebSite) -> list[Route]:
    """Return the routes of the page and of its forms."""
    return [
        site.get("/similar", show_similar),
        site.post("/similar/mark", mark),
        site.post("/similar/propose", propose),
    ]


@dataclass(frozen=True)
class SimilarQuery:
    """What a person looks for: sounds like `sound`, among windows that were scored as in job `job_id`, or any if 0."""

    sound: SoundSpan
    job_id: int

    @classmethod
    def from_fields(cls, site: WebSite, fields: Mapping[str, str]) -> tuple[SimilarQuery, LocalSample]:
        """Return what a query or a form asks for, and the sample it is about. Raise RequestError."""
        sample = site.project.sample(_parse(fields, "sample"))
        return cls(_parse_span(fields, sample, "start", "end"), _parse(fields, "job")), sample

    @property
    def fields(self) -> dict[str, int]:
        """The query that asks for it."""
        return {"sample": self.sound.sample_id, "start": self.sound.start, "end": self.sound.end, "job": self.job_id}

    @property
    def link(self) -> str:
        """The address of its page."""
        return f"/similar?{urlencode(self.fields)}"

    def search(self, site: WebSite) -> SoundSearch:
        """Return the search with all verdicts so far. Raise RequestError."""
        job = site.jobs.store.get(self.job_id) if self.job_id else None
        if self.job_id and job is None:
            raise RequestError(f"there is no job {self.job_id}", 404)
        index = site.sounds.load(job)
        return SoundSearch(index, self.sound, ExampleStore(site.project.store).list(self.sound))


def show_similar(site: WebSite, request: Request) -> Response:
    """Show the windows that sound most alike, one of each recording, and the verdicts on others."""
    wanted, sample = SimilarQuery.from_fields(site, request.query_params)
    search = wanted.search(site)
    samples = {one.id: one for one in site.project.samples()}
    found = search.find_candidates(SHOWN)
    counts = {kind: sum(one.is_like == kind for one in search.examples) for kind in (True, False)}
    return site.render(
        request,
        "similar.html",
        wanted=wanted,
        sound=_describe(wanted.sound, sample),
        found=[
            {**_describe(one.span, samples[one.span.sample_id]), "similarity": one.similarity}
            for one in found
            if one.span.sample_id in samples
        ],
        heard=[
            {**_describe(one.span, samples[one.span.sample_id]), "is_like": one.is_like}
            for one in reversed(search.examples)
        ],
        windows=len(search.index),
        recordings=len(set(search.index.sample_ids.tolist())),
        yes=counts[True],
        no=counts[False],
        precision=search.precision,
        proposed=len(search.find_like()) if counts[False] else 0,
        has_probe=has_probe(),
        longest=LONGEST_LABEL,
    )


def mark(site: WebSite, _: Request, fields: dict[str, str]) -> Response:
    """Store a verdict on a window, or forget it."""
    wanted, _sample = SimilarQuery.from_fields(site, fields)
    other = site.project.sample(_parse(fields, "other-sample"))
    span = _parse_span(fields, other, "other-start", "other-end")
    examples, verdict = ExampleStore(site.project.store), fields.get("verdict")
    if verdict == FORGET:
        examples.unmark(wanted.sound, span)
    elif verdict in (YES, NO):
        examples.mark(wanted.sound, Example(span, verdict == YES))
    else:
        raise RequestError(f"the verdict must be {YES}, {NO} or {FORGET}")
    return redirect(wanted.link)


def propose(site: WebSite, _: Request, fields: dict[str, str]) -> Response:
    """Propose a label for all windows that are more likely like the sound than not, and go to their review."""
    wanted, _sample = SimilarQuery.from_fields(site, fields)
    label = fields.get("label", "").strip()
    if not 0 < len(label) <= LONGEST_LABEL:
        raise RequestError(f"expected a label of 1 to {LONGEST_LABEL} characters")
    other = site.find_other_label(wanted.job_id)
    parameters = {OTHER_LABEL: other, "label": label}
    job = propose_label(site.project, site.jobs, wanted.search(site), label, parameters, other)
    return redirect(f"/review?{urlencode({'job': job.id, 'label': label})}")


def _describe(span: SoundSpan, sample: LocalSample) -> dict[str, Any]:
    """Return what the template shows of a span. The rate is at least 1, because the block has labeled it."""
    rate = sample.frequency_hz or 1.0
    return {
        "sample": sample, "start": span.start, "end": span.end, "start_s": span.start / rate,
        "end_s": span.end / rate, "version": version(sample),
    }  # fmt: skip


def _parse_span(fields: Mapping[str, str], sample: LocalSample, start: str, end: str) -> SoundSpan:
    span = SoundSpan(sample.id, _parse(fields, start), _parse(fields, end))
    if not span.start < span.end <= sample.values_count:
        raise RequestError(f"expected a part of 0…{sample.values_count}, got {span.start}…{span.end}")
    return span


def _parse(fields: Mapping[str, str], name: str) -> int:
    return parse_whole_number(fields.get(name, "0" if name == "job" else ""), f"the address lacks {name}, a number")
