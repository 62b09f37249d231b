"""What the page of a recording is made of: its facts, the segments that it has and that are proposed, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from block.local_studio.data.sample import LocalSample, ProposedChanges, StructuredLabel
from block.local_studio.web import pictures
from block.local_studio.web.recordings_list import HAND, given_by, natural
from block.local_studio.web.segments import BlockLabels, as_lines, best, shown
from block.local_studio.web.site import WebSite, as_json

OVERVIEW = {"width": 1200, "height": 128}  # pixels of the spectrogram that the page begins with
PICTURES = "1"  # changes whenever the same request gives another picture
MOST_JOBS = 20  # whose details are looked through, the newest
MOST_ROWS = 1000  # of the table of segments
MOST_NAMES = 500  # of labels, to choose from


def version(sample: LocalSample) -> str:
    """Names the sample's audio, and how pictures are made of it."""
    return f"{sample.sha256[:16]}-{PICTURES}"


def values_of(site: WebSite, sample_id: int, job_id: int | None) -> dict[str, Any]:
    """All that the template needs of a sample; `job_id` is the job whose proposal is asked for. Raises Refused."""
    project = site.project
    sample = project.sample(sample_id)
    proposing = _proposing(site, sample_id, job_id)
    changes = project.store.changes(proposing, sample_id) if proposing is not None else ProposedChanges()
    said, errors = _said(site, sample_id)
    before, after = _neighbours(site, sample_id)
    rate_hz, is_drawn = sample.frequency_hz, can_draw(sample)
    current = _shown(sample.structured_labels or (), rate_hz, said)
    of_job = [one for one in said if one.job_id == proposing]
    proposed = _shown(changes.structured_labels or (), rate_hz, of_job)
    lanes = {"current": current, "proposed": proposed if changes.structured_labels is not None else None}
    data = {
        "id": sample.id,
        "revision": sample.revision,
        "version": version(sample),
        "rate": rate_hz,
        "values": sample.values_count,
        "proposing": proposing,
        "byHand": given_by(sample) == HAND,
        **lanes,
    }
    return {
        "sample": sample,
        "file": sample.path.decode("utf-8", "replace"),
        "can_draw": is_drawn,
        "is_by_hand": given_by(sample) == HAND,
        "lanes": lanes,
        "rows": MOST_ROWS,
        "changes": changes,
        "also": _also(sample, changes),
        "job": proposing,
        "asked": job_id,
        "error": errors[0] if errors else None,
        "data": as_json(data),
        "ticks": pictures.ticks(rate_hz, OVERVIEW["height"]) if is_drawn else [],
        "version": version(sample),
        "overview": OVERVIEW,
        "names": _names(site, (*current, *proposed)),
        "before": before,
        "after": after,
        "lines": as_lines(_starting(sample), rate_hz) if is_drawn else "",
        "wrong": "",
    }


def _shown(labels: Sequence[StructuredLabel], rate_hz: float, said: Sequence[BlockLabels]) -> list[dict[str, Any]]:
    return shown(labels, rate_hz, best(said, labels)) if rate_hz else []


def _starting(sample: LocalSample) -> Sequence[StructuredLabel]:
    """The labels that a person begins with: those there are, or one that still lacks its name."""
    return sample.structured_labels or (StructuredLabel(0, sample.values_count - 1, sample.label),)


def can_draw(sample: LocalSample) -> bool:
    """Has it a time axis: values, and a rate?"""
    return sample.frequency_hz > 0 and sample.values_count > 0


def _proposing(site: WebSite, sample_id: int, job_id: int | None) -> int | None:
    """The job whose proposal is shown: `job_id` if that proposes anything, without one the newest that does."""
    found = site.project.store.read("SELECT job_id FROM proposals WHERE sample_id = ? ORDER BY job_id DESC", sample_id)
    jobs = [int(row["job_id"]) for row in found]
    if job_id is not None:
        return job_id if job_id in jobs else None
    return jobs[0] if jobs else None


def _said(site: WebSite, sample_id: int) -> tuple[list[BlockLabels], list[dict[str, object]]]:
    """What jobs said of a sample, newest first; and the error of the newest, if that failed."""
    query = "SELECT job_id FROM details WHERE sample_id = ? ORDER BY job_id DESC LIMIT ?"
    found = site.project.store.read(query, sample_id, MOST_JOBS)
    said: list[BlockLabels] = []
    errors: list[dict[str, object]] = []
    for newest, row in enumerate(found):
        details = site.jobs.store.details(sample_id, row["job_id"])
        said.append(BlockLabels.of(row["job_id"], details))
        if newest == 0 and isinstance(details.get("error"), str):
            errors.append({"job": row["job_id"], "message": details["error"]})
    return [one for one in said if one.entries], errors


def _also(sample: LocalSample, changes: ProposedChanges) -> list[tuple[str, str]]:
    """What a proposal changes beside the segments: name and new value."""
    also = [("label", changes.label)] if changes.label is not None and changes.label != sample.label else []
    if changes.is_disabled is not None and changes.is_disabled != sample.is_disabled:
        also.append(("state", "left out of training" if changes.is_disabled else "used in training"))
    if changes.metadata is not None:
        new = changes.metadata
        also += [(f"metadata {key}", new[key]) for key in new if sample.metadata.get(key) != new[key]]
        also += [(f"metadata {key}", "removed") for key in sample.metadata if key not in new]
    return also


def _names(site: WebSite, segments: Sequence[Mapping[str, Any]]) -> list[str]:
    """Labels that a person may want to give: those of this recording, and of all others."""
    query = (
        "SELECT DISTINCT json_extract(one.value, '$.label') AS label "
        "FROM samples, json_each(structured_labels) AS one LIMIT ?"
    )
    stored = {str(row["label"]) for row in site.project.store.read(query, MOST_NAMES)}
    return sorted(({one["label"] for one in segments} | stored) - {""})


def _neighbours(site: WebSite, sample_id: int) -> tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]:
    """The recordings before and after this one in the order that the list begins with."""
    found = site.project.store.read("SELECT id, name FROM samples WHERE NOT is_missing")
    ordered = sorted(found, key=lambda row: (natural(row["name"]), row["id"]))
    at = next((i for i, row in enumerate(ordered) if row["id"] == sample_id), None)
    if at is None:
        return None, None
    around = [{"id": row["id"], "name": row["name"]} for row in ordered[max(0, at - 1) : at + 2]]
    return around[0] if at > 0 else None, around[-1] if at < len(ordered) - 1 else None
