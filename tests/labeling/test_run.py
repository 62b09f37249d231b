from __future__ import annotations

import concurrent.futures
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import pytest

from block.labeling.interfaces import Batch, Summary
from block.labeling.patient_pool import STRICT, Patience
from block.labeling.run import GROUP_RECORDINGS, Run
from block.model.checkpoint import CheckpointError
from block.recording import (
    LabeledRecording,
    Recording,
    RecordingDone,
    RecordingError,
    RecordingForbidden,
    RecordingLost,
    RecordingSkipped,
    RunEnded,
    Segment,
    Window,
)
from block.settings import SettingsError
from block.windows import PreparedRecording, lay_out_windows


@dataclass
class FakeStudio:
    """A source and sink with predefined trouble that records its calls."""

    trouble: dict[int, BaseException] = field(default_factory=dict)
    write_trouble: dict[int, BaseException] = field(default_factory=dict)
    give_up_trouble: dict[int, BaseException] = field(default_factory=dict)
    written: list[int] = field(default_factory=list)
    given_up: list[int] = field(default_factory=list)

    def fetch(self, recording_id: int, expect: Callable[[int], None]) -> Recording:
        expect(16000)
        if recording_id in self.trouble:
            raise self.trouble[recording_id]
        return Recording(recording_id, f"r{recording_id}", 16000, 16000, np.zeros(16000, np.float32))

    def write(self, labeled: LabeledRecording) -> LabeledRecording:
        if labeled.id in self.write_trouble:
            raise self.write_trouble[labeled.id]
        self.written.append(labeled.id)
        return labeled

    def give_up(self, recording_id: int) -> None:
        self.given_up.append(recording_id)
        if recording_id in self.give_up_trouble:
            raise self.give_up_trouble[recording_id]


@dataclass
class FakeLabeler:
    """Two chunks per recording, four per batch. Groups with a poisoned recording fail."""

    poisoned: dict[int, BaseException] = field(default_factory=dict)
    batch_windows: int = 4
    groups: list[list[int]] = field(default_factory=list)
    silent: bool = False
    startup_s: float = 0.0

    def prepare(self, recording: Recording) -> PreparedRecording:
        spans = () if self.silent else (Window(0, 8000), Window(8000, 16000))
        layout = lay_out_windows(16000, 8000, 8000)
        return PreparedRecording(
            recording.id, recording.name, 1.0, Fraction(16000), layout, recording.waveform, spans, (1, 1)
        )  # fmt: skip

    def label(self, batch: list[PreparedRecording]) -> list[LabeledRecording]:
        self.groups.append([prepared.recording_id for prepared in batch])
        for prepared in batch:
            if prepared.recording_id in self.poisoned:
                raise self.poisoned[prepared.recording_id]
        segments = (Segment(0, 16000, "speech", 0.9),)
        return [LabeledRecording(p.recording_id, p.name, 16000, 1.0, segments, 2) for p in batch]


@dataclass
class Told:
    """A reporter that records its calls in order."""

    lines: list[tuple[str, int, str]] = field(default_factory=list)
    batches: list[tuple[int, int]] = field(default_factory=list)

    def report_labeled(self, labeled: LabeledRecording) -> None:
        self.lines.append(("labeled", labeled.id, ""))

    def report_failed(self, recording_id: int, reason: str, name: str = "") -> None:
        self.lines.append(("failed", recording_id, reason))

    def report_skipped(self, recording_id: int, reason: str) -> None:
        self.lines.append(("skipped", recording_id, reason))

    def report_batch(self, batch: Batch, startup_s: float) -> None:
        self.batches.append((len(batch.ids), batch.windows))


def run(studio: FakeStudio, labeler: FakeLabeler, ids: list[int]) -> tuple[Summary, Told]:
    told = Told()
    return Run(studio, studio, labeler, told, patience=STRICT).label(ids), told  # type: ignore[arg-type]


def test_recordings_share_batches_in_order_and_all_are_written() -> None:
    studio, labeler = FakeStudio(), FakeLabeler()
    summary, told = run(studio, labeler, [5, 3, 9, 1, 7])
    assert labeler.groups == [[5, 3], [9, 1], [7]]
    assert summary.labeled == [5, 3, 9, 1, 7]
    assert sorted(studio.written) == [1, 3, 5, 7, 9]
    assert told.batches == [(2, 4), (2, 4), (1, 2)]


@dataclass
class OverlappingLabeler(FakeLabeler):
    """A labeler whose first batch isn't done before the second one has begun."""

    second: threading.Event = field(default_factory=threading.Event)

    def label(self, batch: list[PreparedRecording]) -> list[LabeledRecording]:
        if batch[0].recording_id == 1:
            assert self.second.wait(30)
        else:
            self.second.set()
        return super().label(batch)


