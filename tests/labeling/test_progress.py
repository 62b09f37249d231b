from __future__ import annotations

import io

from block.formatting import format_duration
from block.labeling.interfaces import Batch, Summary
from block.labeling.progress import Progress, TimeBudget
from block.recording import LabeledRecording, Segment


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def labeled(identity: int, name: str = "dog.wav") -> LabeledRecording:
    segments = (Segment(0, 8000, "speech", 0.9), Segment(8000, 24000, "other", 0.1), Segment(24000, 32000, "speech", 1))
    return LabeledRecording(identity, name, 32000, 2.0, segments, 4)


def batch(recordings: int, windows: int, seconds: float = 20.0) -> Batch:
    """Return a batch of recordings that are never reported one by one; `seconds` is the length of each."""
    return Batch(tuple(range(-recordings, 0)), windows, recordings * seconds)


def job_log(total: int, failures: int = 0, verbose: bool = False) -> list[str]:
    stream = io.StringIO()
    progress = Progress(total, verbose, stream, Clock())
    summary = Summary()
    for identity in range(total):
        if identity < failures:
            progress.report_failed(identity, "it is empty")
            summary.failed.append(identity)
        else:
            progress.report_labeled(labeled(identity))
            summary.labeled.append(identity)
    progress.finish(summary, None)
    return stream.getvalue().splitlines()


def test_a_recordings_line_gives_id_name_length_and_labels_found() -> None:
    assert job_log(1)[0] == "0 dog.wav (2.0 s): speech 1.0 s, other 1.0 s"


def test_totals_give_segments_and_seconds_of_each_label() -> None:
    stream = io.StringIO()
    progress = Progress(1000, False, stream, Clock())
    progress.say_totals()
    assert stream.getvalue() == ""
    for identity in range(2):
        progress.report_labeled(labeled(identity))
    progress.say_totals()
    assert stream.getvalue() == "labels: speech 4 segments, 2.0 s; other 2 segments, 2.0 s\n"


def test_up_to_200_recordings_get_a_line_each() -> None:
    assert len(job_log(200, failures=60)) == 202


def test_more_recordings_get_a_line_per_percent_and_stay_far_below_1000_lines() -> None:
    lines = job_log(10_000, failures=5_000)
    assert len(lines) < 200
    assert sum(" % " in line or line.split()[1] == "%:" for line in lines) == 100
    assert sum("failed: it is empty" in line for line in lines) == 50
    assert any("--failed-ids-file lists all their ids" in line for line in lines)
    assert lines[-2].endswith("48, 49 and 4,950 more")
    assert lines[-1].endswith("10,000 recordings in 0 s: 5,000 labeled, 5,000 failed")


def test_skip_reasons_are_counted_if_recordings_get_no_lines() -> None:
    stream = io.StringIO()
    progress = Progress(1000, False, stream, Clock())
    summary = Summary()
    progress.report_labeled_before(300, "according to the journal j")
    summary.done += range(300)
    for identity in range(300, 1000):
        progress.report_skipped(identity, "it is disabled" if identity % 2 else "labeled by hand")
        summary.skipped.append(identity)
    progress.finish(summary, None)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "300 of 1,000 recordings already labeled, according to the journal j"
    assert lines[-3:-1] == ["350 skipped: labeled by hand", "350 skipped: it is disabled"]
    assert lines[-1] == "1,000 recordings in 0 s: 0 labeled, 0 failed, 300 already labeled, 700 skipped"


def test_many_different_reasons_do_not_fill_the_log() -> None:
    stream = io.StringIO()
    progress = Progress(1000, False, stream, Clock())
    for identity in range(1000):
        progress.report_skipped(identity, f"reason {identity}")
    progress.finish(Summary(skipped=list(range(1000))), None)
    assert len(stream.getvalue().splitlines()) < 130
    assert "980 skipped: other reasons" in stream.getvalue()


def test_verbose_gives_every_recording_its_line() -> None:
    assert len(job_log(500, failures=100, verbose=True)) == 502


