"""Executors: compute a job in this process or on a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from block.cluster.settings import ClusterSettings
from block.edge_impulse.executor import ProjectResult, ProjectRun, label_project
from block.folder.executor import FolderResult, FolderRun, label_folder
from block.labeling.job import Job
from block.labeling.progress import Progress
from block.score_store import ScoreStore


class Executor(Protocol):
    """Computes a job. `digest` is the SHA-256 of the model's weights, `dtype_name` the type of its numbers."""

    @property
    def digest(self) -> str: ...
    @property
    def dtype_name(self) -> str: ...

    def progress(self, total: int, verbose: bool, max_hours: float | None) -> Progress:
        """Return a reporter for a run over `total` recordings."""
        ...

    def store(self, folder: Path, progress: Progress) -> ScoreStore:
        """Open the score store in `folder` for this job. Raise SettingsError if it can't be written."""
        ...

    def label_project(self, run: ProjectRun, ids: Sequence[int]) -> ProjectResult:
        """Label the samples `ids` of a project. Never raise for a single sample."""
        ...

    def label_folder(self, run: FolderRun, ids: Sequence[int], progress: Progress) -> FolderResult:
        """Label the recordings `ids` of a folder. Never raise for a single recording."""
        ...

    def leave(self) -> None:
        """Release all resources. The executor can't be used afterward."""
        ...


class LocalExecutor:
    """Computes in this process."""

    def __init__(self, job: Job) -> None:
        from block.labeling.engine import start

        self._engine = start(job)
        self.digest = self._engine.digest
        self.dtype_name = self._engine.device.dtype_name

    def progress(self, total: int, verbose: bool, max_hours: float | None) -> Progress:
        return self._engine.create_progress(total, verbose, max_hours)

    def store(self, folder: Path, progress: Progress) -> ScoreStore:
        return self._engine.open_store(folder, progress)

    def label_project(self, run: ProjectRun, ids: Sequence[int]) -> ProjectResult:
        return label_project(self._engine, run, ids)

    def label_folder(self, run: FolderRun, ids: Sequence[int], progress: Progress) -> FolderResult:
        return label_folder(self._engine, run, ids, progress)

    def leave(self) -> None:
        pass


def start_executor(job: Job, cluster: ClusterSettings | None, name: str) -> Executor:
    """Choose this process's device, or join the cluster under `name`, and print the plan.

    Raise SettingsError or CheckpointError if the job can't be computed there. Without a cluster, import torch, which
    takes seconds.
    """
    if cluster is None:
        return LocalExecutor(job)
    from block.cluster.executor import join

    return join(job, cluster, name)