def test_two_batches_are_labeled_at_once_and_counted_in_order() -> None:
    studio, told = FakeStudio(), Told()
    labeler = OverlappingLabeler()
    ids = list(range(1, 10))
    summary = Run(studio, studio, labeler, told, batches_at_once=2).label(ids)
    assert summary.labeled == ids
    assert sorted(studio.written) == ids
    assert sorted(labeler.groups) == [[1, 2], [3, 4], [5, 6], [7, 8], [9]]


def test_with_two_batches_at_once_a_failing_recording_is_still_alone_and_what_was_fetched_is_labeled() -> None:
    studio, told = FakeStudio({7: RunEnded("the key has expired")}), Told()
    labeler = FakeLabeler({2: ValueError("poison")})
    summary = Run(studio, studio, labeler, told, batches_at_once=2).label(list(range(1, 10)))
    assert summary.labeled == [1, 3, 4, 5, 6]
    assert summary.failed == [2]
    assert summary.not_reached == [7, 8, 9]
    assert summary.end_reason == "the key has expired"


def test_a_failing_recording_is_reported_and_the_others_continue() -> None:
    studio = FakeStudio(trouble={2: RecordingError("it is empty"), 4: RecordingSkipped("it is disabled")})
    summary, told = run(studio, FakeLabeler(), [1, 2, 3, 4, 5])
    assert (summary.labeled, summary.failed, summary.skipped) == ([1, 3, 5], [2], [4])
    assert sorted(studio.given_up) == [2, 4]
    assert [one for _, one, _ in told.lines] == [1, 2, 3, 4, 5]
    assert ("failed", 2, "it is empty") in told.lines
    assert ("skipped", 4, "it is disabled") in told.lines


def test_an_unexpected_error_fails_only_its_recording_and_names_the_error() -> None:
    studio = FakeStudio(trouble={2: ZeroDivisionError("division by zero")})
    summary, told = run(studio, FakeLabeler(), [1, 2, 3])
    assert (summary.labeled, summary.failed) == ([1, 3], [2])
    assert ("failed", 2, "unexpected ZeroDivisionError: division by zero") in told.lines


def test_a_recording_that_makes_its_batch_fail_is_the_only_one_to_fail() -> None:
    labeler = FakeLabeler(poisoned={2: RecordingError("its scores aren't numbers")})
    summary, told = run(FakeStudio(), labeler, [1, 2, 3, 4])
    assert (summary.labeled, summary.failed) == ([1, 3, 4], [2])
    assert labeler.groups == [[1, 2], [1], [2], [3, 4]]
    assert ("failed", 2, "its scores aren't numbers") in told.lines


def test_labels_that_cannot_be_written_fail_their_recording() -> None:
    studio = FakeStudio(write_trouble={3: RecordingError("HTTP 400")})
    summary, told = run(studio, FakeLabeler(), [1, 2, 3])
    assert (summary.labeled, summary.failed) == ([1, 2], [3])
    assert ("failed", 3, "HTTP 400") in told.lines


def test_the_end_of_the_run_keeps_what_was_labeled_and_names_what_was_not_reached() -> None:
    studio = FakeStudio(trouble={4: RunEnded("the key is not accepted")})
    summary, _ = run(studio, FakeLabeler(), [1, 2, 3, 4, 5, 6])
    assert summary.end_reason == "the key is not accepted"
    assert summary.labeled == [1, 2, 3]
    assert summary.unlabeled == [4, 5, 6]


def test_a_key_that_expires_while_writing_ends_the_run() -> None:
    studio = FakeStudio(write_trouble={3: RunEnded("the key is not accepted")})
    summary, _ = run(studio, FakeLabeler(), list(range(1, 101)))
    assert summary.end_reason == "the key is not accepted"
    assert 3 in summary.failed
    assert set(summary.labeled) == set(studio.written)
    assert sorted(summary.labeled + summary.unlabeled) == list(range(1, 101))


NO_MODEL = (SettingsError("transformers can't be imported"), CheckpointError("the checkpoint can't be loaded"))


@pytest.mark.parametrize("error", [RunEnded("the model is gone"), *NO_MODEL], ids=lambda error: type(error).__name__)
def test_a_labeler_that_can_label_nothing_more_ends_the_run(error: Exception) -> None:
    summary, told = run(FakeStudio(), FakeLabeler(poisoned={5: error}), list(range(1, 9)))
    assert summary.end_reason == str(error)
    assert (summary.labeled, summary.failed, summary.not_reached) == ([1, 2, 3, 4], [], [5, 6, 7, 8])
    assert [line for line in told.lines if line[0] == "failed"] == []


