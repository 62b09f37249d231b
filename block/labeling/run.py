"""Label many recordings: prefetch, batch, label, write and count. This module knows neither Edge Impulse nor folders.

Three stages overlap: several threads fetch and prepare recordings, one thread runs the model on groups of them, and
several threads write labels. The calling thread only waits for these, so that it can be interrupted at any time. If
anything goes wrong with a recording, it is caught here, counted and reported, and the others continue. Results are
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
from block.labeling.prefetch import MemoryBudget, prefetch
from block.model.checkpoint import CheckpointError
from block.recording import (
    LabeledRecording,
    RecordingDone,
    RecordingError,
    RecordingForbidden,
    RecordingLost,
    RecordingSkipped,
    RunEnded,
    find_recording_name,
    name_errors,
)
from block.runtime import cancel
from block.runtime.limits import THREADS
from block.settings import EXACT, SettingsError
from block.windows import PreparedRecording

WRITES_PENDING = 16
FORBIDDEN_IN_A_ROW = 3
LOST_IN_A_ROW = 8  # each after five tries, so the cause is the network or the server, not a recording
# Memory for fetching a recording: 2 bytes in the file (16 bits, one channel), and float32 values at the model's rate,
# two per value if it was recorded at 8 kHz. At 16 kHz and above, this leaves room for a second channel.
BYTES_PER_VALUE = 2 + 2 * 4
GROUP_RECORDINGS, GROUP_BYTES = 64, 64 << 20
FINISH_CANCELED_S, FINISH_ENDED_S = 3.5, 60.0

Group = dict[int, PreparedRecording | Exception]  # recordings by id, or why one could not be fetched


@dataclass(frozen=True)
class _PendingWrite:
    """A recording that is being written, with its labels or the reason it has none."""

    recording_id: int
    name: str
    outcome: LabeledRecording | Exception
    future: Future[None]


class Run:
    """One pass over recordings. `stop` is set when the run ends, so that sources and sinks don't wait and retry."""

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
        self._budget = MemoryBudget()
        self._pending: deque[_PendingWrite] = deque()
        self._forbidden = self._lost = 0  # in a row
        self._model = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._fetchers = ThreadPoolExecutor(THREADS, thread_name_prefix="fetch")
        self._writers = ThreadPoolExecutor(THREADS, thread_name_prefix="write")

    def label(self, ids: Sequence[int]) -> Summary:
        """Label the recordings `ids`, which are distinct. Never raise because of a single recording.

        Raise CheckpointError or SettingsError if the model can't be loaded and nothing has been labeled without it.
        """
        summary = self.summary
        model_error: Exception | None = None
        try:
            for group in self._fetch_groups(ids):
                self._label_group(group)
            self._count_writes(leave=0)
        except RunEnded as error:
            summary.end_reason = str(error)
        except KeyboardInterrupt:
            summary.canceled = True
        except (CheckpointError, SettingsError) as error:
            summary.end_reason, model_error = str(error), error
        except Exception as error:
            summary.end_reason = _describe_error(error)
        with cancel.defer():
            self._shut_down(ended_early=summary.canceled or bool(summary.end_reason))
        if model_error is not None and not summary.labeled and not summary.done:
            raise model_error
        reached = {*summary.labeled, *summary.failed, *summary.skipped, *summary.done}
        summary.not_reached = [recording_id for recording_id in ids if recording_id not in reached]
        return summary

    def _shut_down(self, ended_early: bool) -> None:
        """End the threads. If the run ended early, some may still be busy: count the writes that finish soon."""
        if ended_early:
            self.stop.set()
        self._budget.close()
        self._model.shutdown(wait=False, cancel_futures=True)
        self._fetchers.shutdown(wait=False, cancel_futures=True)
        if ended_early:
            self._await_writes(FINISH_CANCELED_S if self.summary.canceled else FINISH_ENDED_S)
        self._writers.shutdown(wait=False, cancel_futures=True)

    def _fetch(self, recording_id: int, reserve: Callable[[int], None]) -> PreparedRecording:
        with self._stop_if_ended():
            recording = self.source.fetch(recording_id, lambda values: reserve(values * BYTES_PER_VALUE))
        with name_errors(recording.name):
            return self.labeler.prepare(recording)

    def _write(self, labeled: LabeledRecording) -> None:
        with self._stop_if_ended():
            self.sink.write(labeled)

    @contextmanager
    def _stop_if_ended(self) -> Iterator[None]:
        """Set `stop` as soon as one thread learns that the run is over, so that others don't wait and retry."""
        try:
            yield
        except RunEnded:
            self.stop.set()
            raise

    def _fetch_groups(self, ids: Sequence[int]) -> Iterator[Group]:
        """Yield recordings in order, in groups that fill a batch. Every run over the same ids gets the same groups."""
        group: Group = {}
        for recording_id, fetched in prefetch(self._fetch, ids, self._fetchers, self._budget):
            try:
                prepared = fetched.result()
            except RunEnded:
                # Recordings fetched before are still worth labeling.
                if group:
                    yield group
                raise
            except Exception as error:
                group[recording_id] = error
                # Several failures in a row may end the run, so don't wait for the batch to fill up.
                if all(isinstance(one, Exception) for one in list(group.values())[-FORBIDDEN_IN_A_ROW:]):
                    yield group
                    group = {}
                continue
            if group and not self._has_room(group, prepared):
                yield group
                group = {}
            group[recording_id] = prepared
        if group:
            yield group

    def _has_room(self, group: Group, another: PreparedRecording) -> bool:
        together = [*_prepared_in(group), another]
        return (
            sum(len(prepared.chunks) for prepared in together) <= self.labeler.batch_windows
            and sum(prepared.size_bytes for prepared in together) <= GROUP_BYTES
            and len(group) < max(GROUP_RECORDINGS, self.labeler.batch_windows)
        )

    def _label_group(self, group: Group) -> None:
        outcomes = self._run_model(_prepared_in(group))
        for recording_id, fetched in group.items():
            outcome = fetched if isinstance(fetched, Exception) else outcomes[recording_id]
            name = find_recording_name(fetched) if isinstance(fetched, Exception) else fetched.name
            if isinstance(outcome, Exception):
                future = self._writers.submit(self.sink.give_up, recording_id)
            else:
                future = self._writers.submit(self._write, outcome)
            self._pending.append(_PendingWrite(recording_id, name, outcome, future))
            self._count_writes(leave=WRITES_PENDING)

    def _run_model(self, batch: list[PreparedRecording]) -> dict[int, LabeledRecording | Exception]:
        """Return the labels of each recording by its id, or why it has none."""
        if not batch:
            return {}
        try:
            # In another thread: a forward pass takes seconds, and this thread has to notice signals.
            labeled = cancel.wait_for(self._model.submit(self.labeler.label, batch)).result()
        except (RunEnded, CheckpointError, SettingsError):
            raise  # no recording's fault
        except Exception as error:
            if len(batch) == 1:
                return {batch[0].recording_id: error}
            # One recording made the batch fail. If labeled one by one, the others succeed.
            return {id_: outcome for prepared in batch for id_, outcome in self._run_model([prepared]).items()}
        self.reporter.report_batch(len(labeled), sum(one.windows for one in labeled), self.labeler.startup_s)
        return {one.id: one for one in labeled}

    def _count_writes(self, leave: int) -> None:
        """Count the oldest writes that are done, and wait for more of them until at most `leave` are pending."""
        while self._pending and (len(self._pending) > leave or self._pending[0].future.done()):
            # Remove it only once its result is known, so that an interruption here loses nothing.
            error = cancel.wait_for(self._pending[0].future).exception()
            self._count(self._pending.popleft(), error)
            if isinstance(error, RunEnded):
                raise error
            if self._forbidden >= FORBIDDEN_IN_A_ROW:
                raise RunEnded(
                    f"{self._forbidden} recordings in a row were refused with HTTP 403; check the API key's permissions"
                )
            # If `stop` is set, recordings are lost because of it, and the error that set it is still to come.
            if self._lost >= LOST_IN_A_ROW and not self.stop.is_set():
                raise RunEnded(f"{self._lost} recordings in a row were lost to the network or the server")

    def _count(self, write: _PendingWrite, write_error: BaseException | None) -> None:
        recording_id, outcome = write.recording_id, write.outcome
        errors = [error for error in (outcome, write_error) if isinstance(error, BaseException)]
        self._forbidden = self._forbidden + 1 if any(isinstance(e, RecordingForbidden) for e in errors) else 0
        self._lost = self._lost + 1 if any(isinstance(e, RecordingLost) for e in errors) else 0
        if isinstance(outcome, LabeledRecording) and write_error is None:
            self.summary.labeled.append(recording_id)
            self.reporter.report_labeled(outcome)
        elif isinstance(outcome, RecordingSkipped) and write_error is None:
            counted = self.summary.done if isinstance(outcome, RecordingDone) else self.summary.skipped
            counted.append(recording_id)
            if isinstance(outcome, RecordingDone) and outcome.mode != EXACT:
                self.summary.fast_done.append(recording_id)
            self.reporter.report_skipped(recording_id, str(outcome))
        else:
            reasons = dict.fromkeys(_describe_error(error) for error in errors)
            self.summary.failed.append(recording_id)
            self.reporter.report_failed(
                recording_id, "; proposing it without changes failed, too: ".join(reasons), write.name
            )

    def _await_writes(self, timeout_s: float) -> None:
        """Count the pending writes. Those that aren't done within `timeout_s` seconds in total have failed."""
        deadline = time.monotonic() + timeout_s
        while self._pending:
            write = self._pending.popleft()
            try:
                wait([write.future], timeout=max(0.0, deadline - time.monotonic()))
            except KeyboardInterrupt:
                self.summary.canceled = True
                deadline = 0.0
            done = write.future.done()
            error = write.future.exception() if done else RecordingError("the run ended before its labels were written")
            self._count(write, error)


def _prepared_in(group: Group) -> list[PreparedRecording]:
    return [one for one in group.values() if isinstance(one, PreparedRecording)]


def _describe_error(error: BaseException) -> str:
    """Return why a recording failed. Unexpected errors include the type, so that someone can search for it."""
    if isinstance(error, (RecordingError, RecordingSkipped, RunEnded)):
        return str(error)
    if isinstance(error, MemoryError):
        return f"not enough memory for the recording: {error or 'no details available'}"
    return f"unexpected {type(error).__name__}: {error}"
