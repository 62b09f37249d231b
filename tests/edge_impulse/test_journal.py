"""Which recordings a later run skips because the journal lists them as done."""

from __future__ import annotations

import json
import os
import re
import stat
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from block.edge_impulse.journal import Journal, JournaledSink
from block.recording import LabeledRecording, RecordingError, Segment
from block.settings import SettingsError

RUN: dict[str, Any] = {"endpoint": "https://a/v1", "project": 1, "job": "4f0c", "proposed": None}


def open_journal(path: Path, warnings: list[str] | None = None, **changes: Any) -> Journal:
    return Journal(path, {**RUN, **changes}, (warnings if warnings is not None else []).append)


def add_entries(path: Path, *ids: int, end: bool = False, **changes: Any) -> None:
    journal = open_journal(path, **changes)
    for recording_id in ids:
        journal.add(recording_id)
    if end:
        journal.end()
    journal.close()


def read_done(path: Path, **changes: Any) -> set[int]:
    journal = open_journal(path, **changes)
    journal.close()
    return journal.done


def test_an_interrupted_run_resumes_where_it_stopped(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    add_entries(path, 3, 1)
    assert read_done(path) == {1, 3}
    add_entries(path, 2)
    assert read_done(path) == {1, 2, 3}


@pytest.mark.parametrize("change", [{"job": "0123"}, {"project": 2}, {"endpoint": "https://b/v1"}, {"proposed": 12}])
def test_a_run_ignores_the_entries_of_other_runs(tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "journal"
    add_entries(path, 3, 1)
    assert read_done(path, **change) == set()
    assert read_done(path) == {1, 3}


def test_a_recording_that_another_job_labeled_later_is_no_longer_done(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    add_entries(path, 1, 2, 3)
    add_entries(path, 2, job="0123")
    add_entries(path, 3, project=2)
    assert read_done(path) == {1, 3}
    assert read_done(path, job="0123") == {2}


def test_after_a_run_ends_only_its_proposals_count_as_done(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    add_entries(path, 1, 2, end=True)
    assert read_done(path) == set()
    add_entries(path, 3)
    assert read_done(path) == {3}
    add_entries(path, 1, 2, end=True, proposed=12)
    assert read_done(path, proposed=12) == {1, 2}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.integers(0, 400))
def test_a_truncated_journal_keeps_its_complete_entries_and_accepts_new_ones(tmp_path: Path, size: int) -> None:
    path = tmp_path / "journal"
    path.unlink(missing_ok=True)
    add_entries(path, *range(100, 120))
    content = path.read_bytes()
    path.write_bytes(content[:size])
    complete = len(re.findall(rb'{"labeled": \d+}', content[:size]))
    assert read_done(path) == set(range(100, 100 + complete))
    add_entries(path, 7)
    assert read_done(path) == {*range(100, 100 + complete), 7}


def test_entries_from_many_threads_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = open_journal(path)
    threads = [
        threading.Thread(target=lambda first=first: [journal.add(first + at) for at in range(200)])  # type: ignore[misc]
        for first in range(0, 1000, 200)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close()
    assert [*map(json.loads, path.read_text().splitlines())]
    assert read_done(path) == set(range(1000))


@pytest.mark.parametrize("content", [b"hello", b"id,label\n1,dog\n", b"{}\n", b"[1, 2]\n", bytes(range(256)) * 10])
def test_a_file_that_is_not_a_journal_is_rejected_and_left_unchanged(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match="is not a journal"):
        open_journal(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("make", [lambda p: p.mkdir(), lambda p: os.mkfifo(p), lambda p: p.symlink_to("/dev/full")])
def test_a_path_that_is_not_a_regular_file_is_rejected(tmp_path: Path, make: Any) -> None:
    path = tmp_path / "journal"
    make(path)
    with pytest.raises(SettingsError, match="the journal"):
        open_journal(path)


def test_a_journal_in_a_missing_folder_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="can't write the journal .*: No such file or directory"):
        open_journal(tmp_path / "no" / "journal")


def test_two_runs_cannot_share_a_journal(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "journal")
    with pytest.raises(SettingsError, match="another run"):
        open_journal(tmp_path / "journal")
    journal.close()
    assert read_done(tmp_path / "journal") == set()


def test_a_full_disk_gives_one_warning_and_earlier_entries_still_count(tmp_path: Path, monkeypatch: Any) -> None:
    path, warnings = tmp_path / "journal", []  # type: tuple[Path, list[str]]
    journal = open_journal(path, warnings)
    journal.add(1)
    real = os.write
    monkeypatch.setattr(os, "write", lambda file, data: real(file, data[:5]))  # the disk has room for only five bytes
    journal.add(2)
    monkeypatch.setattr(os, "write", real)
    journal.add(3)
    journal.close()
    (warning,) = warnings
    assert "any longer: " in warning
    assert read_done(path) == {1}


def test_only_recordings_that_were_written_are_recorded_as_done(tmp_path: Path) -> None:
    class Sink:
        def write(self, labeled: LabeledRecording) -> LabeledRecording:
            if labeled.id == 2:
                raise RecordingError("refused")
            return labeled

        def give_up(self, recording_id: int) -> None:
            pass

    journal = open_journal(tmp_path / "journal")
    sink = JournaledSink(Sink(), journal, SimpleNamespace(has_fallen_back=False))  # type: ignore[arg-type]
    for recording_id in (1, 2):
        labeled = LabeledRecording(recording_id, "a", 1, 1.0, (Segment(0, 1, "a", 1.0),), 1)
        try:
            sink.write(labeled)
        except RecordingError:
            assert recording_id == 2
    sink.give_up(3)
    journal.close()
    assert read_done(tmp_path / "journal") == {1}


def test_a_resumed_run_knows_which_labels_are_from_fast_mode_and_that_it_fell_back(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    labeler = SimpleNamespace(has_fallen_back=False)
    journal = open_journal(path)
    sink = JournaledSink(SimpleNamespace(write=lambda labeled: None), journal, labeler)  # type: ignore[arg-type]
    for recording_id, mode in ((1, "fast merged"), (2, "exact"), (3, "exact")):
        labeler.has_fallen_back = recording_id == 3
        sink.write(LabeledRecording(recording_id, "a", 1, 1.0, (Segment(0, 1, "a", 1.0),), 1, mode))
    journal.close()
    again = open_journal(path)
    again.close()
    assert (again.done, again.fast_done, again.has_fallen_back) == ({1, 2, 3}, {1}, True)
    other = open_journal(path, job="0123")
    other.add(1)
    other.close()
    assert (other.fast_done, other.has_fallen_back) == (set(), False)
    # Another job replaced the labels since.
    later = open_journal(path)
    later.end()
    later.close()
    assert (later.fast_done, later.has_fallen_back) == (set(), True)
    last = open_journal(path)
    last.close()
    assert (last.done, last.has_fallen_back) == (set(), False)


def test_a_journal_is_not_executable_or_writable_by_others(tmp_path: Path) -> None:
    add_entries(tmp_path / "journal", 1)
    assert not (tmp_path / "journal").stat().st_mode & (stat.S_IWOTH | stat.S_IXUSR)
