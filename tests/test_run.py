from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import pytest

from block.ahead import ahead
from block.labeler import Prepared
from block.recording import LabeledRecording, Recording, RecordingError, RecordingSkipped, RunEnded, Segment, Window
from block.run import Run, Summary
from block.windows import lay_out


@dataclass
class FakeStudio:
    """A source and a sink whose trouble is told beforehand, and that remembers what was asked of it."""

    trouble: dict[int, BaseException] = field(default_factory=dict)
    write_trouble: dict[int, BaseException] = field(default_factory=dict)
    written: list[int] = field(default_factory=list)
    given_up: list[int] = field(default_factory=list)

    def fetch(self, recording_id: int) -> Recording:
        if recording_id in self.trouble:
            raise self.trouble[recording_id]
        return Recording(recording_id, f"r{recording_id}", 16000, 16000, np.zeros(16000, np.float32))

    def write(self, labeled: LabeledRecording) -> None:
        if labeled.id in self.write_trouble:
            raise self.write_trouble[labeled.id]
        self.written.append(labeled.id)

    def give_up(self, recording_id: int) -> None:
        self.given_up.append(recording_id)


@dataclass
class FakeLabeler:
    """Two pieces a recording, four a batch; groups with a poisoned recording in them fail."""

    poisoned: dict[int, BaseException] = field(default_factory=dict)
    fill: int = 4
    groups: list[list[int]] = field(default_factory=list)

    def prepare(self, recording: Recording) -> Prepared:
        spans = (Window(0, 8000), Window(8000, 16000))
        layout = lay_out(16000, 8000, 8000)
        return Prepared(
            recording.id, recording.name, 1.0, Fraction(16000), layout, recording.waveform, spans, (1, 1)
        )  # fmt: skip

    def label(self, batch: list[Prepared]) -> list[LabeledRecording]:
        self.groups.append([prepared.recording_id for prepared in batch])
        for prepared in batch:
            if prepared.recording_id in self.poisoned:
                raise self.poisoned[prepared.recording_id]
        segments = (Segment(0, 16000, "speech", 0.9),)
        return [LabeledRecording(p.recording_id, p.name, 16000, 1.0, segments, 2) for p in batch]


@dataclass
class Told:
    """What the reporter was told, in order."""

    lines: list[tuple[str, int, str]] = field(default_factory=list)
    batches: list[tuple[int, int]] = field(default_factory=list)

    def labeled(self, labeled: LabeledRecording) -> None:
        self.lines.append(("labeled", labeled.id, ""))

    def failed(self, recording_id: int, reason: str) -> None:
        self.lines.append(("failed", recording_id, reason))

    def skipped(self, recording_id: int, reason: str) -> None:
        self.lines.append(("skipped", recording_id, reason))

    def batch_done(self, recordings: int, windows: int) -> None:
        self.batches.append((recordings, windows))


def run(studio: FakeStudio, labeler: FakeLabeler, ids: list[int]) -> tuple[Summary, Told]:
    told = Told()
    return Run(studio, studio, labeler, told).label(ids), told  # type: ignore[arg-type]


def test_recordings_share_batches_in_order_and_all_are_written() -> None:
    studio, labeler = FakeStudio(), FakeLabeler()
    summary, told = run(studio, labeler, [5, 3, 9, 1, 7])
    assert labeler.groups == [[5, 3], [9, 1], [7]]
    assert summary.labeled == [5, 3, 9, 1, 7]
    assert sorted(studio.written) == [1, 3, 5, 7, 9]
    assert told.batches == [(2, 4), (2, 4), (1, 2)]


def test_a_failing_recording_is_given_up_and_reported_and_the_others_go_on() -> None:
    studio = FakeStudio(trouble={2: RecordingError("it is empty"), 4: RecordingSkipped("it is disabled")})
    summary, told = run(studio, FakeLabeler(), [1, 2, 3, 4, 5])
    assert (summary.labeled, summary.failed, summary.skipped) == ([1, 3, 5], [2], [4])
    assert sorted(studio.given_up) == [2, 4]
    assert ("failed", 2, "it is empty") in told.lines
    assert ("skipped", 4, "it is disabled") in told.lines


