"""What a journal makes a later run leave out."""

from __future__ import annotations

import json
import os
import re
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from block.edge_impulse.journal import Journal, JournaledSink
from block.recording import LabeledRecording, RecordingError, Segment
from block.settings import SettingsError

RUN: dict[str, Any] = {"endpoint": "https://a/v1", "project": 1, "job": "4f0c", "proposed": None}


def opened(path: Path, warned: list[str] | None = None, **changes: Any) -> Journal:
    return Journal(path, {**RUN, **changes}, (warned if warned is not None else []).append)


def noted(path: Path, *ids: int, end: bool = False, **changes: Any) -> None:
    journal = opened(path, **changes)
    for recording_id in ids:
        journal.add(recording_id)
    if end:
        journal.end()
    journal.close()


def done(path: Path, **changes: Any) -> set[int]:
    journal = opened(path, **changes)
    journal.close()
    return journal.done


def test_an_interrupted_run_resumes_where_it_stopped(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    noted(path, 3, 1)
    assert done(path) == {1, 3}
    noted(path, 2)
    assert done(path) == {1, 2, 3}


@pytest.mark.parametrize("change", [{"job": "0123"}, {"project": 2}, {"endpoint": "https://b/v1"}, {"proposed": 12}])
def test_another_run_is_not_this_one(tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "journal"
    noted(path, 3, 1)
    assert done(path, **change) == set()
    assert done(path) == {1, 3}


def test_what_another_job_has_labeled_since_is_no_longer_done(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    noted(path, 1, 2, 3)
    noted(path, 2, job="0123")
    noted(path, 3, project=2)
    assert done(path) == {1, 3}
    assert done(path, job="0123") == {2}


def test_what_an_ended_run_has_labeled_is_asked_of_studio_and_proposals_are_not(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    noted(path, 1, 2, end=True)
    assert done(path) == set()
    noted(path, 3)
    assert done(path) == {3}
    noted(path, 1, 2, end=True, proposed=12)
    assert done(path, proposed=12) == {1, 2}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.integers(0, 400))
def test_a_journal_cut_off_anywhere_is_read_as_far_as_it_goes_and_written_on(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "journal"
    path.unlink(missing_ok=True)
    noted(path, *range(100, 120))
    whole = path.read_bytes()
    path.write_bytes(whole[:keep])
    complete = len(re.findall(rb'{"labeled": \d+}', whole[:keep]))
    assert done(path) == set(range(100, 100 + complete))
    noted(path, 7)
    assert done(path) == {*range(100, 100 + complete), 7}


def test_lines_of_many_threads_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = opened(path)
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
    assert done(path) == set(range(1000))


@pytest.mark.parametrize("content", [b"hello", b"id,label\n1,dog\n", b"{}\n", b"[1, 2]\n", bytes(range(256)) * 10])
def test_a_file_that_is_not_a_journal_is_refused_and_left_unchanged(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match="is not a journal"):
        opened(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("make", [lambda p: p.mkdir(), lambda p: os.mkfifo(p), lambda p: p.symlink_to("/dev/full")])
def test_what_cannot_be_a_file_is_refused(tmp_path: Path, make: Any) -> None:
    path = tmp_path / "journal"
    make(path)
    with pytest.raises(SettingsError, match="the journal"):
        opened(path)


def test_a_journal_in_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="can't write the journal .*: No such file or directory"):
        opened(tmp_path / "no" / "journal")


def test_two_runs_do_not_write_to_one_journal(tmp_path: Path) -> None:
    journal = opened(tmp_path / "journal")
    with pytest.raises(SettingsError, match="another run"):
        opened(tmp_path / "journal")
    journal.close()
    assert done(tmp_path / "journal") == set()


def test_a_full_disk_is_reported_once_and_earlier_entries_count(tmp_path: Path, monkeypatch: Any) -> None:
    path, warned = tmp_path / "journal", []  # type: tuple[Path, list[str]]
    journal = opened(path, warned)
    journal.add(1)
    real = os.write
    monkeypatch.setattr(os, "write", lambda file, data: real(file, data[:5]))  # as far as there is room
    journal.add(2)
    monkeypatch.setattr(os, "write", real)
    journal.add(3)
    journal.close()
    (word,) = warned
    assert "any longer: " in word
    assert done(path) == {1}


def test_only_accepted_labels_are_recorded(tmp_path: Path) -> None:
    class Sink:
        def write(self, labeled: LabeledRecording) -> None:
            if labeled.id == 2:
                raise RecordingError("refused")

        def give_up(self, recording_id: int) -> None:
            pass

    journal = opened(tmp_path / "journal")
    sink = JournaledSink(Sink(), journal)
    for recording_id in (1, 2):
        labeled = LabeledRecording(recording_id, "a", 1, 1.0, (Segment(0, 1, "a", 1.0),), 1)
        try:
            sink.write(labeled)
        except RecordingError:
            assert recording_id == 2
    sink.give_up(3)
    journal.close()
    assert done(tmp_path / "journal") == {1}


def test_a_journal_is_for_its_owner_to_write(tmp_path: Path) -> None:
    noted(tmp_path / "journal", 1)
    assert not (tmp_path / "journal").stat().st_mode & (stat.S_IWOTH | stat.S_IXUSR)
