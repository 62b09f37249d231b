"""Find out who set a sample's labels: this job, a person, or something else.

The metadata that this block writes names the job that set the labels (`ast_job`) and has a fingerprint of the labels
(`ast_segments`). If the labels no longer match it, someone changed them; a person can also claim labels by setting
`labeled_by` to `human`. Before writing labels, the block announces their fingerprint (`ast_write_` and the fingerprint,
or `ast_replacing` in block 0.1.0), so that a run killed between labels and metadata doesn't look like a change by hand.
Announcements stay: a call that is carried out late may bring back labels that have been replaced.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from block.edge_impulse.sample import Sample
from block.labeling.job import LABELED_BY

JOB, SEGMENTS, REPLACING, MODE = "ast_job", "ast_segments", "ast_replacing", "ast_mode"
ANNOUNCED = "ast_write_"  # and the fingerprint of labels
PEOPLE = ("human", "hand", "manual", "user")
NO_LABELS = "none"
NOT_OURS = "not ours"  # instead of a fingerprint or a run: labels that are a person's until others replace them


class LabelOwner(Enum):
    """Who set a sample's labels. `NONE`: it has no labels. `OTHER`: neither this block nor, as far as known, a person.

    `UNFINISHED`: this block, in a run that hasn't written the metadata, because it was interrupted or is at work.
    """

    NONE = "none"
    UNFINISHED = "unfinished"
    OTHER = "other"
    THIS_JOB = "this job"
    ANOTHER_JOB = "another job of this block"
    PERSON = "person"


def fingerprint(labels: Sequence[Mapping[str, Any]] | None) -> str:
    """Return 16 hexadecimal digits for structured labels in the API's format; `none` if there are none.

    Neighbors with the same label count as one, because Studio may merge them when it stores them.
    """
    if not labels:
        return NO_LABELS
    spans: list[tuple[int, int, str]] = []
    try:
        read = sorted((int(one["startIndex"]), int(one["endIndex"]), str(one["label"])) for one in labels)
        for start, end, label in read:
            if spans and spans[-1][1] + 1 == start and spans[-1][2] == label:
                start = spans.pop()[0]
            spans.append((start, end, label))
    except (KeyError, TypeError, ValueError, OverflowError):
        return "unreadable"
    return hashlib.sha256(json.dumps(spans).encode()).hexdigest()[:16]


def find_owner(sample: Sample, job: str) -> LabelOwner:
    """Return who set the labels of `sample`; `job` is the fingerprint of this job."""
    return judge_owner(sample.metadata, sample.structured_labels, sample.label, job)


def judge_owner(
    metadata: Mapping[str, str], labels: Sequence[Mapping[str, Any]] | None, label: str, job: str = ""
) -> LabelOwner:
    """Return who set the structured `labels` or the single `label` of a sample with this metadata."""
    writer = metadata.get("labeled_by", "").strip().lower()
    if writer in PEOPLE:
        return LabelOwner.PERSON
    if not labels:
        return LabelOwner.OTHER if label else LabelOwner.NONE
    present, described = fingerprint(labels), metadata.get(SEGMENTS)
    is_announced = metadata.get(ANNOUNCED + present, NOT_OURS) != NOT_OURS or present == metadata.get(REPLACING)
    if present != described and is_announced:
        return LabelOwner.UNFINISHED
    if writer != LABELED_BY or described is None:
        return LabelOwner.OTHER
    if present != described:
        return LabelOwner.PERSON
    return LabelOwner.THIS_JOB if metadata.get(JOB) == job else LabelOwner.ANOTHER_JOB
