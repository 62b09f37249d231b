"""Many recordings: fetch ahead, batch, label, write, count. Knows neither Studio nor folders.

Three stages overlap: threads fetch and prepare recordings ahead of the model, the calling thread runs the model on
groups of them, and threads write what was labelled. Whatever goes wrong with one recording is caught here, counted
and reported, and the others go on. Results are reported in the order of the ids.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

from block.ahead import THREADS, ahead
from block.labeler import Labeler, Prepared
from block.recording import LabeledRecording, Recording, RecordingError, RecordingSkipped, RunEnded

WRITES_PENDING = 16


class Source(Protocol):
    """Where recordings come from. `fetch` is called from several threads."""

    def fetch(self, recording_id: int) -> Recording:
        """The recording. Raises RecordingError, RecordingSkipped or RunEnded."""
        ...


class Sink(Protocol):
    """Where labels go. Both methods are called from several threads, once a recording."""

    def write(self, labeled: LabeledRecording) -> None:
        """Keep the labels of a recording. Raises RecordingError or RunEnded."""
        ...

    def give_up(self, recording_id: int) -> None:
        """A recording that was fetched, or tried, gets no labels. Raises RecordingError or RunEnded."""
        ...


class Reporter(Protocol):
    """Is told what became of each recording, from the thread that runs, in the order of the ids."""

    def labeled(self, labeled: LabeledRecording) -> None: ...
    def failed(self, recording_id: int, reason: str) -> None: ...
    def skipped(self, recording_id: int, reason: str) -> None: ...
    def batch_done(self, recordings: int, windows: int) -> None: ...


@dataclass
class Summary:
    """What became of a run. Each id is in exactly one of `labeled`, `failed`, `skipped` and `not_reached`."""

    labeled: list[int] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)
    skipped: list[int] = field(default_factory=list)
    not_reached: list[int] = field(default_factory=list)
    ended: str = ""
    cancelled: bool = False

    @property
    def unlabeled(self) -> list[int]:
        """The ids to name in another run."""
        return self.failed + self.not_reached


@dataclass(frozen=True)
class _Writing:
    """A recording on its way out: `labeled` if it has labels, else the reason why it has none."""

    recording_id: int
    labeled: LabeledRecording | None
    reason: str
    skipped: bool
    future: Future[None]


class Run:
    """One pass over `ids`."""

    def __init__(self, source: Source, sink: Sink, labeler: Labeler, reporter: Reporter) -> None:
        self.source = source
        self.sink = sink
        self.labeler = labeler
        self.reporter = reporter
        self.summary = Summary()
        self._writing: deque[_Writing] = deque()

    def label(self, ids: Sequence[int]) -> Summary:
        """Label the recordings `ids`, which are distinct. Never raises for what happens to a recording."""
        fetchers = ThreadPoolExecutor(THREADS, thread_name_prefix="fetch")
        writers = ThreadPoolExecutor(THREADS, thread_name_prefix="write")
        try:
            for group in self._groups(ids, fetchers, writers):
                self._label_group(group, writers)
            self._settle(0)
        except RunEnded as error:
            self.summary.ended = str(error)
        except KeyboardInterrupt:
            self.summary.cancelled = True
        fetchers.shutdown(wait=False, cancel_futures=True)
        self._finish_writing()
        writers.shutdown(wait=False, cancel_futures=True)
        reached = {*self.summary.labeled, *self.summary.failed, *self.summary.skipped}
        self.summary.not_reached = [recording_id for recording_id in ids if recording_id not in reached]
        return self.summary

    def _fetch(self, recording_id: int) -> Prepared:
        return self.labeler.prepare(self.source.fetch(recording_id))

    def _groups(
        self, ids: Sequence[int], fetchers: ThreadPoolExecutor, writers: ThreadPoolExecutor
    ) -> Iterator[list[Prepared]]:
        """Recordings in order, as many together as fill a batch. The same for every run over the same ids."""
        group: list[Prepared] = []
        pieces = 0
        for recording_id, fetched in ahead(self._fetch, ids, lambda prepared: prepared.size_bytes, fetchers):
            try:
                prepared = fetched.result()
            except RecordingSkipped as reason:
                self._give_up(recording_id, str(reason), writers, skipped=True)
            except RunEnded:
                # What was fetched before stays worth labelling: try, then end.
                if group:
                    yield group
                raise
            except Exception as error:
                self._give_up(recording_id, _reason(error), writers)
            else:
                if group and pieces + len(prepared.pieces) > self.labeler.fill:
                    yield group
                    group, pieces = [], 0
                group.append(prepared)
                pieces += len(prepared.pieces)
        if group:
            yield group

    def _label_group(self, group: list[Prepared], writers: ThreadPoolExecutor) -> None:
        try:
            labeled = self.labeler.label(group)
        except Exception as error:
            if len(group) == 1:
                self._give_up(group[0].recording_id, _reason(error), writers)
                return
            # One of them spoiled the batch: alone, each shows whether it was the one.
            for prepared in group:
                self._label_group([prepared], writers)
            return
        for one in labeled:
            self._send(writers.submit(self.sink.write, one), one.id, labeled=one)
        self.reporter.batch_done(len(labeled), sum(one.windows for one in labeled))

    def _give_up(self, recording_id: int, reason: str, writers: ThreadPoolExecutor, skipped: bool = False) -> None:
        self._send(writers.submit(self.sink.give_up, recording_id), recording_id, reason=reason, skipped=skipped)

    def _send(
        self,
        future: Future[None],
        recording_id: int,
        labeled: LabeledRecording | None = None,
        reason: str = "",
        skipped: bool = False,
    ) -> None:
        self._writing.append(_Writing(recording_id, labeled, reason, skipped, future))
        self._settle(WRITES_PENDING)

    def _settle(self, pending: int) -> None:
        """Report the oldest writes: those that are done, and as many more as leave `pending`."""
        while self._writing and (len(self._writing) > pending or self._writing[0].future.done()):
            # Left in place until it is known, so that an interruption here loses nothing.
            writing = self._writing[0]
            try:
                writing.future.result()
                problem = ""
            except RunEnded:
                raise
            except Exception as error:
                problem = _reason(error)
            self._writing.popleft()
            self._count(writing, problem)

    def _count(self, writing: _Writing, problem: str) -> None:
        if writing.labeled is not None and not problem:
            self.summary.labeled.append(writing.recording_id)
            self.reporter.labeled(writing.labeled)
        elif writing.skipped and not problem:
            self.summary.skipped.append(writing.recording_id)
            self.reporter.skipped(writing.recording_id, writing.reason)
        else:
            # Why a recording has no labels is worth more than why that could not be written down.
            self.summary.failed.append(writing.recording_id)
            self.reporter.failed(writing.recording_id, writing.reason or problem)

    def _finish_writing(self) -> None:
        """Once the run is over, for whatever reason: take the word of the writes that were under way."""
        while self._writing:
            writing = self._writing.popleft()
            try:
                writing.future.result()
                problem = ""
            except RunEnded as error:
                self.summary.ended = self.summary.ended or str(error)
                problem = str(error)
            except KeyboardInterrupt:
                self.summary.cancelled = True
                return
            except Exception as error:
                problem = _reason(error)
            self._count(writing, problem)


def _reason(error: BaseException) -> str:
    """Why a recording failed. An error that no room foresaw is named with its type: somebody has to look for it."""
    if isinstance(error, RecordingError):
        return str(error)
    return f"unexpected {type(error).__name__}: {error}"
