"""A run on a cluster, seen from the process that was started: hands out chunks, takes what comes back."""

from __future__ import annotations

import contextlib
import pickle
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from block.cluster.connection import Cluster, named
from block.cluster.report import DONE, FAILED, LABELED, SKIPPED, RecordingResult, Report, unpacked
from block.cluster.settings import ClusterSettings
from block.cluster.task import ClusterJob, WorkItem
from block.cluster.throughput import Throughput
from block.cluster.worker import CHUNKS_AT_ONCE, LabelRecordings
from block.labeling.interfaces import Reporter, Summary
from block.labeling.progress import Progress
from block.settings import EXACT

# What a lost worker did not tell is handed out again by Ray; what was lost on the way all the same, by another round.
ROUNDS = 3
CUDA = "cuda"
LISTEN_EVERY_S = 0.2
REPORT_EVERY_S, REPORTERS_A_SECOND = 2.0, 8


class ReportHandler(Protocol):
    """Keeps what comes back, in the thread that runs."""

    def take(self, outcome: RecordingResult) -> None:
        """Keep an outcome, before it is reported. Does not raise."""
        ...


@dataclass
class Driver:
    """One run of `task` over recordings, on a `cluster` that was joined. `name` is shown in the dashboard.

    `device` is what workers compute on, "cpu" or "cuda". Outcomes go to `taker`, then to `reporter`, and `progress` is
    told the rest.
    """

    task: ClusterJob
    cluster: Cluster
    settings: ClusterSettings
    coordinator: Any
    device: str
    name: str
    taker: ReportHandler
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
        self._start_s: float | None = None  # until the first worker was at work

    def label(self, items: Sequence[WorkItem]) -> Summary:
        """Label `items`, whose ids are distinct. Never raises for what happens to a recording or a machine."""
        summary = self.summary
        left = {item.id: item for item in items}
        try:
            for _ in range(ROUNDS):
                if left and not summary.end_reason:
                    self._round(left)
        except KeyboardInterrupt:
            summary.canceled = True
        except Exception as error:
            summary.end_reason = _reason(error)
        order = {item.id: at for at, item in enumerate(items)}
        for ids in (summary.labeled, summary.failed, summary.skipped, summary.done):
            ids.sort(key=order.__getitem__)
        summary.not_reached = list(left)
        if left and not summary.end_reason and not summary.canceled:
            summary.end_reason = f"{len(left)} recordings came back from no worker, handed out {ROUNDS} times"
        for line in self._throughput.report():
            self.progress.say(line)
        return summary

    def audit_lines(self) -> list[str]:
        """What fast mode has found out, in each worker by itself."""
        return [f"{worker}: {line}" for worker, lines in self.audits.items() for line in lines]

    def _round(self, left: dict[int, WorkItem]) -> None:
        """Hand out what is `left`, and take from it what comes back."""
        with _ReportStream(self._dataset(list(left.values()))) as results:
            for content in results:
                report = unpacked(content)
                started = time.perf_counter()
                for outcome in report.outcomes:
                    # A chunk that was begun twice, since its worker was lost, may come back in part twice.
                    if left.pop(outcome.id, None) is not None:
                        self._take(outcome)
                self._hear(report, time.perf_counter() - started)
                if report.ended:
                    self.summary.end_reason = report.ended
                    return

    def _take(self, outcome: RecordingResult) -> None:
        summary = self.summary
        self.taker.take(outcome)
        if outcome.kind == LABELED and outcome.labeled is not None:
            summary.labeled.append(outcome.id)
            if outcome.labeled.mode != EXACT:
                self.fast_ids.append(outcome.id)
            self.reporter.report_labeled(outcome.labeled)
        elif outcome.kind == FAILED:
            summary.failed.append(outcome.id)
            self.reporter.report_failed(outcome.id, outcome.reason)
        elif outcome.kind in (SKIPPED, DONE):
            (summary.done if outcome.kind == DONE else summary.skipped).append(outcome.id)
            self.reporter.report_skipped(outcome.id, outcome.reason)

    def _hear(self, report: Report, kept_s: float) -> None:
        for text in report.warnings:
            self.progress.warn_once(text)
        for line in report.said:
            self.progress.say_limited(f"{report.worker}: {line}")
        if report.audit:
            self.audits[report.worker] = report.audit
        self.has_fallen_back = self.has_fallen_back or report.has_fallen_back
        if self._start_s is None:
            self._start_s = max(0.0, time.monotonic() - self._started - report.stages.model_s)
        # Workers spend this at the same time: the run is longer by the mean of it.
        self._startup_s[report.worker] = report.startup_s
        startup_s = self._start_s + sum(self._startup_s.values()) / len(self._startup_s)
        for recordings, windows in report.batches:
            self.reporter.report_batch(recordings, windows, startup_s)
        self._throughput.add(report.worker, report.stages, kept_s)

    def _dataset(self, items: list[WorkItem]) -> Any:
        import pyarrow as pa
        import ray
        from ray.data import ActorPoolStrategy

        # What a worker yields is not held back until there is more of it.
        context = ray.data.DataContext.get_current()
        context.target_max_block_size = 1
        # Where there is room, there is another worker as soon as all have what they can take at once.
        context.autoscaling_config.actor_pool_util_upscaling_threshold = 1.0
        room = self._room()
        # A report takes the driver some ms, whatever is in it.
        task = replace(self.task, report_every_s=max(REPORT_EVERY_S, room / REPORTERS_A_SECOND))
        sizes = [item.size for item in items]
        tables = []
        for number, chunk in enumerate(chunks(sizes, room * CHUNKS_AT_ONCE, self.device)):
            packed = pickle.dumps([items[at] for at in chunk], protocol=5)
            tables.append(pa.table({"chunk": [number], "items": pa.array([packed], pa.large_binary())}))
        most = self.settings.most
        pool = ActorPoolStrategy(
            min_size=self.settings.least,
            max_size=most,
            initial_size=max(self.settings.least, min(room, most or room, len(tables))),
            max_tasks_in_flight_per_actor=CHUNKS_AT_ONCE,
            max_concurrent_calls_per_actor=CHUNKS_AT_ONCE,
            enable_true_multi_threading=True,
        )
        # A lost worker is replaced, and its chunks handed out again, without end: that is Ray Data's own default.
        dataset = ray.data.from_arrow(tables).map_batches(
            LabelRecordings,
            batch_size=None,
            batch_format="pyarrow",
            zero_copy_batch=True,
            compute=pool,
            fn_constructor_kwargs={"task": task, "coordinator": self.coordinator},
            num_cpus=self.settings.cpus,
            num_gpus=self._gpus,
        )
        return named(dataset, self.name)

    @property
    def _gpus(self) -> float:
        if self.device != CUDA:
            return 0.0
        return 1.0 if self.settings.gpus is None else self.settings.gpus

    def _room(self) -> int:
        """How many workers the cluster has room for now, by Ray's own counting, at least 1."""
        room = int(self.cluster.cpus // self.settings.cpus)
        if self._gpus:
            room = min(room, int(self.cluster.gpus / self._gpus))
        return max(1, room, self.settings.least)


class _ReportStream:
    """The packed reports of a dataset, as they come; read in a thread, so that a signal is heard at once."""

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset
        self._queue: queue.Queue[bytes | BaseException | None] = queue.Queue(maxsize=64)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, name="results", daemon=True)

    def __enter__(self) -> _ReportStream:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()

    def __iter__(self) -> Iterator[bytes]:
        while True:
            try:
                one = self._queue.get(timeout=LISTEN_EVERY_S)
            except queue.Empty:
                continue
            if one is None:
                return
            if isinstance(one, BaseException):
                raise one
            yield one

    def _read(self) -> None:
        last: BaseException | None = None
        try:
            for batch in self._dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
                for content in batch.column("report").to_pylist():
                    self._put(content)
                if self._stop.is_set():
                    return
        except BaseException as error:
            last = error
        self._put(last)

    def _put(self, one: bytes | BaseException | None) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(queue.Full):
                self._queue.put(one, timeout=LISTEN_EVERY_S)
                return


def _reason(error: BaseException) -> str:
    """The last line of what Ray says, which holds the cause; its tracebacks fill pages."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"the cluster failed: {type(error).__name__}: {lines[-1] if lines else 'no further word'}"


# A worker takes a chunk at a time: large enough that handing it out (some ms) is nothing beside labeling it, and that a
# GPU's batches are full; small enough that little is done again where a worker is lost.
MOST = {"cpu": 16, "cuda": 256}
BYTES = {"cpu": 32 << 20, "cuda": 512 << 20}


def chunks(sizes: Sequence[int], workers: int, device: str) -> Iterator[range]:
    """Recordings of `sizes` bytes (0: not known) cut into chunks, as ranges of their positions, in order.

    Towards the end chunks become smaller, down to one recording, so that `workers` end at about the same time.
    """
    start = 0
    while start < len(sizes):
        # Half of what is left, shared by all: the next share of whoever is first leaves as much to the others.
        fair = max(1, (len(sizes) - start) // (2 * max(1, workers)))
        end, held = start + 1, sizes[start]
        while end < len(sizes) and end - start < min(fair, MOST[device]) and held + sizes[end] <= BYTES[device]:
            held += sizes[end]
            end += 1
        yield range(start, end)
        start = end
