"""A portion of recordings in a worker: a `Run` over them that reports results as they come."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from block.cluster.cluster_job import ClusterJob, ConnectorContext, WorkItem
from block.cluster.readers_writer_lock import ReadersWriterLock
from block.cluster.report import DONE, FAILED, LABELED, SKIPPED, RecordingResult, Report, ReportBuffer, StageTimes
from block.edge_impulse.retries import RateLimit
from block.labeling.cached_labeler import CachedLabeler, CompletingLabeler
from block.labeling.interfaces import Batch, LabelerWrapper, RecordingLabeler, Sink, Source
from block.labeling.run import Run
from block.model.checkpoint import CheckpointError
from block.recording import LabeledRecording, Recording
from block.score_store import Key, Scored
from block.settings import EXACT, FAST, SettingsError
from block.windows import PreparedRecording


@dataclass(frozen=True)
class WorkerResources:
    """What the portions of a worker share.

    A portion uses the model only while it has `model_lock`, and has the process to itself while it has `isolation`
    exclusively. `stored` are the contents in the driver's score store; `fetch_scores` gets their scores.
    """

    cluster_job: ClusterJob
    worker: str
    coordinator: Any
    labeler: CompletingLabeler
    stored: Collection[str]
    fetch_scores: Callable[[str], Scored | None]
    api_key: str = field(default="", repr=False)
    rate_limit: RateLimit | None = None
    model_lock: threading.Lock = field(default_factory=threading.Lock)
    isolation: ReadersWriterLock = field(default_factory=ReadersWriterLock)


class Portion:
    """Portion `number` of a run, with the recordings `items`."""

    def __init__(self, resources: WorkerResources, number: int, items: Sequence[WorkItem]) -> None:
        self._resources = resources
        self._number = number
        self.entries = {item.id: item.entry for item in items if item.entry is not None}
        self._ids = [item.id for item in items]
        self.buffer = ReportBuffer(resources.worker)
        self._has_ended = False
        # One item per result: False, or True after the last result.
        self._events: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def label(self) -> Iterator[Report]:
        """Label the recordings in a separate thread, and yield reports until all are done."""
        threading.Thread(target=self._label, name=f"portion {self._number}", daemon=True).start()
        labeler, every_s = self._resources.labeler, self._resources.cluster_job.report_every_s
        reported, is_done = time.monotonic(), False
        while not is_done:
            is_done = self._events.get()
            if is_done or time.monotonic() - reported >= every_s:
                report = self.buffer.take()
                report.startup_s, report.audit = labeler.startup_s, labeler.describe_audit()
                report.has_fallen_back = labeler.has_fallen_back
                yield report
                reported = time.monotonic()

    def add_result(self, result: RecordingResult) -> None:
        self.buffer.add(results=[result])
        self._events.put(False)

    def _label(self) -> None:
        try:
            self._follow_plan()
        except (CheckpointError, SettingsError) as error:
            self._end(str(error))
        except Exception as error:
            self._end(f"unexpected {type(error).__name__}: {error}")
        finally:
            self._events.put(True)

    def _follow_plan(self) -> None:
        import ray

        coordinator, isolation = self._resources.coordinator, self._resources.isolation
        plan = ray.get(coordinator.start_portion.remote(self._number, self._ids))
        for recording_id, reason in plan.failures.items():
            self.add_result(RecordingResult(recording_id, FAILED, reason))
        for recording_id in plan.suspects:
            if self._has_ended:
                return
            with isolation.lock_exclusive():
                ray.get(coordinator.start_suspect.remote(self._number, recording_id))
                self._run([recording_id])
                ray.get(coordinator.clear_suspect.remote(self._number, recording_id))
        if plan.rest and not self._has_ended:
            with isolation.lock_shared():
                self._run(plan.rest)

    def _run(self, ids: Sequence[int]) -> None:
        resources, cluster_job, stop = self._resources, self._resources.cluster_job, threading.Event()
        context = ConnectorContext(
            self.entries, self.buffer.say, self.buffer.warn_once, stop, resources.api_key, resources.rate_limit
        )
        connection = _TimedConnection(*cluster_job.connector.open(context), self.buffer)
        labeler: RecordingLabeler = resources.labeler
        scores: _WorkerScores | None = None
        if cluster_job.keeps_scores:
            class_names = cluster_job.job.checkpoint.class_names
            scores = _WorkerScores(cluster_job.key, class_names, resources.stored, resources.fetch_scores)
            labeler = CachedLabeler(resources.labeler, scores)
        timed = _TimedLabeler(labeler, self.buffer, resources.model_lock)
        reporter = _ResultReporter(self, timed.contents, scores)
        summary = Run(connection, connection, timed, reporter, stop).label(ids)
        for recording_id, reason in reporter.skips.items():
            kind = DONE if recording_id in summary.done else SKIPPED
            mode = FAST if recording_id in summary.fast_done else EXACT
            self.add_result(RecordingResult(recording_id, kind, reason, mode=mode))
        if summary.end_reason:
            self._end(summary.end_reason)

    def _end(self, reason: str) -> None:
        self._has_ended = True
        self.buffer.add(end_reason=reason)


class _TimedConnection:
    """A source and a sink that time reading, without the wait for memory, and writing."""

    def __init__(self, source: Source, sink: Sink, buffer: ReportBuffer) -> None:
        self._source, self._sink, self._buffer = source, sink, buffer
        self.give_up = sink.give_up

    def fetch(self, recording_id: int, expect: Callable[[int], None]) -> Recording:
        def expect_values(values: int) -> None:
            started = time.perf_counter()
            expect(values)
            self._buffer.add(stages=StageTimes(read_s=started - time.perf_counter()))

        with self._buffer.time("read_s"):
            return self._source.fetch(recording_id, expect_values)

    def write(self, labeled: LabeledRecording) -> LabeledRecording:
        with self._buffer.time("write_s"):
            return self._sink.write(labeled)


class _TimedLabeler(LabelerWrapper):
    """A labeler that records how long it takes, and lets only one portion at a time use the model.

    `contents` maps the ids of recordings to the SHA-256 of their files.
    """

    def __init__(self, labeler: RecordingLabeler, buffer: ReportBuffer, model_lock: threading.Lock) -> None:
        super().__init__(labeler)
        self._buffer, self._model_lock = buffer, model_lock
        self.contents: dict[int, str] = {}

    def prepare(self, recording: Recording) -> PreparedRecording:
        self.contents[recording.id] = recording.content
        with self._buffer.time("prepare_s"):
            return super().prepare(recording)

    def label(self, batch: Sequence[PreparedRecording]) -> list[LabeledRecording]:
        with self._model_lock, self._buffer.time("model_s"):
            return super().label(batch)


class _ResultReporter:
    """A reporter that adds a run's results to its portion. `skips` has the reasons of skipped or done recordings."""

    def __init__(self, portion: Portion, contents: dict[int, str], scores: _WorkerScores | None) -> None:
        self._portion, self._contents, self._scores = portion, contents, scores
        self.skips: dict[int, str] = {}

    def report_labeled(self, labeled: LabeledRecording) -> None:
        self._portion.buffer.add(stages=StageTimes(1, labeled.windows, labeled.seconds))
        entry = self._portion.entries.get(labeled.id)
        scores = self._scores.new.get(self._contents[labeled.id]) if self._scores is not None else None
        self._portion.add_result(RecordingResult(labeled.id, LABELED, "", labeled, entry, scores))

    def report_failed(self, recording_id: int, reason: str, name: str = "") -> None:
        self._portion.buffer.add(stages=StageTimes(recordings=1))
        self._portion.add_result(RecordingResult(recording_id, FAILED, reason, name=name))

    def report_skipped(self, recording_id: int, reason: str) -> None:
        self._portion.buffer.add(stages=StageTimes(recordings=1))
        self.skips[recording_id] = reason

    def report_batch(self, batch: Batch, startup_s: float) -> None:
        self._portion.buffer.add(batches=[batch])


class _WorkerScores:
    """The driver's score store as a worker sees it.

    `stored` are the contents in the store when the run began; `fetch` gets the scores of one. `new` has the scores
    computed here, by content.
    """

    def __init__(
        self, key: Key, class_names: tuple[str, ...], stored: Collection[str], fetch: Callable[[str], Scored | None]
    ) -> None:
        self.key = key
        self.class_names = class_names
        self.new: dict[str, Scored] = {}
        self._stored = stored
        self._fetch = fetch

    def find(self, content: str) -> Scored | None:
        if content in self.new:
            return self.new[content]
        return self._fetch(content) if content in self._stored else None

    def add(self, scored: Scored) -> None:
        self.new[scored.content] = scored
