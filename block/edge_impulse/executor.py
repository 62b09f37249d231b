"""Label a project: what an executor gets and returns, and how this process does it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from block.edge_impulse.details import DetailsReporter
from block.edge_impulse.journal import Journal, JournaledSink
from block.edge_impulse.project import Project
from block.labeling.interfaces import RecordingLabeler, Reporter, Summary
from block.labeling.progress import Progress
from block.labeling.run import Run
from block.score_store import ScoreStore

if TYPE_CHECKING:
    from block.labeling.engine import Engine


@dataclass(frozen=True)
class ProjectRun:
    """A run over samples of `project`, and everything that it keeps open.

    `journal` records which samples are labeled, `store` keeps scores, `details` gets the evidence for labels. Each is
    None if it wasn't asked for.
    """

    project: Project
    progress: Progress
    store: ScoreStore | None
    journal: Journal | None
    details: DetailsReporter | None

    @property
    def has_fallen_back(self) -> bool:
        """True if fast mode fell back to exact mode in an earlier run of this job, which this one continues."""
        return self.journal is not None and self.journal.has_fallen_back

    @property
    def reporter(self) -> Reporter:
        return self.details or self.progress

    def close(self, summary: Summary) -> None:
        if self.journal is not None:
            if not summary.not_reached:
                self.journal.end()
            self.journal.close()
        if self.details is not None:
            self.details.close()
        if self.store is not None:
            # Closing merges many files into one; skip that if the user wants the run to end.
            self.store.flush() if summary.canceled else self.store.close()


@dataclass(frozen=True)
class ProjectResult:
    """The result of a run. `lines` are printed at its end.

    If fast mode `fell_back` to exact mode, `fast_ids` are the recordings that it had labeled before.
    """

    summary: Summary
    lines: list[str] = field(default_factory=list)
    fast_ids: list[int] = field(default_factory=list)
    fell_back: bool = False

    @property
    def final_fast_ids(self) -> list[int]:
        """The samples whose labels are from fast mode for good."""
        labeled = set(self.summary.labeled)
        return [sample_id for sample_id in self.fast_ids if sample_id in labeled]


def label_project(engine: Engine, run: ProjectRun, ids: Sequence[int]) -> ProjectResult:
    """Label the samples `ids` with the model of `engine`, in this process. Never raise for a single sample."""
    project, store, lines = run.project, run.store, []
    computing = engine.load_labeler(
        run.progress, stored=store is not None, explain=run.details is not None, exact_only=run.has_fallen_back
    )
    labeler: RecordingLabeler = computing
    if store is not None:
        from block.labeling.cached_labeler import CachedLabeler  # imports torch

        labeler = cached = CachedLabeler(computing, store)
    sink = JournaledSink(project, run.journal, labeler) if run.journal is not None else project
    running = Run(
        project, sink, labeler, run.reporter, project.client.stop, batches_at_once=computing.batches_at_once
    )  # fmt: skip
    summary = running.label(ids)
    if store is not None:
        lines.append(f"score store {store.folder}: {cached.describe_reuse()}")
    return ProjectResult(summary, [*lines, *labeler.describe_audit()], list(labeler.fast_ids), labeler.has_fallen_back)
