"""Run a job on a cluster: join it, choose the workers' device, start the coordinator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from block.cluster.cluster_job import ClusterJob, Connector, FolderConnector, ProjectConnector, WorkItem
from block.cluster.connection import Cluster, connect, disconnect
from block.cluster.coordinator import CoordinatorInputs, start_coordinator
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
from block.labeling.job import Job, print_job, suggest_speedups
from block.labeling.progress import Progress, TimeBudget
from block.recording import LabeledRecording
from block.score_store import Key, ScoreStore
from block.settings import SettingsError

CPU, CUDA = "cpu", "cuda"
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

    def progress(self, total: int, verbose: bool, max_hours: float | None) -> Progress:
        """Return the progress display of a run over `total` recordings."""
        ways = [way for way in suggest_speedups(self.job, self.job.compute.device) if not way.startswith("a machine")]
        return Progress(total, verbose, budget=TimeBudget(max_hours, [*ways, "more workers"]))

    def store(self, folder: Path, progress: Progress) -> ScoreStore:
        class_names = self.job.checkpoint.class_names
        return ScoreStore(folder, self.key, class_names, lambda text: progress.say(f"warning: {text}"))

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

        connector = ProjectConnector(
            project.client.endpoint, project.id, project.metadata, project.policy, project.job, project.dry_run,
            project.model_rate_hz, project.show_calls, project.run_id,
        )  # fmt: skip
        name, api_key, explain = f"label project {project.id}", project.client.key, run.details is not None
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
            self.job, self.digest, self.key, connector, store is not None, explain, find_versions(),
            exact_only=exact_only,
        )  # fmt: skip
        return Driver(cluster_job, self.cluster, self.settings, handle, name, keep, reporter, progress)


def join(job: Job, settings: ClusterSettings, what: str) -> ClusterExecutor:
    """Join the cluster, and print what is about to run there. `what` is a short name for the dashboard.

    Raise SettingsError if there is no cluster, or if it lacks what `settings` ask for.
    """
    checkpoint = job.checkpoint
    digest = checkpoint.sha256()
    cluster = connect(settings.address, what)
    gpus, device, dtype = settings.gpus_on_cuda, job.compute.device, job.compute.dtype
    if device == "auto":
        device = CUDA if gpus and cluster.gpus >= gpus else CPU
    if device == CUDA and not gpus:
        raise SettingsError("--device cuda needs GPUs, but --ray-worker-gpus is 0; expected more than 0")
    if dtype == "auto":
        dtype = "float32" if device == CPU else _ask_dtype(settings.cpus, gpus)
    job = replace(job, compute=replace(job.compute, device=device, dtype=dtype))
    key = Key.from_checkpoint(checkpoint, job.windows, job.compute.filling, job.compute.mode, dtype)
    where = "started here" if cluster.is_own else f"at {cluster.address}"
    most = "as many as fit" if settings.max_workers is None else str(settings.max_workers)
    each = count(settings.cpus, "CPU") + (f" and {gpus:g} GPU{'s' * (gpus > 1)}" if device == CUDA else "")
    print(
        f"Ray cluster {where}: {count(cluster.nodes, 'machine')}, {cluster.cpus:g} CPU{'s' * (cluster.cpus != 1)}, "
        f"{cluster.gpus:g} GPU{'s' * (cluster.gpus != 1)}; workers: {settings.min_workers} to {most}, each with {each}"
    )
    if cluster.dashboard:
        print(f"dashboard: {cluster.dashboard}")
    print(f"device: {device}, {dtype}, mode {job.compute.mode}")
    print_job(job, digest)
    return ClusterExecutor(job, digest, cluster, settings, key)


def _ask_dtype(cpus: int, gpus: float) -> str:
    """Return the dtype that `auto` means on a GPU of the cluster. Raise SettingsError if no GPU can be used."""
    import ray

    try:
        dtype_name: str = ray.get(
            ray.remote(_choose_cuda_dtype).options(num_cpus=cpus, num_gpus=gpus, max_retries=3).remote()
        )
    except ray.exceptions.RayError as error:
        reason = str(error).splitlines()[-1].rpartition("Error: ")[2]
        raise SettingsError(f"can't use a GPU of the cluster: {reason}") from None
    return dtype_name


def _choose_cuda_dtype() -> str:
    from block.model.device import choose_device
    from block.settings import ComputeSettings

    return choose_device(ComputeSettings(device=CUDA)).dtype_name
