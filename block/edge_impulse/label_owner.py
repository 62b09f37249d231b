"""Whose labels a sample holds: this job's, a person's, or others.

The metadata that this block writes says which job set the labels (`ast_job`) and, as a fingerprint, which labels these
were (`ast_segments`). Labels that no longer match were changed since; a person can also write `labeled_by = human` to
claim them. Before labels are replaced, the fingerprint of the new ones is announced (`ast_replacing`), so that a run
that is killed between labels and metadata leaves nothing behind that looks like a person's work.
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
    """Whose labels a sample has. `NONE`: it has none. `OTHER`: neither this job's nor known to be a person's.

    `UNFINISHED`: this block's own, from a run that was interrupted before it could say so.
    """

    NONE = "none"
    UNFINISHED = "unfinished"
    OTHER = "other"
    THIS_JOB = "this job"
    PERSON = "person"


def fingerprint(labels: Sequence[Mapping[str, Any]] | None) -> str:
    """Return 16 hexadecimal digits for structured labels as the API has them; `none` without any.

    Neighbors with one label count as one, because Studio may store them merged.
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
    """Return whose labels `sample` has, seen from the job with the fingerprint `job`."""
    metadata = sample.metadata
    writer = metadata.get("labeled_by", "").strip().lower()
    if writer in PEOPLE:
        return LabelOwner.PERSON
    if not sample.structured_labels:
        return LabelOwner.OTHER if sample.label else LabelOwner.NONE
    present = fingerprint(sample.structured_labels)
    if present == metadata.get(REPLACING) != metadata.get(SEGMENTS):
        return LabelOwner.UNFINISHED
    if writer != LABELED_BY or SEGMENTS not in metadata:
        return LabelOwner.OTHER
    if present != metadata[SEGMENTS]:
        return LabelOwner.PERSON
    return LabelOwner.THIS_JOB if metadata.get(JOB) == job else LabelOwner.OTHER
