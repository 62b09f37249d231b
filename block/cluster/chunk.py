"""A chunk of recordings in a worker: a `Run` over them, whose outcomes are told one by one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from block.cluster.exclusive_lock import SharedLock
from block.cluster.report import DONE, FAILED, LABELED, SKIPPED, CarriedScores, RecordingResult, Report, StageTimes
from block.cluster.task import ClusterJob, ConnectorContext, WorkItem
from block.edge_impulse.retries import RateLimit
from block.labeling.cached_labeler import CachedLabeler, CompletingLabeler
from block.labeling.interfaces import LabelerWrapper, RecordingLabeler, Sink, Source, Summary
from block.labeling.run import Run
from block.recording import LabeledRecording, Recording
from block.score_store import Scored
from block.windows import PreparedRecording

Tell = Callable[[RecordingResult | None], None]


@dataclass(frozen=True)
class Tools:
    """What the chunks of a worker share: the model and the `turn` to use it, what the driver's store holds, the key."""

    task: ClusterJob
    labeler: CompletingLabeler
    turn: threading.Lock
    company: SharedLock
    held: Collection[str]
    ask: Callable[[str], Scored | None]
    key: str = field(default="", repr=False)
    gate: RateLimit | None = None


class Chunk:
    """Recordings `items`, the chunk `number` of a run."""

    def __init__(self, tools: Tools, coordinator: Any, number: int, items: Sequence[WorkItem]) -> None:
        self._tools = tools
        self._coordinator = coordinator
        self._number = number
        self._items = items
        self._entries = {item.id: item.entry for item in items if item.entry is not None}
        self._report = Report("")
        self._lock = threading.Lock()
        self._over = False

    def label(self, tell: Tell) -> None:
        """Label them; `tell` gets the outcome of each, and None in the end. In the thread that calls."""
        try:
            self._label(tell)
        except Exception as error:
            self._end(f"unexpected {type(error).__name__}: {error}")
        finally:
            tell(None)

    def finish(self, report: Report) -> None:
        """Put what is known besides outcomes into `report`."""
        with self._lock:
            ours, self._report = self._report, Report("")
        report.stages.add(ours.stages)
        report.batches += ours.batches
        report.warnings += ours.warnings
        report.said += ours.said
        report.ended = ours.ended
        report.startup_s = self._tools.labeler.startup_s
        report.audit = self._tools.labeler.describe_audit()
        report.has_fallen_back = self._tools.labeler.has_fallen_back

    def _label(self, tell: Tell) -> None:
        import ray

        company = self._tools.company
        plan = ray.get(self._coordinator.begin.remote(self._number, [item.id for item in self._items]))
        for recording_id, reason in plan.poisoned.items():
            tell(RecordingResult(recording_id, FAILED, reason))
        for recording_id in plan.alone:
            if self._over:
                return
            with company.alone():
                ray.get(self._coordinator.trying.remote(self._number, recording_id))
                self._run([recording_id], tell)
                ray.get(self._coordinator.finished.remote(self._number, recording_id))
        if plan.together and not self._over:
            with company.together():
                self._run(list(plan.together), tell)

    def _run(self, ids: list[int], tell: Tell) -> None:
        tools, stop = self._tools, threading.Event()
        context = ConnectorContext(self._entries, self._say, self._warn, stop, tools.key, tools.gate)
        source, sink = tools.task.site.opened(context)
        scores: CarriedScores | None = None
        labeler: RecordingLabeler = tools.labeler
        if tools.task.keeps:
            class_names = tools.task.job.checkpoint.class_names
            scores = CarriedScores(tools.task.key, class_names, tools.held, tools.ask)
            labeler = CachedLabeler(tools.labeler, scores)
        timed = _TimedLabeler(self, labeler, tools.turn)
        told = _ResultReporter(self, tell, timed, scores)
        summary = Run(_TimedSource(self, source), _TimedSink(self, sink), timed, told, stop).label(ids)
        told.end(summary)
        if summary.end_reason:
            self._end(summary.end_reason)

    def entry(self, recording_id: int) -> Any:
        """What is known of a recording's file; None where it is no file."""
        return self._entries.get(recording_id)

    def count(self, **amounts: float) -> None:
        """Add to what stages took."""
        with self._lock:
            self._report.stages.add(StageTimes(**amounts))  # type: ignore[arg-type]

    def batch(self, recordings: int, windows: int) -> None:
        """A group was labelled."""
        with self._lock:
            self._report.batches.append((recordings, windows))

    def _say(self, line: str) -> None:
        with self._lock:
            self._report.said.append(line)

    def _warn(self, text: str) -> None:
        with self._lock:
            self._report.warnings.append(text)

    def _end(self, reason: str) -> None:
        with self._lock:
            self._report.ended, self._over = reason, True


