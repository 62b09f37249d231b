"""What a sample holds already: this job's labels, those of a person, or others.

The metadata that this block writes says which job gave the labels (`ast_job`) and, as a fingerprint, which labels
these were (`ast_segments`). Labels that are no longer those were changed by somebody since; a person who wants this
known can also write `labeled_by = human`. Before labels are replaced, the fingerprint of the new ones is announced
(`ast_replacing`): a run that is killed between labels and metadata leaves nothing behind that looks like a person's
work.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from block.edge_impulse.sample import Sample
from block.labeling.job import LABELED_BY

JOB, SEGMENTS, REPLACING = "ast_job", "ast_segments", "ast_replacing"
PEOPLE = ("human", "hand", "manual", "user")
NO_LABELS = "none"


class LabelOwner(Enum):
    """Whose labels a sample has: `NONE` has none at all; `OTHER` are neither this job's nor known to be a person's.

    `UNFINISHED` are this block's own, but a run was cut off before it could say so.
    """

    NONE = "none"
    UNFINISHED = "unfinished"
    OTHER = "other"
    THIS_JOB = "this job"
    PERSON = "person"


def fingerprint(labels: Sequence[Mapping[str, Any]] | None) -> str:
    """16 hexadecimal digits for structured labels as the API has them; `none` without any.

    Neighbours with one label count as one: Studio may store them so.
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


def held_by(sample: Sample, job: str) -> LabelOwner:
    """Whose labels `sample` has, seen from the job with the fingerprint `job`."""
    metadata, labels = sample.metadata, sample.structured_labels
    writer = metadata.get("labeled_by", "").strip().lower()
    if writer in PEOPLE:
        return LabelOwner.PERSON
    if not labels:
        return LabelOwner.OTHER if sample.label else LabelOwner.NONE
    now = fingerprint(labels)
    if now == metadata.get(REPLACING) != metadata.get(SEGMENTS):
        return LabelOwner.UNFINISHED
    if writer != LABELED_BY or SEGMENTS not in metadata:
        return LabelOwner.OTHER
    if now != metadata[SEGMENTS]:
        return LabelOwner.PERSON
    return LabelOwner.THIS_JOB if metadata.get(JOB) == job else LabelOwner.OTHER
