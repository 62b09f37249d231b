"""Label the samples of a project in this process, and what a cluster is told to label them, too."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from block.edge_impulse.journal import Journal, JournaledSink
from block.edge_impulse.project import Project
from block.labeling.interfaces import RecordingLabeler, Reporter, Summary
from block.labeling.progress import Progress
from block.labeling.run import Run
from block.score_store import ScoreStore

if TYPE_CHECKING:
    from block.labeling.engine import Engine


@dataclass(frozen=True)
class ProjectResult:
    """What became of a run. `lines` are for its end.

    Where fast mode `has_fallen_back` to exact, `fast_ids` were labelled the fast way before.
    """

    summary: Summary
    lines: list[str] = field(default_factory=list)
    fast_ids: list[int] = field(default_factory=list)
    has_fallen_back: bool = False


@dataclass(frozen=True)
class ProjectRun:
    """What is asked of an executor: label `project`, note it in `journal`, keep scores in `store`, tell `reporter`.

    With `explain`, labels come with what speaks for them. `stop` is set once the run is over. `key` is the API key.
    """

    project: Project
    journal: Journal | None
    store: ScoreStore | None
    progress: Progress
    reporter: Reporter
    explain: bool
    stop: threading.Event
    key: str = field(default="", repr=False)


def label_project(engine: Engine, orders: ProjectRun, ids: Sequence[int]) -> ProjectResult:
    """Label the samples `ids` with the model of `engine`, in this process. Never raise for what happens to a sample."""
    store, lines = orders.store, []
    computing = engine.load_labeler(orders.progress, stored=store is not None, explain=orders.explain)
    labeler: RecordingLabeler = computing
    if store is not None:
        from block.labeling.cached_labeler import CachedLabeler  # imports torch

        labeler = cached = CachedLabeler(computing, store)
    sink = JournaledSink(orders.project, orders.journal) if orders.journal is not None else orders.project
    summary = Run(orders.project, sink, labeler, orders.reporter, orders.stop).label(ids)
    if store is not None:
        lines.append(f"score store {store.folder}: {cached.describe_reuse()}")
    return ProjectResult(summary, [*lines, *labeler.describe_audit()], list(labeler.fast_ids), labeler.has_fallen_back)
