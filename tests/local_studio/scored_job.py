"""A job that kept scores of which a test says what they are: no audio is heard, no model runs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from block.edge_impulse.run_record import RunRecord
from block.labels import LabelOfInterest
from block.local_studio.data.project import LocalProject
from block.local_studio.data.sample import Proposal, ProposedChanges, StructuredLabel
from block.local_studio.jobs.files import SCORES
from block.local_studio.jobs.store import FINISHED, PREVIEW, JobStore
from block.score_store import Key, Scored, ScoreStore
from block.score_store.relabel import decide
from block.settings import REPLACE, AuditSettings, DecisionSettings, WindowSettings

RATE_HZ = 16000
WINDOWS = WindowSettings(100, 100)
VALUES = RATE_HZ // 10  # of a window
OTHER = "noise"


def keep_scores(
    project: LocalProject, scores: Mapping[int, Sequence[Sequence[float]]], thresholds: Mapping[str, float]
) -> int:
    """Store a job that proposes what its scores say. Return its id.

    `scores` are by sample id: for each window of 100 ms, how each label of `thresholds` scores, above 0, below 1. The
    samples have 16,000 values per second.
    """
    labels = tuple(
        LabelOfInterest(at, name, name, threshold, f"{name} ({threshold:g})")
        for at, (name, threshold) in enumerate(thresholds.items())
    )
    decisions = DecisionSettings(labels, OTHER, "sigmoid")
    checkpoint = hashlib.sha256("\n".join(thresholds).encode()).hexdigest()  # another one for other classes
    key = Key(checkpoint, WINDOWS, "pad", "exact", "float32")
    jobs = JobStore(project.store)
    job = jobs.create(PREVIEW, "block", {"other-label": OTHER}, list(scores))
    jobs.set_record(job.id, RunRecord(key, decisions, AuditSettings(), "none", REPLACE, overwrites_hand_labels=False))
    with ScoreStore(project.root / ".local-studio" / SCORES, key, list(thresholds)) as store:
        for sample_id, windows in scores.items():
            shares = np.array(windows)
            logits = np.log(shares / (1 - shares)).astype(np.float32)
            count = len(windows)
            scored = Scored(
                f"{sample_id:064x}",
                count * VALUES,
                Fraction(RATE_HZ),
                (1,) * count,
                np.zeros(count, np.float32),
                logits,
            )
            store.add(scored)
            labeled = replace(decide(scored, WINDOWS, decisions), id=sample_id)
            segments = [StructuredLabel(one.start, one.end - 1, one.label) for one in labeled.segments]
            changes = ProposedChanges(metadata={"labeled_by": "toy"}, structured_labels=tuple(segments))
            project.store.propose(Proposal(job.id, sample_id, changes))
            entries = [
                {**shown.to_json(), "score": round(one.score, 4)}
                for shown, one in zip(segments, labeled.segments, strict=True)
            ]
            jobs.add_details(job.id, {sample_id: {"content": scored.content, "segments": entries}})
    jobs.end(job.id, FINISHED, 0)
    return job.id
