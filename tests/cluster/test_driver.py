"""The driver, with fake workers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from block.cluster.cluster_job import WorkItem
from block.cluster.connection import Cluster
from block.cluster.driver import ROUNDS, Driver
from block.cluster.report import DONE, FAILED, LABELED, SKIPPED, RecordingResult, Report, StageTimes, pack
from block.cluster.settings import ClusterSettings
from block.labeling.interfaces import Batch
from block.labeling.progress import Progress
from block.recording import LabeledRecording, Segment


def outcome(recording_id: int, kind: str = LABELED, mode: str = "exact") -> RecordingResult:
    if kind != LABELED:
        return RecordingResult(recording_id, kind, "a reason")
    segments = (Segment(0, 10, "dog", 0.5),)
    return RecordingResult(recording_id, kind, "", LabeledRecording(recording_id, "x", 10, 1.0, segments, 1, mode))


class FakeReporter:
    """A reporter that records the results it gets, also those kept."""

    def __init__(self) -> None:
        self.kept: list[int] = []
        self.reported: list[tuple[str, int]] = []
        self.batches: list[tuple[int, int]] = []

    def keep(self, one: RecordingResult) -> None:
        self.kept.append(one.id)

    def report_labeled(self, labeled: LabeledRecording) -> None:
        self.reported.append(("labeled", labeled.id))

    def report_failed(self, recording_id: int, reason: str, name: str = "") -> None:
        self.reported.append((f"failed: {reason}", recording_id))

    def report_skipped(self, recording_id: int, reason: str) -> None:
        self.reported.append((f"skipped: {reason}", recording_id))

    def report_batch(self, batch: Batch, startup_s: float) -> None:
        self.batches.append((len(batch.ids), batch.windows))


class Rounds(Driver):
    """A driver whose rounds yield the reports, or raise the errors, in `rounds`."""

    rounds: list[list[Report | BaseException]]
    handed: list[list[int]]

    def _make_dataset(self, items: Sequence[WorkItem]) -> Any:
        self.handed.append([item.id for item in items])
        reports = self.rounds.pop(0) if self.rounds else []

        def batches(**options: object) -> Iterator[pa.Table]:
            for report in reports:
                if isinstance(report, BaseException):
                    raise report
                yield pa.table({"report": pa.array([pack(report)], pa.large_binary())})

        return SimpleNamespace(iter_batches=batches)


@pytest.fixture
def reporter() -> FakeReporter:
    return FakeReporter()


def driver(reporter: FakeReporter, *rounds: list[Report | BaseException]) -> Rounds:
    cluster = Cluster("here:1", "", 1, 2.0, 0.0, True)
    made = Rounds(
        SimpleNamespace(), cluster, ClusterSettings(), None, "a run", reporter.keep, reporter, Progress(4)  # type: ignore[arg-type]
    )  # fmt: skip
    made.rounds, made.handed = list(rounds), []
    return made


def items(*ids: int) -> list[WorkItem]:
    return [WorkItem(one) for one in ids]


def test_each_kind_of_result_is_kept_reported_and_counted_in_the_order_of_the_ids(reporter: FakeReporter) -> None:
    run = driver(
        reporter,
        [
            Report(
                "b",
                [outcome(7), outcome(5, FAILED)],
                StageTimes(recordings=2),
                [Batch((7,), 3, 1.0), Batch((5,), 2, 1.0)],
            ),
            Report("a", [outcome(4), outcome(9, SKIPPED), outcome(2, DONE)]),
        ],
    )
    summary = run.label(items(4, 7, 5, 9, 2))
    assert (summary.labeled, summary.failed, summary.skipped, summary.done) == ([4, 7], [5], [9], [2])
    assert summary.not_reached == []
    assert not summary.end_reason
    assert reporter.kept == [7, 5, 4, 9, 2]
    assert reporter.reported[1] == ("failed: a reason", 5)
    assert reporter.batches == [(2, 5)]  # those of a report come at one time, so they count as one


def test_a_recording_that_comes_back_twice_counts_once(reporter: FakeReporter) -> None:
    run = driver(reporter, [Report("a", [outcome(1), outcome(2)]), Report("b", [outcome(1), outcome(2), outcome(3)])])
    assert run.label(items(1, 2, 3)).labeled == [1, 2, 3]
    assert reporter.kept == [1, 2, 3]


def test_a_recording_that_does_not_come_back_is_handed_out_again(reporter: FakeReporter) -> None:
    run = driver(reporter, [Report("a", [outcome(1)])], [Report("a", [outcome(3)])], [Report("a", [outcome(2)])])
    summary = run.label(items(1, 2, 3))
    assert summary.labeled == [1, 2, 3]
    assert run.handed == [[1, 2, 3], [2, 3], [2]]


def test_a_recording_that_never_comes_back_is_reported_as_not_reached(reporter: FakeReporter) -> None:
    run = driver(reporter, [Report("a", [outcome(1)])])
    summary = run.label(items(1, 2))
    assert summary.not_reached == [2]
    assert summary.end_reason == f"1 recording got no result from any worker in {ROUNDS} attempts"
    assert len(run.handed) == ROUNDS


def test_a_worker_can_end_the_run_if_nothing_more_can_be_labeled(reporter: FakeReporter) -> None:
    run = driver(
        reporter,
        [Report("a", [outcome(1)]), Report("b", end_reason="the key is not accepted"), Report("a", [outcome(2)])],
    )
    summary = run.label(items(1, 2))
    assert (summary.labeled, summary.not_reached, summary.end_reason) == ([1], [2], "the key is not accepted")
    assert len(run.handed) == 1


def test_a_failure_of_the_cluster_is_reported_in_one_line(reporter: FakeReporter) -> None:
    run = driver(
        reporter, [Report("a", [outcome(1)]), RuntimeError("Traceback:\n  many lines\nall workers are gone\n")]
    )
    summary = run.label(items(1, 2))
    assert summary.labeled == [1]
    assert summary.end_reason == "the cluster failed: RuntimeError: all workers are gone"


def test_a_signal_ends_the_run_and_leaves_the_rest(reporter: FakeReporter) -> None:
    run = driver(reporter, [Report("a", [outcome(1)]), KeyboardInterrupt()])
    summary = run.label(items(1, 2))
    assert summary.canceled
    assert (summary.labeled, summary.not_reached) == ([1], [2])


def test_fast_recordings_are_listed_and_each_workers_audit_is_reported(reporter: FakeReporter) -> None:
    run = driver(
        reporter,
        [
            Report("a", [outcome(1, mode="fast merged")], audit=["fast mode: 64 windows agree"]),
            Report("a", [outcome(2)], audit=["fast mode: 70 windows agree"], has_fallen_back=True),
        ],
    )
    run.label(items(1, 2))
    assert run.fast_ids == [1]
    assert run.has_fallen_back
    assert run.audit_lines() == ["a: fast mode: 70 windows agree"]


def test_recordings_that_an_earlier_run_labeled_in_fast_mode_are_listed(reporter: FakeReporter) -> None:
    done = [RecordingResult(1, DONE, "labeled before", mode="fast"), RecordingResult(2, DONE, "labeled before")]
    run = driver(reporter, [Report("a", done)])
    summary = run.label(items(1, 2))
    assert (summary.done, summary.fast_done) == ([1, 2], [1])


def test_a_fall_back_is_known_when_the_results_of_its_report_are_kept(reporter: FakeReporter) -> None:
    run = driver(reporter, [Report("a", [outcome(1)], has_fallen_back=True)])
    known: list[bool] = []
    run.keep = lambda result: known.append(run.has_fallen_back)
    run.label(items(1))
    assert known == [True]


def test_only_reports_are_unpacked() -> None:
    import pickle

    from block.cluster.report import unpack

    with pytest.raises(TypeError, match="got a dict from a worker"):
        unpack(pickle.dumps({}))
