"""Run a job on a cluster: join it, choose the workers' device, start the coordinator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from block.cluster.cluster_job import ClusterJob, Connector, FolderConnector, ProjectConnector, WorkItem
from block.cluster.connection import Cluster, connect, disconnect
from block.cluster.coordinator import CoordinatorInputs, start_coordinator
from block.cluster.device import CUDA, choose_device
from block.cluster.driver import Driver
from block.cluster.report import LABELED, RecordingResult
from block.cluster.settings import ClusterSettings
from block.cluster.versions import find_versions
from block.edge_impulse.executor import ProjectResult, ProjectRun
from block.folder.executor import FolderResult, FolderRun
from block.folder.location import LocalFolder
from block.folder.manifest import ManifestReporter
from block.formatting import count
from block.labeling.interfaces import Reporter
from block.labeling.job import Job, suggest_speedups
from block.labeling.progress import Progress
from block.recording import LabeledRecording
from block.score_store import Key, ScoreStore
from block.settings import BACKEND_NAMES

# Many workers produce scores faster than small files can be written and merged, so about 17 MB (at 527 classes) are
# written at once, or, as in other runs, what came within half a minute.
FLUSH_PIECES = 8000


@dataclass(frozen=True)
class ClusterExecutor:
    """An executor on a cluster that this process has joined. `job` has the workers' device and dtype."""

    job: Job
    digest: str
    cluster: Cluster
    settings: ClusterSettings
    key: Key

    @property
    def dtype_name(self) -> str:
        return self.key.dtype

    @property
    def speedups(self) -> list[str]:
        ways = suggest_speedups(self.job, self.job.compute.device)
        return [*(way for way in ways if not way.startswith("a machine")), "more workers"]

    def label_folder(self, run: FolderRun, ids: Sequence[int], progress: Progress) -> FolderResult:
        """Label the recordings `ids` of a folder. Raise ValueError if the run has no store."""
        store, manifest, labeled = run.store, run.manifest, dict[str, LabeledRecording]()
        if store is None:
            raise ValueError("the run has no score store; a run on a cluster needs one")
        store.flush_chunks = FLUSH_PIECES

        def keep(result: RecordingResult) -> None:
            if result.scores is not None:
                store.add(result.scores)
            if result.labeled is not None and result.entry is not None:
                manifest.put(result.entry)
                labeled[result.entry.path] = result.labeled
            manifest.save_if_due()

        # A relative path would mean a different folder on other machines.
        location = LocalFolder(run.location.name) if isinstance(run.location, LocalFolder) else run.location
        connector = FolderConnector(location, self.job.checkpoint.front_end.rate_hz, run.allow_truncated)
        name, reporter = f"label {run.location.name}", ManifestReporter(progress, manifest)
        driver = self._driver(connector, store, keep, reporter, progress, name)
        summary = driver.label([WorkItem(number, run.size(number), manifest.get_entry(number)) for number in ids])
        if driver.has_fallen_back and run.fast and not (summary.canceled or summary.end_reason):
            progress.say_stored_fast(len(run.fast))
            exactly = self._driver(connector, store, keep, reporter, progress, name, exact_only=True)
            left = [WorkItem(number, run.size(number), manifest.get_entry(number)) for number in run.fast]
            summary.add(exactly.label(left))
        for line in driver.audit_lines():
            progress.say(line)
        if driver.has_fallen_back:
            progress.say_fast_count("some workers fell back to exact mode; labeled in fast mode", driver.fast_ids)
        return FolderResult(summary, labeled)

    def label_project(self, run: ProjectRun, ids: Sequence[int]) -> ProjectResult:
        project, store, journal = run.project, run.store, run.journal

        def keep(result: RecordingResult) -> None:
            if result.scores is not None and store is not None:
                store.add(result.scores)
            if result.kind == LABELED and result.labeled is not None and journal is not None:
                journal.add(result.id, result.labeled.mode, driver.has_fallen_back)

        connector = ProjectConnector(project.client.endpoint, project.settings)
        name, api_key = f"label project {project.settings.id}", project.client.key
        explain = run.details is not None
        driver = self._driver(
            connector, store, keep, run.reporter, run.progress, name, api_key, explain, run.has_fallen_back
        )
        summary = driver.label([WorkItem(recording_id) for recording_id in ids])
        return ProjectResult(summary, driver.audit_lines(), driver.fast_ids, driver.has_fallen_back)

    def leave(self) -> None:
        disconnect()

    def _driver(
        self,
        connector: Connector,
        store: ScoreStore | None,
        keep: Callable[[RecordingResult], None],
        reporter: Reporter,
        progress: Progress,
        name: str,
        api_key: str = "",
        explain: bool = False,
        exact_only: bool = False,
    ) -> Driver:
        stored = store.folder.resolve() if store is not None and store.contents() else None
        checkpoint = self.job.checkpoint.folder.resolve()
        handle = start_coordinator(CoordinatorInputs(checkpoint, stored, self.key, api_key, self.settings.requests))
        cluster_job = ClusterJob(
            self.job, self.digest, self.key, connector, store is not None, explain,
            find_versions(self.job.compute.backend),
            exact_only=exact_only,
        )  # fmt: skip
        return Driver(cluster_job, self.cluster, self.settings, handle, name, keep, reporter, progress)


def join(job: Job, settings: ClusterSettings, what: str) -> ClusterExecutor:
    """Join the cluster, and print where the job is about to run. `what` is a short name for the dashboard.

    Raise SettingsError if there is no cluster, or if it lacks what `settings` ask for.
    """
    digest = job.checkpoint.sha256()
    cluster = connect(settings.address, what)
    job = replace(job, compute=choose_device(job.compute, cluster, settings))
    gpus, device, dtype = settings.gpus_on_cuda, job.compute.device, job.compute.dtype
    where = "started here" if cluster.is_own else f"at {cluster.address}"
    most = "as many as fit" if settings.max_workers is None else str(settings.max_workers)
    each = count(settings.cpus, "CPU") + (f" and {gpus:g} GPU{'s' * (gpus > 1)}" if device == CUDA else "")
    print(
        f"Ray cluster {where}: {count(cluster.nodes, 'machine')}, {cluster.cpus:g} CPU{'s' * (cluster.cpus != 1)}, "
        f"{cluster.gpus:g} GPU{'s' * (cluster.gpus != 1)}; workers: {settings.min_workers} to {most}, each with {each}"
    )
    if cluster.dashboard:
        print(f"dashboard: {cluster.dashboard}")
    print(f"device: {device}, {dtype}{BACKEND_NAMES[job.compute.backend]}, mode {job.compute.mode}")
    return ClusterExecutor(job, digest, cluster, settings, job.score_key(dtype))
