"""Label many recordings: prefetch, batch, label, write and count. This module knows neither Edge Impulse nor folders.

Three stages overlap: several threads fetch and prepare recordings, one thread (two with a GPU) runs the model on groups
of them, and several threads write labels. The calling thread only waits for these, so that it can be interrupted at any
time. If anything goes wrong with a recording, it is caught here, counted and reported, and the others continue. If
fetching or writing one stalls, the others pass it. Results are counted and reported in the order of the ids, except
that recordings that stalled come later.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial

from block.labeling.interfaces import Batch, RecordingLabeler, Reporter, Sink, Source, Summary
from block.labeling.patient_pool import PATIENT, Patience, PatientPool
from block.labeling.prefetch import MemoryBudget, prefetch, start_ahead
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

# Writing a recording takes several requests, one after the other, so this hides their latency.
WRITES_AT_ONCE = 8
WRITES_PENDING = 32  # those under way included
FORBIDDEN_IN_A_ROW = 3
LOST_IN_A_ROW = 8  # each after five tries, so the cause is the network or the server, not a recording
# Memory for fetching a recording: 2 bytes in the file (16 bits, one channel), and float32 values at the model's rate,
# two per value if it was recorded at 8 kHz. At 16 kHz and above, this leaves room for a second channel.
BYTES_PER_VALUE = 2 + 2 * 4
GROUP_RECORDINGS, GROUP_BYTES = 64, 64 << 20
FINISH_CANCELED_S, FINISH_ENDED_S = 3.5, 60.0

Group = dict[int, PreparedRecording | Exception]  # recordings by id, or why one could not be fetched
Labels = Future[list[LabeledRecording]] | None  # to come; None for a group without recordings


@dataclass(frozen=True)
class _Outcome:
    """The labels of a recording, or the reason it has none. This is written, or a note that it gets no labels."""

    recording_id: int
    name: str
    result: LabeledRecording | Exception


class Run:
    """One pass over recordings. `stop` is set when the run ends, so that sources and sinks don't wait and retry.

    `patience` says when a recording that is fetched or written has stalled. Up to `batches_at_once` batches overlap.
    """

    def __init__(
        self,
        source: Source,
        sink: Sink,
        labeler: RecordingLabeler,
        reporter: Reporter,
        stop: threading.Event | None = None,
        patience: Patience = PATIENT,
        batches_at_once: int = 1,
    ) -> None:
        self.source = source
        self.sink = sink
        self.labeler = labeler
        self.reporter = reporter
        self.stop = stop or threading.Event()
        self.summary = Summary()
        self._budget = MemoryBudget()
        self._forbidden = self._lost = 0  # in a row
        self._batches_at_once = batches_at_once
        self._model = ThreadPoolExecutor(batches_at_once, thread_name_prefix="model")
        self._fetchers: PatientPool[int, PreparedRecording] = PatientPool(
            THREADS, "fetch", patience, self._budget.set_aside
        )
        self._writers: PatientPool[_Outcome, LabeledRecording | None] = PatientPool(WRITES_AT_ONCE, "write", patience)

    def label(self, ids: Sequence[int]) -> Summary:
        """Label the recordings `ids`, which are distinct. Never raise because of a single recording.

        Raise CheckpointError or SettingsError if the model can't be loaded and nothing has been labeled without it.
        """
        summary = self.summary
        model_error: Exception | None = None
        try:
            for group, coming in start_ahead(self._start_group, self._fetch_groups(ids), self._batches_at_once):
                self._label_group(group, coming)
            while not self._writers.is_empty:
                self._count_next_write()
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
        self._fetchers.close()
        if ended_early:
            self._await_writes(FINISH_CANCELED_S if self.summary.canceled else FINISH_ENDED_S)
        self._writers.close()

    def _fetch(self, recording_id: int, reserve: Callable[[int], None]) -> PreparedRecording:
        with self._stop_if_ended():
            recording = self.source.fetch(recording_id, lambda values: reserve(values * BYTES_PER_VALUE))
        with name_errors(recording.name):
            return self.labeler.prepare(recording)

    def _write(self, recording_id: int, outcome: LabeledRecording | Exception) -> LabeledRecording | None:
        """Return the labels that were stored, or None for a recording without labels."""
        with self._stop_if_ended():
            if isinstance(outcome, LabeledRecording):
                return self.sink.write(outcome)
            self.sink.give_up(recording_id)
            return None

    @contextmanager
    def _stop_if_ended(self) -> Iterator[None]:
        """Set `stop` as soon as one thread learns that the run is over, so that others don't wait and retry."""
        try:
            yield
        except RunEnded:
            self.stop.set()
            raise

    def _fetch_groups(self, ids: Sequence[int]) -> Iterator[Group]:
        """Yield recordings in order, in groups that fill a batch.

        Every run over the same ids gets the same groups, unless fetching one stalls. If only stalled ones are left,
        yield incomplete and empty groups.
        """
        group: Group = {}
        for fetched in prefetch(self._fetch, ids, self._fetchers, self._budget):
            if fetched is None:
                yield group
                group = {}
                continue
            recording_id, future = fetched
            try:
                prepared = future.result()
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

    def _start_group(self, group: Group) -> Labels:
        # In another thread: a forward pass takes seconds, and this thread has to notice signals.
        return self._model.submit(self.labeler.label, batch) if (batch := _prepared_in(group)) else None

    def _label_group(self, group: Group, coming: Labels) -> None:
        labeled = self._run_model(_prepared_in(group), coming)
        # Several of these in a row end the run, so find out about the writes before them.
        may_end = bool(group) and all(isinstance(one, (RecordingForbidden, RecordingLost)) for one in group.values())
        most_pending = 0 if may_end else WRITES_PENDING
        for recording_id, fetched in group.items():
            result = fetched if isinstance(fetched, Exception) else labeled[recording_id]
            name = find_recording_name(fetched) if isinstance(fetched, Exception) else fetched.name
            self._writers.submit(_Outcome(recording_id, name, result), partial(self._write, recording_id, result))
            while len(self._writers) > most_pending:
                self._count_next_write()
        while self._count_next_write(wait=False):
            pass  # count what is done already

    def _run_model(self, batch: list[PreparedRecording], coming: Labels) -> dict[int, LabeledRecording | Exception]:
        """Return the labels of each recording by its id, or why it has none."""
        if coming is None:
            return {}
        try:
            labeled = cancel.wait_for(coming).result()
        except (RunEnded, CheckpointError, SettingsError):
            raise  # no recording's fault
        except Exception as error:
            if len(batch) == 1:
                return {batch[0].recording_id: error}
            # One recording made the batch fail. If labeled one by one, the others succeed.
            alone = (self._run_model([one], self._start_group({one.recording_id: one})) for one in batch)
            return {id_: outcome for outcomes in alone for id_, outcome in outcomes.items()}
        self.reporter.report_batch(Batch.of(labeled), self.labeler.startup_s)
        return {one.id: one for one in labeled}

    def _count_next_write(self, wait: bool = True) -> bool:
        """Count the next write that is done, if there is one. With `wait`, wait for it a moment."""
        task = self._writers.take(wait)
        if task is None:
            return False
        error = task.future.exception()
        self._count(task.key, None if error else task.future.result(), error)
        if isinstance(error, RunEnded):
            raise error
        if self._forbidden >= FORBIDDEN_IN_A_ROW:
            raise RunEnded(
                f"{self._forbidden} recordings in a row were refused with HTTP 403; check the API key's permissions"
            )
        # If `stop` is set, recordings are lost because of it, and the error that set it is still to come.
        if self._lost >= LOST_IN_A_ROW and not self.stop.is_set():
            raise RunEnded(f"{self._lost} recordings in a row were lost to the network or the server")
        return True

    def _count(self, outcome: _Outcome, written: LabeledRecording | None, write_error: BaseException | None) -> None:
        recording_id, result = outcome.recording_id, outcome.result
        if isinstance(write_error, RecordingSkipped):  # only the last look at the recording showed this
            result, write_error = write_error, None
        errors = [error for error in (result, write_error) if isinstance(error, BaseException)]
        self._forbidden = self._forbidden + 1 if any(isinstance(e, RecordingForbidden) for e in errors) else 0
        self._lost = self._lost + 1 if any(isinstance(e, RecordingLost) for e in errors) else 0
        if written is not None:
            self.summary.labeled.append(recording_id)
            self.reporter.report_labeled(written)
        elif isinstance(result, RecordingSkipped) and write_error is None:
            counted = self.summary.done if isinstance(result, RecordingDone) else self.summary.skipped
            counted.append(recording_id)
            if isinstance(result, RecordingDone) and result.mode != EXACT:
                self.summary.fast_done.append(recording_id)
            self.reporter.report_skipped(recording_id, str(result))
        else:
            reasons = dict.fromkeys(_describe_error(error) for error in errors)
            self.summary.failed.append(recording_id)
            self.reporter.report_failed(
                recording_id, "; proposing it without changes failed, too: ".join(reasons), outcome.name
            )

    def _await_writes(self, timeout_s: float) -> None:
        """Count the pending writes. Those that aren't done within `timeout_s` seconds in total have failed."""
        deadline = time.monotonic() + timeout_s
        for task in self._writers.take_all():
            try:
                wait([task.future], timeout=max(0.0, deadline - time.monotonic()))
            except KeyboardInterrupt:
                self.summary.canceled = True
                deadline = 0.0
            done = task.future.done()
            error = task.future.exception() if done else RecordingError("the run ended before its labels were written")
            with suppress(Exception):  # of the reporter; the run has ended, and the other writes still count
                self._count(task.key, None if error else task.future.result(), error)


def _prepared_in(group: Group) -> list[PreparedRecording]:
    return [one for one in group.values() if isinstance(one, PreparedRecording)]


def _describe_error(error: BaseException) -> str:
    """Return why a recording failed. Unexpected errors include the type, so that someone can search for it."""
    if isinstance(error, (RecordingError, RecordingSkipped, RunEnded)):
        return str(error)
    if isinstance(error, MemoryError):
        return f"not enough memory for the recording: {error or 'no details available'}"
    return f"unexpected {type(error).__name__}: {error}"