@pytest.mark.parametrize("error", NO_MODEL, ids=lambda error: type(error).__name__)
def test_a_model_that_cannot_be_loaded_before_anything_is_labeled_raises_once(error: Exception) -> None:
    studio, labeler = FakeStudio(trouble={1: RecordingError("unreadable")}), FakeLabeler(poisoned={2: error})
    with pytest.raises(type(error), match=str(error)):
        run(studio, labeler, list(range(1, 9)))
    assert studio.written == []
    assert labeler.groups == [[2, 3]]


def test_an_interruption_keeps_count_of_every_recording() -> None:
    labeler = FakeLabeler(poisoned={5: KeyboardInterrupt()})
    studio = FakeStudio()
    summary, _ = run(studio, labeler, list(range(1, 9)))
    assert summary.canceled
    assert summary.labeled == [1, 2, 3, 4]
    assert set(studio.written) == {1, 2, 3, 4}
    assert summary.unlabeled == [5, 6, 7, 8]


def test_three_recordings_in_a_row_that_the_key_may_not_read_end_the_run() -> None:
    forbidden = RecordingForbidden("HTTP 403")
    studio = FakeStudio(trouble=dict.fromkeys((2, 3, 5, 6, 7, 8), forbidden))
    summary, _ = run(studio, FakeLabeler(batch_windows=2), list(range(1, 301)))
    assert summary.end_reason == "3 recordings in a row were refused with HTTP 403; check the API key's permissions"
    assert summary.failed[:5] == [2, 3, 5, 6, 7]
    assert summary.labeled[:2] == [1, 4]


def test_two_refused_recordings_in_a_row_twice_do_not_end_the_run() -> None:
    studio = FakeStudio(
        trouble=dict.fromkeys((2, 3, 5, 6), RecordingForbidden("HTTP 403")),
        give_up_trouble=dict.fromkeys((2, 3, 5, 6), RecordingForbidden("HTTP 403")),
    )
    summary, _ = run(studio, FakeLabeler(), list(range(1, 9)))
    assert summary.end_reason == ""
    assert summary.failed == [2, 3, 5, 6]


def test_a_key_that_may_read_but_not_write_ends_the_run_after_a_few_recordings() -> None:
    studio = FakeStudio(write_trouble=dict.fromkeys(range(1, 301), RecordingForbidden("HTTP 403")))
    labeler = FakeLabeler(batch_windows=2)
    summary, _ = run(studio, labeler, list(range(1, 301)))
    assert summary.end_reason == "3 recordings in a row were refused with HTTP 403; check the API key's permissions"
    assert summary.labeled == []
    assert len(labeler.groups) < 30


def test_eight_recordings_in_a_row_that_the_network_loses_end_the_run_and_are_named() -> None:
    studio = FakeStudio(trouble={n: RecordingLost("gone") for n in range(3, 30)})
    summary, _ = run(studio, FakeLabeler(), list(range(1, 30)))
    assert summary.labeled == [1, 2]
    assert summary.failed == list(range(3, 11))
    assert summary.not_reached == list(range(11, 30))
    assert "8 recordings in a row" in summary.end_reason


def test_a_successful_recording_resets_the_count_of_lost_ones() -> None:
    studio = FakeStudio(trouble={n: RecordingLost("gone") for n in range(1, 40) if n % 8})
    summary, _ = run(studio, FakeLabeler(), list(range(1, 40)))
    assert not summary.end_reason
    assert summary.labeled == [8, 16, 24, 32]


def test_done_and_skipped_recordings_are_counted_separately() -> None:
    done = {1: RecordingDone("labeled before"), 4: RecordingDone("labeled before", "fast merged")}
    studio = FakeStudio(trouble={**done, 2: RecordingSkipped("it is disabled")})
    summary, told = run(studio, FakeLabeler(), [1, 2, 3, 4])
    assert (summary.done, summary.fast_done, summary.skipped, summary.labeled) == ([1, 4], [4], [2], [3])
    assert not summary.unlabeled
    assert told.lines[0] == ("skipped", 1, "labeled before")


def test_a_signal_is_handled_while_the_model_computes() -> None:
    at_work, release = threading.Event(), threading.Event()

    class SlowLabeler(FakeLabeler):
        def label(self, batch: list[PreparedRecording]) -> list[LabeledRecording]:
            at_work.set()
            release.wait(30)
            return super().label(batch)

    threading.Thread(target=lambda: (at_work.wait(30), os.kill(os.getpid(), signal.SIGINT))).start()
    summary, _ = run(FakeStudio(), SlowLabeler(), [1, 2, 3])
    release.set()
    assert summary.canceled
    assert summary.not_reached == [1, 2, 3]