def test_a_name_cannot_add_lines_to_the_log() -> None:
    stream = io.StringIO()
    Progress(1, False, stream, Clock()).report_labeled(labeled(1, "a\nb\x1b[31m\u2028" + "c" * 200))
    assert stream.getvalue().count("\n") == 1
    assert "a?b?[31m?ccc" in stream.getvalue()
    assert len(stream.getvalue()) < 150


def test_the_time_left_is_estimated_from_the_second_batch_on_without_startup() -> None:
    stream, clock = io.StringIO(), Clock()
    progress = Progress(100, False, stream, clock)
    for now in (30.0, 36.0, 42.0):
        clock.now = now
        progress.report_batch(batch(5, 20), 0.0)
    assert stream.getvalue().splitlines() == [
        "first batch: 20 windows in 30.0 s, with startup",
        "about 2 min left for 90 more recordings",
    ]


def test_a_run_of_one_batch_says_nothing_about_the_time_left() -> None:
    stream = io.StringIO()
    Progress(5, False, stream, Clock()).report_batch(batch(5, 20), 0.0)
    assert stream.getvalue() == ""


def test_a_run_whose_last_batch_is_its_second_says_nothing_about_the_time_left() -> None:
    stream, clock = io.StringIO(), Clock()
    progress = Progress(6, stream=stream, clock=clock)
    # The sizes of three files aren't known, and a mean of thirds leaves a rest when it is subtracted.
    progress.expect_sizes({1: 1, 2: 1, 3: 2})
    for ids in ((1, 2, 4), (3, 5, 6)):
        clock.now += 10
        progress.report_batch(Batch(ids, 3, 30.0), 0.0)
    assert "left" not in stream.getvalue()


def test_an_estimate_is_revised_when_the_pace_changes_and_not_at_every_batch() -> None:
    stream, clock = io.StringIO(), Clock()
    progress = Progress(1000, False, stream, clock)
    for _ in range(60):
        clock.now += 2.0
        progress.report_batch(batch(5, 20), 0.0)
    assert stream.getvalue().count("\n") == 2
    for _ in range(60):
        clock.now += 20.0
        progress.report_batch(batch(5, 20), 0.0)
    lines = stream.getvalue().splitlines()
    assert 3 <= len(lines) <= 9
    assert all(line.startswith("new estimate: about ") for line in lines[2:])
    assert lines[-1].endswith("recordings")


def test_the_estimate_ignores_one_time_work_and_failed_recordings() -> None:
    stream, clock = io.StringIO(), Clock()
    progress = Progress(100, False, stream, clock)
    for recording in range(10):
        progress.report_failed(recording, "it is empty")
    clock.now = 130.0
    progress.report_batch(batch(10, 500), 100.0)
    clock.now = 210.0
    progress.report_batch(batch(10, 500), 150.0)  # 3 s per recording besides the audit
    assert "about 4 min left for 70 more recordings" in stream.getvalue()


def test_the_estimate_and_the_percentage_are_by_audio_and_not_by_recordings() -> None:
    stream, clock = io.StringIO(), Clock()
    progress = Progress(300, False, stream, clock)
    progress.expect_sizes({0: 701_000, **dict.fromkeys(range(1, 300), 1000)})
    clock.now = 110.0
    progress.report_batch(Batch((1, 2, 3, 4, 5), 5, 10.0), 0.0)  # the model took 100 s to load
    clock.now = 120.0
    progress.report_batch(Batch((6, 7, 8, 9, 10), 5, 10.0), 0.0)
    for identity in range(1, 11):
        progress.report_labeled(labeled(identity))
    assert "about 33 min left for 290 more recordings" in stream.getvalue()
    clock.now = 820.0
    progress.report_batch(Batch((0,), 351, 1402.0), 0.0)
    progress.report_labeled(labeled(0))
    last = stream.getvalue().splitlines()[-1]
    assert last == "71 %: 11 of 300 recordings, 24 min of audio, 0 failed, about 5 min left"


def test_a_failure_after_labeling_is_left_out_of_the_time_left_once() -> None:
    stream, clock = io.StringIO(), Clock()
    progress = Progress(300, False, stream, clock)
    for number in range(2):
        clock.now += 10.0
        progress.report_batch(Batch((3 * number + 1, 3 * number + 2, 3 * number + 3), 6, 30.0), 0.0)
    for identity in (1, 2, 3):
        progress.report_failed(identity, "its labels can't be written")
    assert stream.getvalue().splitlines()[-1] == "1 %: 3 of 300 recordings, 60 s of audio, 3 failed, about 16 min left"


