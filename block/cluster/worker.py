"""A worker: one process of the cluster with one model, which labels portions of recordings.

Ray Data creates a `LabelRecordings` in each process of its pool and gives it two portions at once: while one uses the
model, the other reads and writes. Each portion is labeled in a `Run`, as on a single machine.
"""

from __future__ import annotations

import os
import pickle
import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from block.cluster.cluster_job import ClusterJob
from block.cluster.coordinator import fetch_shared
from block.cluster.report import Report, ReportBuffer, pack
from block.cluster.versions import describe_differences, find_versions
from block.cluster.worker_setup import find_or_fetch_checkpoint
from block.model.arithmetic import SCORES_VERSION
from block.settings import SettingsError

if TYPE_CHECKING:
    from block.cluster.portion import WorkerResources

PORTIONS_AT_ONCE = 2


class LabelRecordings:
    """Label portions of recordings with one model. Ray's dashboard shows the name of this class."""

    def __init__(self, cluster_job: ClusterJob, coordinator: Any) -> None:
        """Load the model. If that fails, the next report ends the run. `coordinator` is the `Coordinator`'s handle."""
        self._name = f"{socket.gethostname()}, process {os.getpid()}"
        self._cluster_job = cluster_job
        self._coordinator = coordinator
        self._notices = ReportBuffer(self._name)
        self._resources: WorkerResources | str  # a str says why loading failed
        try:
            self._resources = self._load()
        except SettingsError as error:
            self._resources = str(error)
        except Exception as error:
            self._resources = f"{type(error).__name__}: {error}"

    def __call__(self, batch: Any) -> Iterator[Any]:
        """Label the portion in `batch`, an Arrow table with one row. Yield tables with one row each, a `Report`."""
        import pyarrow as pa

        for report in self._label(batch):
            report.add(self._notices.take())
            yield pa.table({"report": pa.array([pack(report)], pa.large_binary())})

    def _label(self, batch: Any) -> Iterator[Report]:
        if isinstance(self._resources, str):
            yield Report(self._name, end_reason=f"on {self._name}: {self._resources}")
            return
        from block.cluster.portion import Portion

        items = pickle.loads(batch.column("items")[0].as_py())  # noqa: S301
        yield from Portion(self._resources, batch.column("portion")[0].as_py(), items).label()

    def _load(self) -> WorkerResources:
        """Load the model and what else portions share. Raise SettingsError for known problems; others pass through."""
        # Imported here because the driver, whose machine may not have torch, imports this module too.
        import ray

        from block.cluster.portion import WorkerResources
        from block.cluster.throttle_client import ThrottleClient
        from block.labeling.engine import Engine
        from block.model.device import choose_device

        cluster_job, coordinator = self._cluster_job, self._coordinator
        cluster_job.connector.check()
        if different := describe_differences(cluster_job.versions, find_versions(cluster_job.job.compute.backend)):
            self._notices.warn_once(
                f"a worker's software differs from this machine's, so scores may differ: {different}"
            )
        checkpoint = find_or_fetch_checkpoint(cluster_job.job.checkpoint, cluster_job.digest, self._fetch_file)
        job = replace(cluster_job.job, checkpoint=checkpoint)
        device = choose_device(job.compute)
        if device.dtype_name != cluster_job.key.dtype:
            raise SettingsError(f"this worker computes in {device.dtype_name}; expected {cluster_job.key.dtype}")
        if cluster_job.key.scores != SCORES_VERSION:
            raise SettingsError(
                f"this worker's block computes scores of version {SCORES_VERSION}; expected {cluster_job.key.scores}"
            )
        engine = Engine(job, device, cluster_job.digest)
        resources = WorkerResources(
            cluster_job,
            self._name,
            coordinator,
            engine.load_labeler(
                self._notices,
                stored=cluster_job.keeps_scores,
                explain=cluster_job.explain,
                exact_only=cluster_job.exact_only,
            ),
            fetch_shared(coordinator.share_contents.remote()) if cluster_job.keeps_scores else set(),
            lambda content: ray.get(coordinator.find_scores.remote(content)),
        )
        if not cluster_job.connector.needs_key:
            return resources
        api_key = ray.get(coordinator.read_api_key.remote())
        return replace(resources, api_key=api_key, rate_limit=ThrottleClient(coordinator, self._name))

    def _fetch_file(self, name: str) -> Any:
        return fetch_shared(self._coordinator.share_file.remote(name))