def test_a_skipped_recording_that_cannot_be_proposed_fails_with_both_reasons() -> None:
    studio = FakeStudio(
        trouble={1: RecordingSkipped("it is disabled")}, give_up_trouble={1: RecordingError("HTTP 400: nope")}
    )
    summary, told = run(studio, FakeLabeler(), [1])
    assert summary.failed == [1]
    assert told.lines == [("failed", 1, "it is disabled; proposing it without changes failed, too: HTTP 400: nope")]


def test_recordings_that_need_no_model_do_not_accumulate() -> None:
    labeler = FakeLabeler(silent=True)
    summary, _ = run(FakeStudio(), labeler, list(range(1000)))
    assert len(summary.labeled) == 1000
    assert max(len(group) for group in labeler.groups) <= GROUP_RECORDINGS


def test_a_write_that_hangs_does_not_hold_up_a_canceled_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("block.labeling.run.FINISH_CANCELED_S", 0.2)
    hanging = threading.Event()

    class Hanging(FakeStudio):
        def write(self, labeled: LabeledRecording) -> LabeledRecording:
            if labeled.id == 2:
                hanging.wait(20)
            return super().write(labeled)

    stop = threading.Event()
    studio, told = Hanging(), Told()
    began = time.monotonic()
    labeler = FakeLabeler(poisoned={5: KeyboardInterrupt()})
    summary = Run(studio, studio, labeler, told, stop).label(list(range(1, 9)))  # type: ignore[arg-type]
    took = time.monotonic() - began
    hanging.set()
    assert took < 5
    assert stop.is_set()
    assert summary.canceled
    assert summary.labeled == [1, 3, 4]
    assert summary.unlabeled == [2, 5, 6, 7, 8]


def test_all_writes_that_are_done_are_counted_after_each_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    # With one thread, a write that begins shows that those before it are done.
    monkeypatch.setattr("block.labeling.run.WRITES_AT_ONCE", 1)
    tenth_begun = threading.Event()
    told = Told()
    counted: list[int] = []

    class Beginning(FakeStudio):
        def write(self, labeled: LabeledRecording) -> LabeledRecording:
            if labeled.id == 10:
                tenth_begun.set()
            return super().write(labeled)

    class Counting(FakeLabeler):
        def label(self, batch: list[PreparedRecording]) -> list[LabeledRecording]:
            counted.append(len(told.lines))
            if batch[0].recording_id == 11:
                assert tenth_begun.wait(60)
            return super().label(batch)

    studio, labeler = Beginning(), Counting(batch_windows=20)
    Run(studio, studio, labeler, told, patience=STRICT).label(list(range(1, 31)))  # type: ignore[arg-type]
    assert [len(group) for group in labeler.groups] == [10, 10, 10]
    assert counted[2] >= 9


def test_an_error_of_the_reporter_ends_the_run_with_its_name_and_keeps_count() -> None:
    class Broken(Told):
        def report_labeled(self, labeled: LabeledRecording) -> None:
            raise ZeroDivisionError("oops")

    studio = FakeStudio()
    summary = Run(studio, studio, FakeLabeler(), Broken()).label([1, 2, 3, 4, 5, 6])  # type: ignore[arg-type]
    assert summary.end_reason == "unexpected ZeroDivisionError: oops"
    assert sorted(summary.labeled + summary.not_reached) == [1, 2, 3, 4, 5, 6]
    assert set(summary.labeled) == set(studio.written)


@dataclass
class Stalling(FakeStudio):
    """A FakeStudio that answers nothing about the recordings in `fetches` and `writes` until `opened` is set.

    `others_written` is set once `others` other recordings are written.
    """

    fetches: tuple[int, ...] = ()
    writes: tuple[int, ...] = ()
    others: int = 0
    opened: threading.Event = field(default_factory=threading.Event)
    others_written: threading.Event = field(default_factory=threading.Event)

    def fetch(self, recording_id: int, expect: Callable[[int], None]) -> Recording:
        if recording_id in self.fetches:
            assert self.opened.wait(60)
        return super().fetch(recording_id, expect)

    def write(self, labeled: LabeledRecording) -> LabeledRecording:
        if labeled.id in self.writes:
            assert self.opened.wait(60)
        written = super().write(labeled)
        if len({*self.written} - {*self.fetches, *self.writes}) == self.others:
            self.others_written.set()
        return written


