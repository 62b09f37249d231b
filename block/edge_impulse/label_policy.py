"""Decide which labels of a sample stay and where new ones go. All rules about who may replace what are here.

The rules depend on who set the labels (`block.edge_impulse.label_owner`) and on `--existing-labels`:

    replace      new labels everywhere; labels that a person set or changed stay unless --overwrite-hand-labels
    fill-gaps    new labels only where there is the other label or none; the rest stays, no matter who set it
    keep         new labels only for samples that have none

Once gaps are filled, a sample has labels of this block next to others. The spans of the others are noted in its
metadata (`ast_kept`), and later jobs work around them. The note is written together with the announcement of new labels
(`block.edge_impulse.write_protocol`), so that a run killed between the calls leaves no label whose origin is unknown.

Nothing here does I/O, so a plan can be made again whenever a sample has been read again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from block.edge_impulse.existing_labels import (
    NO_SPANS,
    ExistingLabel,
    UnreadableLabels,
    clip,
    clip_labels,
    combine,
    find_gaps,
    find_labeled,
    format_spans,
    join_spans,
    parse_spans,
    read_labels,
)
from block.edge_impulse.label_owner import ANNOUNCED, MODE, NOT_OURS, SEGMENTS, LabelOwner, find_owner, fingerprint
from block.edge_impulse.sample import Sample
from block.formatting import make_printable
from block.labeling.job import LABELED_BY
from block.recording import (
    LabeledRecording,
    RecordingDone,
    RecordingError,
    RecordingSkipped,
    Span,
    build_structured_labels,
)
from block.settings import EXACT, FILL_GAPS, KEEP, REPLACE, ExistingLabels

KEPT = "ast_kept"


@dataclass(frozen=True)
class LabelPlan:
    """Which labels of a sample stay, and where new ones go.

    `existing` are the sample's labels. `kept` are those that stay, in the spans that stay; `gaps` are all other values.
    `foreign` are the spans of kept labels that this block did not set. With `is_noted`, the metadata says so.
    `hand_made` is the fingerprint of the labels that the sample has until the new ones are written, if some of them are
    a person's.
    """

    existing: tuple[ExistingLabel, ...]
    kept: tuple[ExistingLabel, ...]
    gaps: tuple[Span, ...]
    foreign: tuple[Span, ...] = ()
    is_noted: bool = False
    hand_made: str = ""

    def select_new(self, labeled: LabeledRecording) -> LabeledRecording:
        """Return only those parts of the new segments that are in gaps."""
        if not self.kept:
            return labeled
        parts = list(clip(labeled.segments, self.gaps))
        return replace(
            labeled,
            segments=tuple(
                replace(labeled.segments[index], start=span.start, end=span.end) for index, span in parts
            ),
            evidence=tuple(labeled.evidence[index] for index, _ in parts) if labeled.evidence else (),
        )  # fmt: skip

    def build_labels(self, labeled: LabeledRecording) -> list[dict[str, Any]]:
        """Return the sample's labels in the API's format: those that stay, and new ones in the gaps."""
        return combine(self.kept, build_structured_labels(self.select_new(labeled).segments))

    def build_announcement(self) -> dict[str, str]:
        """Return metadata to write when labels are announced, before they are written."""
        by_hand = {"labeled_by": LABELED_BY, SEGMENTS: NOT_OURS, ANNOUNCED + self.hand_made: NOT_OURS}
        return {**(by_hand if self.hand_made else {}), **self.build_metadata()}

    def build_metadata(self) -> dict[str, str]:
        """Return metadata about kept labels. It is written with the announcement and again after the labels."""
        return {KEPT: format_spans(self.foreign)} if self.is_noted else {}


@dataclass(frozen=True)
class LabelPolicy:
    """What the job with the fingerprint `job` does about labels that a sample already has.

    `other_label` is the label that it gives to everything else. With `is_preview`, it proposes labels.
    """

    job: str
    other_label: str
    existing: ExistingLabels = REPLACE
    overwrites_hand_labels: bool = False
    is_preview: bool = False

    def plan(self, sample: Sample) -> LabelPlan:
        """Return what to do about the labels of a usable sample.

        Raise RecordingDone if this job has labeled it, RecordingSkipped if nothing in it may get a new label, and
        RecordingError if its labels can't be read but have to be.
        """
        owner = find_owner(sample, self.job)
        # A preview is for looking at labels, so it includes samples that are already done.
        if owner is LabelOwner.THIS_JOB and not self.is_preview:
            raise RecordingDone("already labeled with the same settings", sample.metadata.get(MODE, EXACT))
        if self.existing == KEEP and owner not in (LabelOwner.NONE, LabelOwner.UNFINISHED):
            raise RecordingSkipped("it already has labels (--existing-labels keep)")
        if self.existing == REPLACE and owner is LabelOwner.PERSON and not self.overwrites_hand_labels:
            raise RecordingSkipped(
                "its labels were set or changed by hand; to replace them, use --overwrite-hand-labels"
            )
        fills = self.existing == FILL_GAPS
        overwrites = self.existing == REPLACE and self.overwrites_hand_labels
        # If someone else has set labels since, the note may no longer be true.
        is_new = fills and owner in (LabelOwner.OTHER, LabelOwner.PERSON)
        noted = () if overwrites or is_new else _read_noted(sample)
        existing = _read_existing(sample, is_needed=fills or bool(noted))
        labeled = find_labeled(existing, self.other_label) if fills else ()
        foreign = join_spans(labeled if is_new else clip_labels(existing, noted))
        kept = clip_labels(existing, join_spans(foreign, labeled))
        gaps = find_gaps(kept, sample.values)
        # The metadata of an unfinished sample has to be completed even if it has no gaps.
        if not gaps and owner is not LabelOwner.UNFINISHED:
            raise RecordingSkipped(self._explain_no_gaps())
        is_by_hand = owner is LabelOwner.PERSON or (overwrites and _parse_noted(sample) != ())
        return LabelPlan(
            existing, kept, gaps, foreign,
            is_noted=fills or KEPT in sample.metadata,
            hand_made=fingerprint(sample.structured_labels) if is_by_hand else "",
        )  # fmt: skip

    def _explain_no_gaps(self) -> str:
        if self.existing == FILL_GAPS:
            return "it has labels from start to end, so there is nothing to fill (--existing-labels fill-gaps)"
        return "none of its labels were set by this block; to replace them, use --overwrite-hand-labels"


def plan_for_unread(values: int) -> LabelPlan:
    """Return the plan for a sample with this many values about which nothing else is known."""
    return LabelPlan((), (), (Span(0, values),))


def _parse_noted(sample: Sample) -> tuple[Span, ...] | None:
    """Return the spans that the metadata notes, or None if it can't be read. Without segments, the note is stale."""
    return parse_spans(sample.metadata.get(KEPT, NO_SPANS)) if sample.structured_labels else ()


def _read_noted(sample: Sample) -> tuple[Span, ...]:
    """Return the spans that the metadata notes. Raise RecordingSkipped if it can't be read."""
    noted = _parse_noted(sample)
    if noted is None:
        raise RecordingSkipped(
            f"its metadata says {KEPT} = {make_printable(sample.metadata[KEPT], 60)!r}, expected spans such as "
            f"0-3999,8000-9999 or {NO_SPANS}; correct it, or replace all labels with --overwrite-hand-labels"
        )
    return noted


def _read_existing(sample: Sample, *, is_needed: bool) -> tuple[ExistingLabel, ...]:
    """Return the sample's labels. If it has only a single label, that label spans all values."""
    if not sample.structured_labels:
        return (ExistingLabel(0, sample.values, sample.label),) if sample.label else ()
    try:
        return read_labels(sample.structured_labels, sample.values)
    except UnreadableLabels as error:
        if is_needed:
            raise RecordingError(f"{error}; correct its labels in Studio") from None
        return ()
