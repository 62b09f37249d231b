"""The driver of a run on a cluster: hand out portions and keep the results."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from block.cluster.cluster_job import ClusterJob, WorkItem
from block.cluster.connection import Cluster, set_dataset_name
from block.cluster.report import DONE, FAILED, LABELED, RecordingResult, Report, unpack
from block.cluster.settings import ClusterSettings
from block.cluster.throughput import Throughput
from block.cluster.worker import PORTIONS_AT_ONCE, LabelRecordings
from block.formatting import count
from block.labeling.interfaces import Batch, Reporter, Summary
from block.labeling.progress import Progress
from block.runtime.cancel import start_thread, wait_for
from block.settings import EXACT

# Ray reassigns what a lost worker didn't report; another round reassigns what is still missing.
ROUNDS = 3
REPORT_EVERY_S, REPORTERS_A_SECOND = 2.0, 8
# Portions are large enough that handing one out (a few ms) is negligible and that a GPU's batches are full, and small
# enough that little is repeated if a worker is lost.
MAX_RECORDINGS = {"cpu": 16, "cuda": 256}
MAX_BYTES = {"cpu": 32 << 20, "cuda": 512 << 20}


@dataclass
class Driver:
    """One run of `cluster_job` on `cluster`, which this process has joined. The dashboard shows it as `name`.

    Results go to `keep`, which must not raise, then to `reporter`; everything else goes to `progress`.
    """

    cluster_job: ClusterJob
    cluster: Cluster
    settings: ClusterSettings
    coordinator: Any
    name: str
    keep: Callable[[RecordingResult], None]
    reporter: Reporter
    progress: Progress

    def __post_init__(self) -> None:
        self.summary = Summary()
        self.audits: dict[str, list[str]] = {}
        self.fast_ids: list[int] = []
        self.has_fallen_back = False
        self._throughput = Throughput(self.progress.say)
        self._startup_s: dict[str, float] = {}
        self._started = time.monotonic()
        self._first_work_s: float | None = None  # seconds until the first worker started labeling

    def label(self, items: Sequence[WorkItem]) -> Summary:
        """Label `items`, which have distinct ids. Failures of recordings and machines never raise."""
        summary = self.summary
        left = {item.id: item for item in items}
        try:
            for _ in range(ROUNDS):
                if left and not summary.end_reason:
                    self._run_round(left)
        except KeyboardInterrupt:
            summary.canceled = True
        except Exception as error:
            summary.end_reason = _last_line(error)
        order = {item.id: at for at, item in enumerate(items)}
        for ids in (summary.labeled, summary.failed, summary.skipped, summary.done):
            ids.sort(key=order.__getitem__)
        summary.not_reached = list(left)
        if left and not summary.end_reason and not summary.canceled:
            summary.end_reason = f"{count(len(left), 'recording')} got no result from any worker in {ROUNDS} attempts"
        for line in self._throughput.report():
            self.progress.say(line)
        return summary

    def audit_lines(self) -> list[str]:
        """Return the findings of fast mode's audit, worker by worker."""
        return [f"{worker}: {line}" for worker, lines in self.audits.items() for line in lines]

    def _run_round(self, left: dict[int, WorkItem]) -> None:
        """Hand out the items `left`, and remove those that come back."""
        for report in _read_reports(self._make_dataset(list(left.values()))):
            started = time.perf_counter()
            self.has_fallen_back = self.has_fallen_back or report.has_fallen_back
            self._pass_on_batches(report)
            for result in report.results:
                # A portion that lost its worker starts again, so some of its results may come back twice.
                if left.pop(result.id, None) is not None:
                    self._count(result)
            self._pass_on(report, time.perf_counter() - started)
            if report.end_reason:
                self.summary.end_reason = report.end_reason
                return

    def _count(self, result: RecordingResult) -> None:
        summary = self.summary
        self.keep(result)
        if result.kind == LABELED and result.labeled is not None:
            summary.labeled.append(result.id)
            if result.labeled.mode != EXACT:
                self.fast_ids.append(result.id)
            self.reporter.report_labeled(result.labeled)
        elif result.kind == FAILED:
            summary.failed.append(result.id)
            self.reporter.report_failed(result.id, result.reason, result.name)
        else:
            (summary.done if result.kind == DONE else summary.skipped).append(result.id)
            if result.mode != EXACT:
                summary.fast_done.append(result.id)
            self.reporter.report_skipped(result.id, result.reason)

    def _pass_on(self, report: Report, keep_s: float) -> None:
        """Pass on the rest of a report after its results, which took `keep_s` seconds to keep."""
        for text in report.warnings:
            self.progress.warn_once(text)
        for line in report.lines:
            self.progress.say_limited(f"{report.worker}: {line}")
        if report.audit:
            self.audits[report.worker] = report.audit
        self._throughput.add(report.worker, report.stages, keep_s)

    def _pass_on_batches(self, report: Report) -> None:
        """Pass on the batches of a report as one, because they came at one time, and the time for one-time work."""
        if self._first_work_s is None:
            self._first_work_s = max(0.0, time.monotonic() - self._started - report.stages.model_s)
        # Workers start up at the same time, so the run takes longer by their mean startup time.
        self._startup_s[report.worker] = report.startup_s
        startup_s = self._first_work_s + sum(self._startup_s.values()) / len(self._startup_s)
        if report.batches:
            ids = tuple(recording_id for batch in report.batches for recording_id in batch.ids)
            windows, seconds = sum(one.windows for one in report.batches), sum(one.seconds for one in report.batches)
            self.reporter.report_batch(Batch(ids, windows, seconds), startup_s)

    def _make_dataset(self, items: list[WorkItem]) -> Any:
        import pyarrow as pa
        import ray
        from ray.data import ActorPoolStrategy

        settings, device = self.settings, self.cluster_job.job.compute.device
        gpus = settings.gpus_on_cuda if device == "cuda" else 0.0
        context = ray.data.DataContext.get_current()
        context.target_max_block_size = 1  # pass on each report at once instead of collecting several
        # If there is room, start another worker as soon as all are fully busy.
        context.autoscaling_config.actor_pool_util_upscaling_threshold = 1.0
        room = int(self.cluster.cpus // settings.cpus)
        if gpus:
            room = min(room, int(self.cluster.gpus / gpus))
        room = max(room, settings.min_workers)
        # Each report takes the driver a few ms, whatever its size.
        cluster_job = replace(self.cluster_job, report_every_s=max(REPORT_EVERY_S, room / REPORTERS_A_SECOND))
        sizes = [item.size for item in items]
        tables = []
        for number, portion in enumerate(split_into_portions(sizes, room * PORTIONS_AT_ONCE, device)):
            packed = pickle.dumps([items[at] for at in portion], protocol=5)
            tables.append(pa.table({"portion": [number], "items": pa.array([packed], pa.large_binary())}))
        pool = ActorPoolStrategy(
            min_size=settings.min_workers,
            max_size=settings.max_workers,
            initial_size=max(settings.min_workers, min(room, settings.max_workers or room, len(tables))),
            max_tasks_in_flight_per_actor=PORTIONS_AT_ONCE,
            max_concurrent_calls_per_actor=PORTIONS_AT_ONCE,
            enable_true_multi_threading=True,
        )
        # By default, Ray Data replaces lost workers and reassigns their portions, without limit.
        dataset = ray.data.from_arrow(tables).map_batches(
            LabelRecordings,
            batch_size=None,
            batch_format="pyarrow",
            zero_copy_batch=True,
            compute=pool,
            fn_constructor_kwargs={"cluster_job": cluster_job, "coordinator": self.coordinator},
            num_cpus=settings.cpus,
            num_gpus=gpus,
        )
        return set_dataset_name(dataset, self.name)


def split_into_portions(sizes: Sequence[int], workers: int, device: str) -> Iterator[range]:
    """Split recordings of `sizes` bytes (0: unknown) into portions, and yield each as a range of positions, in order.

    Toward the end, portions get smaller, down to one recording, so that all `workers` finish at about the same time.
    """
    start = 0
    while start < len(sizes):
        # Split half of the rest evenly among the workers; the other half leaves enough to even out the end.
        fair = max(1, (len(sizes) - start) // (2 * max(1, workers)))
        limit = min(len(sizes), start + min(fair, MAX_RECORDINGS[device]))
        end, size = start + 1, sizes[start]
        while end < limit and size + sizes[end] <= MAX_BYTES[device]:
            size += sizes[end]
            end += 1
        yield range(start, end)
        start = end


def _read_reports(dataset: Any) -> Iterator[Report]:
    """Yield a dataset's reports as they come. Read them in other threads, so that signals interrupt the main one."""
    batches = iter(dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0))
    while (batch := wait_for(start_thread(lambda: next(batches, None))).result()) is not None:
        yield from map(unpack, batch.column("report").to_pylist())


def _last_line(error: BaseException) -> str:
    """Return the last line of Ray's message, which has the cause; its tracebacks fill pages."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"the cluster failed: {type(error).__name__}: {lines[-1] if lines else 'no details'}"
