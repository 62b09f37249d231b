"""Executors: compute a job in this process or on a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from block.cluster.settings import ClusterSettings
from block.edge_impulse.executor import ProjectResult, ProjectRun, label_project
from block.folder.executor import FolderResult, FolderRun, label_folder
from block.labeling.job import Job, print_job, suggest_speedups
from block.labeling.progress import Progress

if TYPE_CHECKING:
    from block.labeling.engine import Engine


class Executor(Protocol):
    """Computes a job. `digest` is the SHA-256 of the model's weights, `dtype_name` the type of its numbers.

    `speedups` are settings, as text, that would make the job faster there.
    """

    @property
    def digest(self) -> str: ...
    @property
    def dtype_name(self) -> str: ...
    @property
    def speedups(self) -> Sequence[str]: ...

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

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.digest, self.dtype_name = engine.digest, engine.device.dtype_name

    @property
    def speedups(self) -> list[str]:
        return suggest_speedups(self._engine.job, self._engine.device.device.type)

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
    executor: Executor
    if cluster is None:
        from block.labeling.engine import start

        executor = LocalExecutor(start(job))
    else:
        from block.cluster.executor import join

        executor = join(job, cluster, name)
    print_job(job, executor.digest)
    return executor
