"""Many recordings: fetch ahead, batch, label, write, count. Knows neither Studio nor folders.

Three stages overlap: threads fetch and prepare recordings ahead of the model, one thread runs the model on groups of
them, and threads write what was labelled. The calling thread waits for them, so that it can be interrupted at any
time. Whatever goes wrong with one recording is caught here, counted and reported, and the others go on. Results are
counted and reported in the order of the ids.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass

from block.labeling.interfaces import RecordingLabeler, Reporter, Sink, Source, Summary
from block.labeling.prefetch import Budget, ahead
from block.recording import (
    LabeledRecording,
    RecordingDone,
    RecordingError,
    RecordingForbidden,
    RecordingLost,
    RecordingSkipped,
    RunEnded,
)
from block.runtime import cancel
from block.runtime.limits import THREADS
from block.windows import Prepared

WRITES_PENDING = 16
FORBIDDEN_IN_A_ROW = 3
LOST_IN_A_ROW = 8  # each after five tries: that is the network's state, or the server's, and no recording's
# While it is fetched: 2 bytes in the file (16 bits, one channel), and float32 values at the model's rate, two for each
# that was recorded at 8 kHz. At 16 kHz and above, that leaves room for a second channel.
BYTES_PER_VALUE = 2 + 2 * 4
GROUP_RECORDINGS, GROUP_BYTES = 64, 64 << 20
FINISH_CANCELLED_S, FINISH_ENDED_S = 3.5, 60.0


@dataclass(frozen=True)
class _FetchFailure:
    """A recording that could not be had, and why."""

    recording_id: int
    cause: Exception


@dataclass(frozen=True)
class _PendingWrite:
    """A recording on its way out: `labeled` if it has labels, else `cause`, why it has none."""

    recording_id: int
    future: Future[None]
    labeled: LabeledRecording | None = None
    cause: Exception | None = None


class Run:
    """One pass over recordings. `stop` is set once the run is over, for sources and sinks that would wait and retry."""

    def __init__(
        self,
        source: Source,
        sink: Sink,
        labeler: RecordingLabeler,
        reporter: Reporter,
        stop: threading.Event | None = None,
    ) -> None:
        self.source = source
        self.sink = sink
        self.labeler = labeler
        self.reporter = reporter
        self.stop = stop or threading.Event()
        self.summary = Summary()
        self._budget = Budget()
        self._writing: deque[_PendingWrite] = deque()
        self._forbidden = self._lost = 0
        self._model = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._fetchers = ThreadPoolExecutor(THREADS, thread_name_prefix="fetch")
        self._writers = ThreadPoolExecutor(THREADS, thread_name_prefix="write")

    def label(self, ids: Sequence[int]) -> Summary:
        """Label the recordings `ids`, which are distinct. Never raises for what happens to a recording."""
        try:
            for group in self._groups(ids):
                self._label_group(group)
            self._settle(0)
        except RunEnded as error:
            self.summary.ended = str(error)
        except KeyboardInterrupt:
            self.summary.cancelled = True
        except Exception as error:
            self.summary.ended = _reason(error)
        with cancel.defer():
            self._end(self.summary.cancelled or bool(self.summary.ended))
        summary = self.summary
        reached = {*summary.labeled, *summary.failed, *summary.skipped, *summary.done}
        summary.not_reached = [recording_id for recording_id in ids if recording_id not in reached]
        return summary

    def _end(self, over_early: bool) -> None:
        """Let go of the threads; where the run is `over_early`, they may be in the middle of something."""
        if over_early:
            self.stop.set()
        self._budget.end()
        self._model.shutdown(wait=False, cancel_futures=True)
        self._fetchers.shutdown(wait=False, cancel_futures=True)
        if over_early:
            self._finish_writing(FINISH_CANCELLED_S if self.summary.cancelled else FINISH_ENDED_S)
        self._writers.shutdown(wait=False, cancel_futures=True)

    def _fetch(self, recording_id: int, reserve: Callable[[int], None]) -> Prepared:
        with self._end_at_once():
            recording = self.source.fetch(recording_id, lambda values: reserve(values * BYTES_PER_VALUE))
        return self.labeler.prepare(recording)

    def _write(self, labeled: LabeledRecording) -> None:
        with self._end_at_once():
            self.sink.write(labeled)

    @contextmanager
    def _end_at_once(self) -> Iterator[None]:
        """In a thread that learns that the run is over: the others need not wait and retry until it is its turn."""
        try:
            yield
        except RunEnded:
            self.stop.set()
            raise

    def _groups(self, ids: Sequence[int]) -> Iterator[list[Prepared | _FetchFailure]]:
        """Recordings in order, as many together as fill a batch. The same for every run over the same ids."""
        group: list[Prepared | _FetchFailure] = []
        for recording_id, fetched in ahead(self._fetch, ids, self._fetchers, self._budget):
            try:
                prepared = fetched.result()
            except RunEnded:
                # What was fetched before stays worth labelling: try, then end.
                if group:
                    yield group
                raise
            except Exception as error:
                group.append(_FetchFailure(recording_id, error))
                # Nobody waits for bad news behind good recordings that would fill up a batch.
                if all(isinstance(one, _FetchFailure) for one in group[-FORBIDDEN_IN_A_ROW:]):
                    yield group
                    group = []
                continue
            if group and not self._fits(group, prepared):
                yield group
                group = []
            group.append(prepared)
        if group:
            yield group

    def _fits(self, group: Sequence[Prepared | _FetchFailure], another: Prepared) -> bool:
        together = [*(one for one in group if isinstance(one, Prepared)), another]
        return (
            sum(len(prepared.pieces) for prepared in together) <= self.labeler.batch_windows
            and sum(prepared.size_bytes for prepared in together) <= GROUP_BYTES
            and len(group) < max(GROUP_RECORDINGS, self.labeler.batch_windows)
        )

    def _label_group(self, group: Sequence[Prepared | _FetchFailure]) -> None:
        labeled = self._labels([one for one in group if isinstance(one, Prepared)])
        for one in group:
            outcome = one.cause if isinstance(one, _FetchFailure) else labeled[one.recording_id]
            if isinstance(outcome, LabeledRecording):
                writing = _PendingWrite(one.recording_id, self._writers.submit(self._write, outcome), labeled=outcome)
            else:
                future = self._writers.submit(self.sink.give_up, one.recording_id)
                writing = _PendingWrite(one.recording_id, future, cause=outcome)
            self._writing.append(writing)
            self._settle(WRITES_PENDING)

    def _labels(self, batch: list[Prepared]) -> dict[int, LabeledRecording | Exception]:
        """What the model makes of each recording, by id: its labels, or why it has none."""
        if not batch:
            return {}
        try:
            # In a thread of its own: a forward pass takes seconds, and a signal is heard between them.
            labeled = cancel.wait_for(self._model.submit(self.labeler.label, batch)).result()
        except RunEnded:
            raise
        except Exception as error:
            if len(batch) == 1:
                return {batch[0].recording_id: error}
            # One of them spoiled the batch: alone, each shows whether it was the one.
            return {id_: outcome for prepared in batch for id_, outcome in self._labels([prepared]).items()}
        self.reporter.batch_done(len(labeled), sum(one.windows for one in labeled), self.labeler.startup_s)
        return {one.id: one for one in labeled}

    def _settle(self, pending: int) -> None:
        """Count the oldest writes: those that are done, and as many more as leave `pending`."""
        while self._writing and (len(self._writing) > pending or self._writing[0].future.done()):
            # Left in place until it is known, so that an interruption here loses nothing.
            problem = cancel.wait_for(self._writing[0].future).exception()
            self._count(self._writing.popleft(), problem)
            if isinstance(problem, RunEnded):
                raise problem
            if self._forbidden >= FORBIDDEN_IN_A_ROW:
                raise RunEnded(f"{self._forbidden} recordings in a row were refused with HTTP 403")
            # Once a thread has learned why the run is over, others are lost by that: it is yet to be told.
            if self._lost >= LOST_IN_A_ROW and not self.stop.is_set():
                raise RunEnded(f"{self._lost} recordings in a row were lost to the network or the server")

    def _count(self, writing: _PendingWrite, problem: BaseException | None) -> None:
        causes = [error for error in (writing.cause, problem) if error is not None]
        self._forbidden = self._forbidden + 1 if any(isinstance(e, RecordingForbidden) for e in causes) else 0
        self._lost = self._lost + 1 if any(isinstance(e, RecordingLost) for e in causes) else 0
        if writing.labeled is not None and problem is None:
            self.summary.labeled.append(writing.recording_id)
            self.reporter.labeled(writing.labeled)
        elif isinstance(writing.cause, RecordingSkipped) and problem is None:
            counted = self.summary.done if isinstance(writing.cause, RecordingDone) else self.summary.skipped
            counted.append(writing.recording_id)
            self.reporter.skipped(writing.recording_id, str(writing.cause))
        else:
            reasons = dict.fromkeys(_reason(error) for error in causes)
            self.summary.failed.append(writing.recording_id)
            self.reporter.failed(writing.recording_id, "; and that could not be proposed: ".join(reasons))

    def _finish_writing(self, patience_s: float) -> None:
        """The run is over early: take the word of the writes under way, for at most `patience_s` seconds."""
        deadline = time.monotonic() + patience_s
        while self._writing:
            writing = self._writing.popleft()
            try:
                wait([writing.future], timeout=max(0.0, deadline - time.monotonic()))
            except KeyboardInterrupt:
                self.summary.cancelled = True
                deadline = 0.0
            done = writing.future.done()
            problem = writing.future.exception() if done else RecordingError("it was being written when the run ended")
            self._count(writing, problem)


def _reason(error: BaseException) -> str:
    """Why a recording failed. An error that no room foresaw is named with its type: somebody has to look for it."""
    if isinstance(error, (RecordingError, RecordingSkipped, RunEnded)):
        return str(error)
    if isinstance(error, MemoryError):
        return f"there is not enough memory for it: {error or 'no further word'}"
    return f"unexpected {type(error).__name__}: {error}"