AT_ONCE = Patience(passing_s=0.0, alone_s=0.0)


@pytest.mark.parametrize("stalled", [(1,), (50,), (100,), (1, 2, 3, 4, 5), tuple(range(40, 56))], ids=str)
@pytest.mark.parametrize("kind", ["fetches", "writes"])
def test_all_others_are_labeled_and_reported_while_recordings_stall(kind: str, stalled: tuple[int, ...]) -> None:
    others = 100 - len(stalled)
    studio = Stalling(others=others, **{kind: stalled})  # type: ignore[arg-type]

    class Opening(Told):
        def report_labeled(self, labeled: LabeledRecording) -> None:
            super().report_labeled(labeled)
            if len(self.lines) == others:
                assert studio.others_written.is_set()
                assert not studio.opened.is_set()
                studio.opened.set()

    told = Opening()
    run = Run(studio, studio, FakeLabeler(), told, patience=AT_ONCE)  # type: ignore[arg-type]
    summary = run.label(list(range(1, 101)))
    assert sorted(summary.labeled) == list(range(1, 101))
    assert sorted(summary.labeled[others:]) == list(stalled)
    assert [one for _, one, _ in told.lines] == summary.labeled


def test_a_stalled_fetch_and_a_stalled_write_do_not_hold_up_a_canceled_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("block.labeling.run.FINISH_CANCELED_S", 0.2)
    studio = Stalling(fetches=(3,), writes=(5,), others=18)

    def cancel() -> None:
        assert studio.others_written.wait(60)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=cancel).start()
    run = Run(studio, studio, FakeLabeler(), Told(), patience=AT_ONCE)  # type: ignore[arg-type]
    summary = run.label(list(range(1, 21)))
    studio.opened.set()
    assert summary.canceled
    assert sorted(summary.labeled) == [one for one in range(1, 21) if one not in (3, 5)]
    assert (summary.failed, summary.not_reached) == ([5], [3])


def test_a_run_that_ends_while_recordings_stall_does_not_wait_for_them() -> None:
    studio = Stalling(fetches=(2,), trouble={9: RunEnded("the key is not accepted")})
    run = Run(studio, studio, FakeLabeler(), Told(), patience=AT_ONCE)  # type: ignore[arg-type]
    summary = run.label(list(range(1, 21)))
    studio.opened.set()
    assert summary.end_reason == "the key is not accepted"
    assert sorted(summary.labeled) == [1, 3, 4, 5, 6, 7, 8]
    assert 2 in summary.not_reached


def test_a_write_under_way_when_the_run_ends_gets_time_to_finish(monkeypatch: pytest.MonkeyPatch) -> None:
    studio = Stalling(writes=(3,), trouble={9: RunEnded("the key is not accepted")})

    def wait(futures: list[Future[LabeledRecording | None]], timeout: float) -> None:
        if timeout > 0:
            studio.opened.set()
        concurrent.futures.wait(futures, timeout)

    monkeypatch.setattr("block.labeling.run.wait", wait)
    summary, _ = run(studio, FakeLabeler(), list(range(1, 21)))
    studio.opened.set()
    assert summary.end_reason == "the key is not accepted"
    assert (summary.labeled, summary.failed) == (list(range(1, 9)), [])


def test_without_patience_running_out_the_order_is_that_of_the_ids() -> None:
    """Each fetch waits for the one after it, and each write too, as far as the pools read ahead."""
    done = {one: threading.Event() for one in range(1, 30)}

    class Backward(FakeStudio):
        def fetch(self, recording_id: int, expect: Callable[[int], None]) -> Recording:
            recording = super().fetch(recording_id, expect)
            if recording_id % 4:
                assert done[recording_id + 1].wait(60)
            done[recording_id].set()
            return recording

    studio = Backward()
    summary, told = run(studio, FakeLabeler(), list(range(1, 29)))  # type: ignore[arg-type]
    assert summary.labeled == list(range(1, 29))
    assert [one for _, one, _ in told.lines] == list(range(1, 29))


def test_a_run_added_to_another_keeps_the_cancellation_and_the_last_reason_of_either() -> None:
    for first, second in ((Summary(canceled=True), Summary()), (Summary(), Summary(canceled=True))):
        first.add(second)
        assert first.canceled
    both = Summary([1], failed=[2], end_reason="first")
    both.add(Summary([3], not_reached=[4]))
    assert both == Summary([1, 3], failed=[2], not_reached=[4], end_reason="first")
    assert both.unlabeled == [2, 4]
    both.add(Summary(end_reason="second"))
    assert both.end_reason == "second"