def test_an_error_nobody_foresaw_fails_its_recording_alone_and_is_named() -> None:
    studio = FakeStudio(trouble={2: ZeroDivisionError("division by zero")})
    summary, told = run(studio, FakeLabeler(), [1, 2, 3])
    assert (summary.labeled, summary.failed) == ([1, 3], [2])
    assert ("failed", 2, "unexpected ZeroDivisionError: division by zero") in told.lines


def test_a_recording_that_spoils_its_batch_fails_alone() -> None:
    labeler = FakeLabeler(poisoned={2: RecordingError("its scores are no numbers")})
    summary, told = run(FakeStudio(), labeler, [1, 2, 3, 4])
    assert (summary.labeled, summary.failed) == ([1, 3, 4], [2])
    assert labeler.groups == [[1, 2], [1], [2], [3, 4]]
    assert ("failed", 2, "its scores are no numbers") in told.lines


def test_labels_that_cannot_be_written_fail_their_recording() -> None:
    studio = FakeStudio(write_trouble={3: RecordingError("HTTP 400")})
    summary, told = run(studio, FakeLabeler(), [1, 2, 3])
    assert (summary.labeled, summary.failed) == ([1, 2], [3])
    assert ("failed", 3, "HTTP 400") in told.lines


def test_the_end_of_the_run_keeps_what_was_labelled_and_names_what_was_not_reached() -> None:
    studio = FakeStudio(trouble={4: RunEnded("the key is not accepted")})
    summary, _ = run(studio, FakeLabeler(), [1, 2, 3, 4, 5, 6])
    assert summary.ended == "the key is not accepted"
    assert summary.labeled == [1, 2, 3]
    assert summary.unlabeled == [4, 5, 6]


def test_a_key_that_expires_while_writing_ends_the_run() -> None:
    studio = FakeStudio(write_trouble={3: RunEnded("the key is not accepted")})
    summary, _ = run(studio, FakeLabeler(), list(range(1, 101)))
    assert summary.ended == "the key is not accepted"
    assert 3 in summary.failed
    assert set(summary.labeled) == set(studio.written)
    assert sorted(summary.labeled + summary.unlabeled) == list(range(1, 101))


def test_an_interruption_keeps_count_of_every_recording() -> None:
    labeler = FakeLabeler(poisoned={5: KeyboardInterrupt()})
    studio = FakeStudio()
    summary, _ = run(studio, labeler, list(range(1, 9)))
    assert summary.cancelled
    assert summary.labeled == [1, 2, 3, 4]
    assert set(studio.written) == {1, 2, 3, 4}
    assert summary.unlabeled == [5, 6, 7, 8]


def fetched(work: Callable[[int], bytes], count: int, budget_bytes: int) -> list[int]:
    with ThreadPoolExecutor(4) as pool:
        found = ahead(work, range(count), len, pool, depth=8, budget_bytes=budget_bytes)
        return [len(future.result()) + 0 * item for item, future in found]


def test_fetching_ahead_keeps_the_order_and_stays_within_the_budget() -> None:
    lock = threading.Lock()
    held = 0
    most = 0

    def work(item: int) -> bytes:
        nonlocal held, most
        with lock:
            held += 1
            most = max(most, held)
        time.sleep(0.002 * (item % 3))
        return bytes(1000)

    with ThreadPoolExecutor(4) as pool:
        seen = []
        for item, future in ahead(work, range(40), len, pool, depth=8, budget_bytes=3000):
            assert future.done()
            seen.append(item)
            with lock:
                held -= 1
    assert seen == list(range(40))
    assert 2 <= most <= 4  # three that the budget holds, and the one in use


def test_a_failed_fetch_is_handed_over_in_its_place() -> None:
    def work(item: int) -> bytes:
        if item == 1:
            raise RecordingError("no")
        return b"x"

    with ThreadPoolExecutor(2) as pool:
        results = [(item, future.exception()) for item, future in ahead(work, range(3), len, pool)]
    assert [item for item, _ in results] == [0, 1, 2]
    assert [type(error) for _, error in results] == [type(None), RecordingError, type(None)]


@pytest.mark.parametrize("count", [0, 1])
def test_few_items_are_no_special_case(count: int) -> None:
    assert fetched(lambda item: b"abc", count, 1) == [3] * count
