"""A project with a job that kept embeddings, without a model: each recording's windows get the vectors of a test."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np

from block.edge_impulse.run_record import RunRecord
from block.labels import LabelOfInterest
from block.local_studio.data.project import LocalProject
from block.local_studio.jobs.files import JobFiles
from block.local_studio.jobs.store import FINISHED, PREVIEW, JobStore, StudioJob
from block.score_store import Key, Scored, ScoreStore
from block.settings import REPLACE, AuditSettings, DecisionSettings, WindowSettings

WINDOWS = WindowSettings(1000, 1000)
KEY = Key("ab" * 32, WINDOWS, "pad", "exact", "float32")
NAMES = ("dog", "rain")
RECORD = RunRecord(
    KEY, DecisionSettings((LabelOfInterest(0, "dog", "dog", 0.5, "dog"),)), AuditSettings(), "toy", REPLACE, False
)


def keep_embeddings(
    project: LocalProject, vectors: Mapping[int, Sequence[Sequence[float]]], *, embedded: bool = True
) -> StudioJob:
    """Store a finished job on the samples in `vectors`, which have a vector for each second, at 16 kHz."""
    jobs = JobStore(project.store)
    job = jobs.create(PREVIEW, "toy", {"other-label": "noise"}, list(vectors))
    jobs.set_record(job.id, RECORD)
    with ScoreStore(JobFiles(project.root).find_scores(), KEY, NAMES) as store:
        for sample_id, rows in vectors.items():
            content = hashlib.sha256(str(sample_id).encode()).hexdigest()
            count = len(rows)
            values = np.array(rows, np.float16) if embedded else np.zeros((count, 0), np.float16)
            store.add(
                Scored(
                    content,
                    16000 * count,
                    Fraction(16000),
                    (1,) * count,
                    np.zeros(count, np.float32),
                    np.zeros((count, len(NAMES)), np.float32),
                    embeddings=values,
                )
            )
            jobs.add_details(job.id, {sample_id: {"content": content, "segments": []}})
    jobs.end(job.id, FINISHED, 0)
    return job
