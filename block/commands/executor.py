"""Where a job is computed: in this process, or on a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from block.cluster.settings import ClusterSettings
from block.edge_impulse.executor import ProjectResult, ProjectRun, label_project
from block.folder.compute import FolderResult, FolderRun
from block.labeling.job import Job
from block.labeling.progress import Progress
from block.score_store import ScoreStore
from block.settings import SettingsError

if TYPE_CHECKING:
    from block.labeling.engine import Engine


class Executor(Protocol):
    """What computes a job. `digest` is the SHA-256 of the model's weights, `dtype_name` their type there."""

    @property
    def digest(self) -> str: ...
    @property
    def dtype_name(self) -> str: ...

    def progress(self, total: int, verbose: bool, max_hours: float | None) -> Progress:
        """Return who reports a run over `total` recordings."""
        ...

    def store(self, folder: Path, progress: Progress) -> ScoreStore:
        """Return the scores that `folder` holds for the job. Raise SettingsError where it cannot be written."""
        ...

    def label_project(self, orders: ProjectRun, ids: Sequence[int]) -> ProjectResult:
        """Label the samples `ids` of a project. Never raise for what happens to one of them."""
        ...

    def compute(self, work: FolderRun, ids: Sequence[int], progress: Progress) -> FolderResult:
        """Compute the recordings `ids` of a folder. Never raise for what happens to one of them."""
        ...

    def leave(self) -> None:
        """Let go of what is held: there is nothing more to do."""
        ...


@dataclass(frozen=True)
class LocalExecutor:
    """The model of `engine`, in this process."""

    engine: Engine

    @property
    def digest(self) -> str:
        return self.engine.digest

    @property
    def dtype_name(self) -> str:
        return self.engine.device.dtype_name

    def progress(self, total: int, verbose: bool, max_hours: float | None) -> Progress:
        """As the engine's."""
        return self.engine.progress(total, verbose, max_hours)

    def store(self, folder: Path, progress: Progress) -> ScoreStore:
        """As the engine's."""
        return self.engine.store(folder, progress)

    def label_project(self, orders: ProjectRun, ids: Sequence[int]) -> ProjectResult:
        """As `Executor.label_project`."""
        return label_project(self.engine, orders, ids)

    def compute(self, work: FolderRun, ids: Sequence[int], progress: Progress) -> FolderResult:
        """As `Executor.compute`."""
        from block.folder.local_executor import compute  # imports torch

        return compute(self.engine, work, ids, progress)

    def leave(self) -> None:
        """Do nothing: nobody else is waiting."""


def start_executor(job: Job, cluster: ClusterSettings | None, what: str) -> Executor:
    """Load what `job` needs here, or join the cluster, where `what` names the job.

    Raises SettingsError or CheckpointError where that is impossible. Imports torch, which takes seconds, for this
    process alone.
    """
    if cluster is not None:
        from block.cluster.executor import join

        return join(job, cluster, what)
    return LocalExecutor(start_engine(job))


def start_engine(job: Job) -> Engine:
    """Load what `job` needs in this process, which imports torch. Raises SettingsError or CheckpointError."""
    try:
        from block.labeling.engine import start
    except (ImportError, OSError) as error:
        raise SettingsError(
            f"PyTorch cannot be used ({error}): pip install -r locked/run.txt -r locked/torch.txt"
        ) from None
    return start(job)
