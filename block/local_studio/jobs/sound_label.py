"""Propose a label where a person's verdicts say that a sound is, as a job of its own.

Labels elsewhere stay. A recording that has some needs verdicts only where the proposal changes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import mean
from typing import Any

from block.formatting import count
from block.local_studio.data.painting import cut, paint, subtract
from block.local_studio.data.project import LocalProject
from block.local_studio.data.sample import LocalSample, ProposedChanges, StructuredLabel
from block.local_studio.data.validation import RequestError
from block.local_studio.data.verdicts import IN_BULK, Verdict, VerdictStore
from block.local_studio.jobs.finished_job import ExplainedChanges, FinishedJob, store_finished
from block.local_studio.jobs.jobs import Jobs
from block.local_studio.jobs.sound_search import LikeWindow, SoundSearch
from block.local_studio.jobs.store import PREVIEW, StudioJob

BLOCK = "similar sounds"  # the name of jobs from here


@dataclass(frozen=True)
class PaintedLabels:
    """The labels of a sample after painting, the details of what was painted, and the spans that stay as they were.

    Spans are half-open. None stays in a sample that had no labels.
    """

    labels: tuple[StructuredLabel, ...]
    segments: Sequence[Mapping[str, Any]]
    unchanged: Sequence[tuple[int, int]]


def propose_label(
    project: LocalProject, jobs: Jobs, search: SoundSearch, label: str, parameters: Mapping[str, str], other: str
) -> StudioJob:
    """Propose `label` for all windows that are like the sound, as a new job with these `parameters`.

    A recording without labels gets the label `other` elsewhere. Raise RequestError if there is nothing to propose.
    """
    samples, found = {one.id: one for one in project.samples()}, search.find_like()
    proposals, unchanged = {}, {}
    for sample_id, group in groupby(found, key=lambda one: one.span.sample_id):
        if (sample := samples.get(sample_id)) is None:
            continue
        painted = paint_label(sample, list(group), label, other)
        if painted.labels != sample.structured_labels:
            changes = ProposedChanges(metadata=sample.metadata, structured_labels=painted.labels)
            proposals[sample_id] = ExplainedChanges(changes, {"segments": painted.segments})
            unchanged[sample_id] = painted.unchanged
    if not proposals:
        raise RequestError(f"All windows that sound like this have the label {label} already.")
    likes = sum(one.is_like for one in search.examples)
    said = f"{count(len(proposals), 'recording')}, from {likes} yes and {len(search.examples) - likes} no"
    made = FinishedJob(PREVIEW, BLOCK, parameters, list(proposals), proposals, [f"proposed {label} for {said}"])
    with project.store.transaction():
        job = store_finished(project, jobs, made)
        verdicts = [
            Verdict(job.id, sample_id, start, end, "", "", IN_BULK)
            for sample_id, spans in unchanged.items()
            for start, end in spans
        ]
        if verdicts:
            VerdictStore(project.store).decide(verdicts)
    return job


def paint_label(sample: LocalSample, windows: Sequence[LikeWindow], label: str, other: str) -> PaintedLabels:
    """Return the labels of `sample` with `label` at `windows`, which are sorted by start, and as they are elsewhere.

    A sample without labels gets `other` elsewhere.
    """
    last = sample.values_count - 1
    runs = [run for run in _join(windows) if run[0].span.start <= last]
    before = sample.structured_labels or (StructuredLabel(0, last, other),)
    new = [StructuredLabel(run[0].span.start, min(_end(run) - 1, last), label) for run in runs]
    labels = paint(before, new)
    changed = [
        (one.start_index, one.end_index + 1)
        for old in before
        for one in cut(labels, old.start_index, old.end_index)
        if one.label != old.label
    ]
    unchanged = subtract([StructuredLabel(0, last, "")], changed) if sample.structured_labels else []
    return PaintedLabels(
        labels,
        [_describe(one, run, cut(before, one.start_index, one.end_index)) for one, run in zip(new, runs, strict=True)],
        [(one.start_index, one.end_index + 1) for one in unchanged],
    )


def _describe(painted: StructuredLabel, run: Sequence[LikeWindow], before: Iterable[StructuredLabel]) -> dict[str, Any]:
    """Return the details of a painted segment; `before` is the label that most of it had, if that was another one."""
    score = mean(one.likeness for one in run)
    others = [one for one in before if one.label != painted.label]
    most = max(others, key=lambda one: one.end_index - one.start_index, default=None)
    return {
        **painted.to_json(),
        "score": round(score, 4),
        "margin": round(2 * score - 1, 4),
        "windows": len(run),
        "agreeing": sum(one.likeness > 0.5 for one in run),
        **({} if most is None else {"before": most.label}),
    }


def _join(windows: Iterable[LikeWindow]) -> list[list[LikeWindow]]:
    """Return the windows in runs of those that overlap or touch."""
    runs: list[list[LikeWindow]] = []
    for one in windows:
        if runs and one.span.start <= _end(runs[-1]):
            runs[-1].append(one)
        else:
            runs.append([one])
    return runs


def _end(run: Sequence[LikeWindow]) -> int:
    return max(one.span.end for one in run)