class _TimedSource:
    """A source with a clock on it."""

    def __init__(self, chunk: Chunk, source: Source) -> None:
        self._chunk, self._source = chunk, source

    def fetch(self, recording_id: int, expect: Callable[[int], None]) -> Recording:
        started, waited_s = time.perf_counter(), 0.0

        def expected(values: int) -> None:
            nonlocal waited_s
            asked = time.perf_counter()
            expect(values)  # waits for memory, which is no reading
            waited_s += time.perf_counter() - asked

        try:
            return self._source.fetch(recording_id, expected)
        finally:
            self._chunk.count(read_s=time.perf_counter() - started - waited_s)


class _TimedSink:
    """A sink with a clock on it."""

    def __init__(self, chunk: Chunk, sink: Sink) -> None:
        self._chunk, self._sink = chunk, sink
        self.give_up = sink.give_up

    def write(self, labeled: LabeledRecording) -> None:
        started = time.perf_counter()
        try:
            self._sink.write(labeled)
        finally:
            self._chunk.count(write_s=time.perf_counter() - started)


class _TimedLabeler(LabelerWrapper):
    """A labeler with a clock on it, with which two chunks take turns. `contents` are those of recordings, by id."""

    def __init__(self, chunk: Chunk, labeler: RecordingLabeler, turn: threading.Lock) -> None:
        super().__init__(labeler)
        self._chunk, self._turn = chunk, turn
        self.contents: dict[int, str] = {}

    def prepare(self, recording: Recording) -> PreparedRecording:
        started = time.perf_counter()
        self.contents[recording.id] = recording.content
        try:
            return super().prepare(recording)
        finally:
            self._chunk.count(prepare_s=time.perf_counter() - started)

    def label(self, batch: Sequence[PreparedRecording]) -> list[LabeledRecording]:
        with self._turn:
            started = time.perf_counter()
            try:
                return super().label(batch)
            finally:
                self._chunk.count(model_s=time.perf_counter() - started)


class _ResultReporter:
    """Tells `tell` what a run reports."""

    def __init__(self, chunk: Chunk, tell: Tell, timed: _TimedLabeler, scores: CarriedScores | None) -> None:
        self._chunk, self._tell, self._timed, self._scores = chunk, tell, timed, scores
        self._skipped: dict[int, str] = {}

    def report_labeled(self, labeled: LabeledRecording) -> None:
        content = self._timed.contents.get(labeled.id, "")
        scored = self._scores.new(content) if self._scores is not None and content else None
        self._chunk.count(recordings=1, windows=labeled.windows, audio_s=labeled.seconds)
        self._tell(RecordingResult(labeled.id, LABELED, "", labeled, self._chunk.entry(labeled.id), scored))

    def report_failed(self, recording_id: int, reason: str) -> None:
        self._chunk.count(recordings=1)
        self._tell(RecordingResult(recording_id, FAILED, reason))

    def report_skipped(self, recording_id: int, reason: str) -> None:
        self._chunk.count(recordings=1)
        self._skipped[recording_id] = reason  # which of two kinds it is, the summary says

    def report_batch(self, recordings: int, windows: int, startup_s: float) -> None:
        self._chunk.batch(recordings, windows)

    def end(self, summary: Summary) -> None:
        """The run is over."""
        done = set(summary.done)
        for recording_id, reason in self._skipped.items():
            self._tell(RecordingResult(recording_id, DONE if recording_id in done else SKIPPED, reason))