def test_the_estimate_counts_a_skipped_recording_once() -> None:
    stream, clock = io.StringIO(), Clock()
    progress = Progress(100, False, stream, clock)
    for recording in range(10):
        progress.report_skipped(recording, "it is disabled")
    for _ in range(2):
        clock.now += 30.0
        progress.report_batch(batch(10, 500), 0.0)
    assert "about 4 min left for 70 more recordings" in stream.getvalue()


def test_a_run_that_takes_too_long_warns_once_and_suggests_faster_settings() -> None:
    stream, clock = io.StringIO(), Clock()
    progress = Progress(1000, False, stream, clock, budget=TimeBudget(1.0, ["--mode fast", "a GPU"]))
    for _ in range(3):
        clock.now += 10.0
        progress.report_batch(batch(1, 5), 0.0)
    warnings = [line for line in stream.getvalue().splitlines() if line.startswith("warning")]
    assert warnings == [
        "warning: at this rate, the run will take longer than --max-hours 1; to make it faster, use "
        "--mode fast; or a GPU"
    ]
    stream = io.StringIO()
    progress = Progress(100, False, stream, clock, budget=TimeBudget(1.0, ["--mode fast"]))
    for _ in range(2):
        clock.now += 10.0
        progress.report_batch(batch(1, 5), 0.0)
    assert "max-hours" not in stream.getvalue()


def test_the_summary_lists_unlabeled_ids_and_the_file_with_them() -> None:
    stream = io.StringIO()
    summary = Summary(labeled=[1], failed=[2], skipped=[3], not_reached=[4, 5], end_reason="the key is not accepted")
    Progress(5, False, stream, Clock()).finish(summary, "failed.json")
    assert stream.getvalue().splitlines() == [
        "the run ended early: the key is not accepted",
        "not labeled: 2, 4, 5; ids written to failed.json",
        "5 recordings in 0 s: 1 labeled, 1 failed, 1 skipped, 2 not reached",
    ]


def test_a_terminal_gets_a_bar_and_the_lines_above_it() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    progress = Progress(2, False, stream, Clock())
    progress.report_labeled(labeled(1))
    progress.report_failed(2, "it is empty", "door\n.wav")
    progress.finish(Summary(labeled=[1], failed=[2]), None)
    assert "2 door?.wav failed: it is empty" in stream.getvalue()
    assert "0/2" in stream.getvalue()
    assert "1 dog.wav (2.0 s)" in stream.getvalue()
    assert "2 recordings in 0 s: 1 labeled, 1 failed" in stream.getvalue()


def test_a_warning_is_printed_once() -> None:
    stream = io.StringIO()
    progress = Progress(2, False, stream, Clock())
    for _ in range(3):
        progress.warn_once("low rate")
    assert stream.getvalue() == "warning: low rate\n"


def test_durations_are_rounded_for_people() -> None:
    assert [format_duration(s) for s in (0.4, 89, 100, 3000, 12000)] == ["0 s", "89 s", "2 min", "50 min", "3 h 20 min"]


def test_a_long_dry_run_prints_only_the_first_requests() -> None:
    stream = io.StringIO()
    progress = Progress(300, False, stream, Clock())
    for _ in range(600):
        progress.say_limited("dry run, not sent: POST")
    assert len(stream.getvalue().splitlines()) == 51
    assert stream.getvalue().splitlines()[-1] == "to see more lines like these, use --verbose"


def test_a_log_that_cannot_be_written_does_not_stop_the_run() -> None:
    class Full(io.StringIO):
        def flush(self) -> None:
            raise OSError(28, "No space left on device")

    Progress(1, False, Full(), Clock()).report_labeled(labeled(1))


def test_recordings_that_are_computed_again_count_in_the_total() -> None:
    stream = io.StringIO()
    progress = Progress(10, False, stream, Clock())
    progress.say_stored_fast(3)
    progress.finish(Summary(list(range(13))), None)
    assert "13 recordings in " in stream.getvalue()
