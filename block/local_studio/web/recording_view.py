"""The values of a recording's page: its facts, its segments, those that are proposed, and the reasons for them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from block.local_studio.data import rows
from block.local_studio.data.painting import keeps
from block.local_studio.data.sample import LocalSample, ProposedChanges, StructuredLabel
from block.local_studio.data.verdicts import VerdictStore
from block.local_studio.jobs.store import RUN
from block.local_studio.web import pictures
from block.local_studio.web.recordings_list import HAND, Filter, find_labeler
from block.local_studio.web.segments import BlockLabels, describe_segments, format_lines
from block.local_studio.web.site import WebSite

OVERVIEW = {"width": 1200, "height": 128}  # pixels of the spectrogram that the page begins with
PICTURES_VERSION = "2"  # changes whenever the same request gives another picture
ANY = Filter()  # all recordings, in the order that the list begins with
MOST_HISTORY = 100  # verdicts, the newest
MOST_JOBS = 20  # whose details are looked through, the newest
MOST_ROWS = 1000  # of the table of segments
MOST_NAMES = 500  # of labels, to choose from


def view_recording(site: WebSite, sample_id: int, job_id: int | None, wanted: Filter = ANY) -> dict[str, Any]:
    """Return all that the template needs of a sample, with what `job_id` or the newest job proposes for it.

    `wanted` is the list that the page was opened from: it says what the neighbors are.

    Raise RequestError if there is no such sample.
    """
    store = site.project.store
    sample = site.project.sample(sample_id)
    proposing = _find_proposing_job(site, sample_id, job_id)
    changes = ProposedChanges() if proposing is None else store.changes(proposing, sample_id)
    query = "SELECT job_id, details FROM details WHERE sample_id = ? ORDER BY job_id DESC LIMIT ?"
    details = [(row["job_id"], json.loads(row["details"])) for row in store.read(query, sample_id, MOST_JOBS)]
    reports = [report for report in (BlockLabels.from_details(*one) for one in details) if report.entries]
    own_reports = [report for report in reports if report.job_id == proposing]
    error = None
    if details and isinstance(details[0][1].get("error"), str):
        error = {"job": details[0][0], "message": details[0][1]["error"]}
    rate_hz, is_by_hand = sample.frequency_hz, find_labeler(sample) == HAND
    current = describe_segments(sample.structured_labels or (), rate_hz, reports, site.colors)
    proposed = describe_segments(changes.structured_labels or (), rate_hz, own_reports, site.colors)
    lanes = {"current": current, "proposed": None if changes.structured_labels is None else proposed}
    data = {
        "id": sample.id,
        "revision": sample.revision,
        "version": version(sample),
        "rate": rate_hz,
        "values": sample.values_count,
        "proposing": proposing,
        "byHand": is_by_hand,
        **lanes,
    }
    gaps = ("", site.find_other_label(proposing or 0))
    overwrites = (
        is_by_hand
        and changes.structured_labels is not None
        and not keeps(changes.structured_labels, sample.structured_labels or (), gaps)
    )
    # Labeling by hand starts with the current labels, or with one that has no name yet.
    first_labels = sample.structured_labels or (StructuredLabel(0, sample.values_count - 1, sample.label),)
    before, after = _find_neighbors(site, sample_id, wanted)
    verdicts = VerdictStore(store)
    batch, undone_count = verdicts.find_newest(sample_id)
    return {
        "sample": sample,
        "file": sample.path.decode("utf-8", "replace"),
        "can_draw": can_draw(sample),
        "is_by_hand": is_by_hand,
        "overwrites": overwrites,
        "lanes": lanes,
        "rows": MOST_ROWS,
        "further_changes": _list_further_changes(sample, changes),
        "job": proposing,
        "asked": job_id,
        "error": error,
        "data": json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False),
        "ticks": pictures.ticks(rate_hz, OVERVIEW["height"]) if can_draw(sample) else [],
        "version": version(sample),
        "overview": OVERVIEW,
        "names": _list_names(site, (*current, *proposed)),
        "wanted": wanted,
        "history": _list_history(site, sample_id, dict(details)),
        "batch": batch,
        "undone_count": undone_count,
        "before": before,
        "after": after,
        "lines": format_lines(first_labels, rate_hz) if can_draw(sample) else "",
        "notice": "",
        "is_undone": False,
        "wrong": "",
    }


def version(sample: LocalSample) -> str:
    """Return a name for the sample's audio and for how pictures are made of it."""
    return f"{sample.sha256[:16]}-{PICTURES_VERSION}"


def can_draw(sample: LocalSample) -> bool:
    """Return True if the sample could be read and has a time axis: values, and a rate."""
    return sample.processing_error is None and sample.frequency_hz > 0 and sample.values_count > 0


def _find_proposing_job(site: WebSite, sample_id: int, job_id: int | None) -> int | None:
    """Return `job_id` if that job proposes anything; if it is None, the newest job that does."""
    query = "SELECT job_id FROM proposals WHERE sample_id = ? AND NOT is_unchanged ORDER BY job_id DESC"
    found = site.project.store.read(query, sample_id)
    return next((int(row["job_id"]) for row in found if job_id in (None, row["job_id"])), None)


def _list_further_changes(sample: LocalSample, changes: ProposedChanges) -> list[tuple[str, str]]:
    """Return what a proposal changes besides the segments, as pairs of a name and the new value."""
    found = []
    if changes.label is not None and changes.label != sample.label:
        found.append(("label", changes.label))
    if changes.is_disabled is not None and changes.is_disabled != sample.is_disabled:
        found.append(("state", "left out of training" if changes.is_disabled else "used in training"))
    if changes.metadata is not None:
        new = changes.metadata
        found += [(f"metadata {key}", new[key]) for key in new if sample.metadata.get(key) != new[key]]
        found += [(f"metadata {key}", "removed") for key in sample.metadata if key not in new]
    return found


def _list_names(site: WebSite, segments: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the labels to choose from: those of this recording, and of all others."""
    query = (
        "SELECT DISTINCT json_extract(one.value, '$.label') AS label "
        "FROM samples, json_each(structured_labels) AS one LIMIT ?"
    )
    stored = {str(row["label"]) for row in site.project.store.read(query, MOST_NAMES)}
    return sorted(({one["label"] for one in segments} | stored) - {""})


def _list_history(site: WebSite, sample_id: int, details: Mapping[int, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what people decided and what jobs did, newest first. `details` are what the jobs reported."""
    store = site.project.store
    history: list[dict[str, Any]] = [
        {"time": time, "verdict": verdict}
        for time, verdict in VerdictStore(store).list_history(sample_id, MOST_HISTORY)
    ]
    for row in store.read(
        "SELECT id, kind, started FROM jobs WHERE id IN (SELECT value FROM json_each(?))", rows.dump(list(details))
    ):
        did = "labeled it" if row["kind"] == RUN else "proposed labels"
        what = "couldn’t label it" if "error" in details[row["id"]] else did
        history.append({"time": row["started"], "verdict": None, "job": row["id"], "what": what})
    return sorted(history, key=lambda one: str(one["time"]), reverse=True)


def _find_neighbors(site: WebSite, sample_id: int, wanted: Filter) -> tuple[LocalSample | None, LocalSample | None]:
    """Return the recordings before and after this one in the list, even if the list no longer has this one."""
    ordered = [row.sample for row in wanted.apply(site.rows.load(), kept=sample_id)]
    at = next(i for i, sample in enumerate(ordered) if sample.id == sample_id)
    return ordered[at - 1] if at > 0 else None, ordered[at + 1] if at + 1 < len(ordered) else None
