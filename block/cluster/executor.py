"""A cluster as the executor of a job: joined, its workers' device chosen, its coordinator started."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from block.cluster import connection, coordinator
from block.cluster.connection import Cluster
from block.cluster.driver import Driver, ReportHandler
from block.cluster.report import LABELED, RecordingResult
from block.cluster.settings import ClusterSettings
from block.cluster.task import ClusterJob, Connector, FolderConnector, ProjectConnector, WorkItem
from block.cluster.versions import here
from block.edge_impulse.executor import ProjectResult, ProjectRun
from block.folder.executor import FolderResult, FolderRun
from block.folder.location import LocalFolder
from block.folder.manifest import ManifestReporter
from block.labeling.interfaces import Reporter
from block.labeling.job import Job, print_job, suggest_speedups, warn_of_other_weights
from block.labeling.progress import Progress, TimeBudget
from block.recording import LabeledRecording
from block.score_store import Key, ScoreStore
from block.settings import SettingsError

CPU, CUDA = "cpu", "cuda"
# Many workers fill the store faster than small files can be written and merged: about 17 MB of 527 classes go out at
# once, or what came in half a minute, as always.
FLUSH_PIECES = 8000


@dataclass(frozen=True)
class ClusterExecutor:
    """The workers of a cluster that was joined. `job` says on which device and in which dtype they compute."""

    job: Job
    digest: str
    cluster: Cluster
    settings: ClusterSettings
    key: Key

    @property
    def dtype_name(self) -> str:
        return self.key.dtype

    def progress(self, total: int, verbose: bool, max_hours: float | None) -> Progress:
        """Who reports a run of this job over `total` recordings."""
        ways = [way for way in suggest_speedups(self.job, self.job.compute.device) if not way.startswith("a machine")]
        return Progress(total, verbose, budget=TimeBudget(max_hours, [*ways, "more workers"]))

    def store(self, folder: Path, progress: Progress) -> ScoreStore:
        """The scores that `folder` holds for the job. Raises SettingsError where it cannot be written."""
        class_names = self.job.checkpoint.class_names
        return ScoreStore(folder, self.key, class_names, lambda text: progress.say(f"warning: {text}"))

    def label_folder(self, run: FolderRun, ids: Sequence[int], progress: Progress) -> FolderResult:
        """Label the recordings `ids` of a folder. Raises ValueError without a store."""
        if run.store is None:
            raise ValueError("a cluster's scores are kept; there is no store")
        # What is relative here is elsewhere on other machines.
        location = LocalFolder(run.location.name) if isinstance(run.location, LocalFolder) else run.location
        site = FolderConnector(location, self.job.checkpoint.front_end.rate_hz)
        items = [WorkItem(number, run.size(number), run.manifest.get_entry(number)) for number in ids]
        run.store.flush_pieces = FLUSH_PIECES
        taker = _FolderReports(run, {})
        driver = self._driver(
            site, run.store, taker, ManifestReporter(progress, run.manifest), progress, run.location.name
        )
        summary = driver.label(items)
        for line in driver.audit_lines():
            progress.say(line)
        if driver.has_fallen_back:
            progress.say(
                f"fast mode fell back to exact in some workers; labelled the fast way: {len(driver.fast_ids)} "
                f"recordings; --mode exact computes all of them exactly"
            )
        return FolderResult(summary, taker.labeled)

    def label_project(self, orders: ProjectRun, ids: Sequence[int]) -> ProjectResult:
        """Label the samples `ids` of a project."""
        project = orders.project
        site = ProjectConnector(
            project.client.endpoint, project.id, project.metadata, project.job, project.dry_run, project.model_rate_hz,
            project.skip_labeled, project.overwrite_hand_labels,
        )  # fmt: skip
        driver = self._driver(
            site, orders.store, _ProjectReports(orders), orders.reporter, orders.progress, f"project {project.id}",
            project.client.key, orders.details is not None,
        )  # fmt: skip
        summary = driver.label([WorkItem(recording_id) for recording_id in ids])
        return ProjectResult(summary, driver.audit_lines(), driver.fast_ids, driver.has_fallen_back)

    def leave(self) -> None:
        """Leave the cluster; end it, if it was started here."""
        connection.disconnect()

    def _driver(
        self,
        site: Connector,
        store: ScoreStore | None,
        taker: ReportHandler,
        reporter: Reporter,
        progress: Progress,
        name: str,
        api_key: str = "",
        explain: bool = False,
    ) -> Driver:
        held = store.folder.resolve() if store is not None and store.contents() else None
        handle = coordinator.start(
            self.job.checkpoint.folder.resolve(), held, self.key, api_key, self.settings.requests
        )
        task = ClusterJob(self.job, self.digest, self.key, site, store is not None, explain, here())
        device = self.job.compute.device
        return Driver(task, self.cluster, self.settings, handle, device, f"label {name}", taker, reporter, progress)


@dataclass(frozen=True)
class _FolderReports:
    """Puts scores into the store, and what was learnt of files into the manifest. `labeled` are labels by path."""

    run: FolderRun
    labeled: dict[str, LabeledRecording]

    def take(self, outcome: RecordingResult) -> None:
        if outcome.scored is not None and self.run.store is not None:
            self.run.store.add(outcome.scored)
        if outcome.labeled is not None and outcome.entry is not None:
            self.run.manifest.put(outcome.entry)
            self.labeled[outcome.entry.path] = outcome.labeled
        self.run.manifest.save_if_due()


@dataclass(frozen=True)
class _ProjectReports:
    """Puts scores into the store, and notes in the journal what Studio has taken."""

    orders: ProjectRun

    def take(self, outcome: RecordingResult) -> None:
        if outcome.scored is not None and self.orders.store is not None:
            self.orders.store.add(outcome.scored)
        if outcome.kind == LABELED and self.orders.journal is not None:
            self.orders.journal.add(outcome.id)


def join(job: Job, settings: ClusterSettings, what: str) -> ClusterExecutor:
    """Join the cluster, and say on standard output what is going to be done there.

    Raises SettingsError where there is no cluster, or none with what `settings` ask for.
    """
    checkpoint = job.checkpoint
    digest = checkpoint.sha256()
    warn_of_other_weights(checkpoint, digest)
    cluster = connection.connect(settings.address, what)
    gpus = 1.0 if settings.gpus is None else settings.gpus
    device = job.compute.device
    if device == "auto":
        device = CUDA if gpus and cluster.gpus >= gpus else CPU
    if device == CUDA and not gpus:
        raise SettingsError("--device cuda needs GPUs, and --ray-worker-gpus is 0")
    dtype = job.compute.dtype
    if dtype == "auto":
        dtype = "float32" if device == CPU else _half(settings.cpus, gpus)
    job = replace(job, compute=replace(job.compute, device=device, dtype=dtype))
    key = Key.from_checkpoint(checkpoint, job.windows, job.compute.fill, job.compute.mode, dtype)
    where = "started here" if cluster.started_here else f"at {cluster.address}"
    most = "as many as there is room for" if settings.most is None else str(settings.most)
    each = f"{settings.cpus} CPU" + (f" and {gpus:g} GPU" if device == CUDA else "")
    print(
        f"Ray cluster {where}: {cluster.nodes} machine{'s' * (cluster.nodes != 1)}, {cluster.cpus:g} CPUs, "
        f"{cluster.gpus:g} GPUs; workers: {settings.least} to {most}, each with {each}"
    )
    if cluster.dashboard:
        print(f"dashboard: {cluster.dashboard}")
    print(f"device: {device}, {dtype}, mode {job.compute.mode}")
    print_job(job, digest)
    return ClusterExecutor(job, digest, cluster, settings, key)


def _half(cpus: int, gpus: float) -> str:
    """What the dtype `auto` stands for on a GPU of the cluster, which is asked. Raises SettingsError."""
    import ray

    try:
        dtype_name: str = ray.get(ray.remote(_dtype_here).options(num_cpus=cpus, num_gpus=gpus, max_retries=3).remote())
    except ray.exceptions.RayError as error:
        reason = str(error).splitlines()[-1].rpartition("Error: ")[2]
        raise SettingsError(f"no GPU of the cluster can be used: {reason}") from None
    return dtype_name


def _dtype_here() -> str:
    from block.model.device import choose_device
    from block.settings import ComputeSettings

    return choose_device(ComputeSettings(device=CUDA)).dtype_name
