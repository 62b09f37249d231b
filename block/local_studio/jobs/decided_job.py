"""Propose labels that were decided again from kept scores, as a job of their own.

For each sample, this proposes what a preview with the same settings would: the same rules about labels that are there,
the same metadata, and the same details for the review.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from block.edge_impulse.details import describe_segments
from block.edge_impulse.project import build_proposal
from block.edge_impulse.run_record import RunRecord
from block.edge_impulse.sample import Sample
from block.formatting import count, make_printable
from block.labels import LabelOfInterest, format_label_entry
from block.local_studio.api.serializers import serialize_sample
from block.local_studio.data import rows
from block.local_studio.data.project import LocalProject
from block.local_studio.data.sample import LocalSample
from block.local_studio.data.validation import RequestError
from block.local_studio.jobs.details import parse_line
from block.local_studio.jobs.finished_job import ExplainedChanges, FinishedJob, store_finished
from block.local_studio.jobs.jobs import Jobs
from block.local_studio.jobs.kept_scores import JobScores
from block.local_studio.jobs.store import DECIDED, StudioJob
from block.recording import LabeledRecording, RecordingError, RecordingSkipped
from block.score_store.relabel import decide_and_explain
from block.settings import SOUND, DecisionSettings


def set_thresholds(labels: Sequence[LabelOfInterest], thresholds: Sequence[float]) -> tuple[LabelOfInterest, ...]:
    """Return labels of interest with other thresholds; parsing their entries gives them again."""
    return tuple(
        label
        if label.threshold == threshold
        else replace(label, threshold=threshold, entry=format_label_entry(label, threshold))
        for label, threshold in zip(labels, thresholds, strict=True)
    )


def propose_again(
    project: LocalProject, jobs: Jobs, source: StudioJob, scores: JobScores, settings: DecisionSettings,
    sample_ids: Sequence[int],
) -> StudioJob:  # fmt: skip
    """Propose the labels that `settings` give to samples of the job `source`, as a new job.

    Samples that a preview would skip, such as those that were labeled by hand, keep their labels; its log names them.
    Raise RequestError if no sample has scores.
    """
    record = replace(scores.record, decisions=settings)
    chosen = replace(scores, contents={one: scores.contents[one] for one in sample_ids if one in scores.contents})
    labeled: dict[int, LabeledRecording] = {}
    for sample_id, scored in chosen.load():
        found = decide_and_explain(scored, record.key.windows, settings, scores.class_names)
        labeled[sample_id] = replace(found, id=sample_id)
    samples = [sample for sample in project.samples() if sample.id in labeled]
    if not samples:
        raise RequestError("No recording changes, so there is nothing to propose.", 409)
    log = [f"decided again from the scores of job {source.id}: {count(len(samples), 'recording')}"]
    proposals = {}
    for sample in samples:
        try:
            proposals[sample.id] = _explain(project, record, sample, labeled[sample.id])
        except (RecordingSkipped, RecordingError) as reason:
            log.append(f"skipped: {sample.id} {make_printable(sample.name)}: {reason}")
    parameters, ids = describe_parameters(source.parameters, record), [sample.id for sample in samples]
    return store_finished(project, jobs, FinishedJob(DECIDED, source.block, parameters, ids, proposals, log, record))


def _explain(
    project: LocalProject, record: RunRecord, item: LocalSample, labeled: LabeledRecording
) -> ExplainedChanges:
    """Return what a preview proposes, and the reasons for it. Raise RecordingSkipped or RecordingError."""
    if item.values_count != labeled.values:
        raise RecordingError(
            f"it has {item.values_count:,} values now, and its scores are of {labeled.values:,}: preview it again"
        )
    sample = Sample.from_answer({"sample": serialize_sample(project, item)}, item.id)
    sample.check_usable()
    plan = record.make_policy(is_preview=True).plan(sample)
    changes = build_proposal(plan, labeled, sample, record.metadata)
    new = plan.select_new(labeled)
    line = rows.dump({"sample": new.id, "content": new.content, "segments": describe_segments(new)})
    details = parse_line(line.encode())
    assert details is not None
    return ExplainedChanges(rows.parse_changes(rows.dump(changes)), details[1])


def describe_parameters(before: Mapping[str, str], record: RunRecord) -> dict[str, str]:
    """Return the parameters of the block's form that give the decisions of `record`, and otherwise those `before`."""
    decisions, windows = record.decisions, record.key.windows
    changed = {
        "audioset-labels": "\n".join(label.entry for label in decisions.labels),
        "hysteresis": repr(decisions.hysteresis),
        "no-merge": "false" if decisions.merge else "true",
        "boundaries": windows.boundaries,
        **{
            name.replace("_", "-"): str(getattr(decisions, name))
            for name in ("median_ms", "min_segment_ms", "min_event_ms", "min_gap_ms")
        },
    }
    if windows.boundaries != SOUND:
        changed |= {"win-size-ms": str(windows.size_ms)}
        changed |= {"win-stride-ms": str(windows.stride_ms)} if windows.size_ms else {}
    return {**before, **changed}
