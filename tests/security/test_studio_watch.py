"""New files appear without a restart, and each of two servers on one folder names the other."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from block.local_studio.data import folder
from block.local_studio.data.folder import AudioFile, InspectedFile
from block.local_studio.data.project import STATE, LocalProject
from block.local_studio.watch import Presence, watching
from tests.security.hostile import wav

PATIENCE_S = 60.0


@pytest.fixture
def project(tmp_path: Path) -> Iterator[LocalProject]:
    project = LocalProject(tmp_path)
    yield project
    project.close()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_new_files_appear_and_removed_files_go_without_a_restart(project: LocalProject) -> None:
    with watching(project, "http://one", every_s=0.01):
        (project.root / "a.wav").write_bytes(wav(0.1))
        wait_for(lambda: [sample.name for sample in project.samples()] == ["a.wav"])
        (project.root / "a.wav").unlink()
        wait_for(lambda: project.samples() == [])


def test_a_broken_file_is_read_again_only_after_it_changes(
    project: LocalProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[bytes] = []
    original = folder.read_file

    def read_file(root: Path, file: AudioFile, allow_truncated: bool) -> InspectedFile:
        read.append(file.path)
        return original(root, file, allow_truncated)

    monkeypatch.setattr(folder, "read_file", read_file)
    (project.root / "a.wav").write_bytes(b"broken")
    for _ in range(3):
        project.scan(retry=False)
    assert read == [b"a.wav"]
    project.scan()
    assert read == [b"a.wav"] * 2
    (project.root / "a.wav").write_bytes(wav(0.1))
    project.scan(retry=False)
    assert project.samples()[0].values_count == 1600


def test_each_of_two_servers_on_one_folder_names_the_other(
    project: LocalProject, capsys: pytest.CaptureFixture[str]
) -> None:
    other = LocalProject(project.root)
    with watching(project, "http://one", every_s=0.01):
        assert capsys.readouterr().out == ""
        with watching(other, "http://two", every_s=0.01):
            printed = ""

            def both_told() -> bool:
                nonlocal printed
                printed += capsys.readouterr().out
                return "folder, at http://one" in printed and "folder, at http://two" in printed

            wait_for(both_told)
        assert printed.count("another local Studio") == 2
    other.close()
    assert list((project.root / STATE / "servers").iterdir()) == []


def test_a_server_that_is_starting_is_not_taken_for_a_killed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, original, looked = Presence(tmp_path, "http://other"), fcntl.flock, []

    def look_first(file: Any, operation: int) -> None:
        if operation == fcntl.LOCK_EX and not looked:
            looked.append(other.find_others())
        original(file, operation)

    monkeypatch.setattr(fcntl, "flock", look_first)
    first = Presence(tmp_path, "http://first")
    assert looked == [[]]
    assert (other.find_others(), first.find_others()) == (["http://first"], ["http://other"])
    first.close()
    other.close()
    assert list((tmp_path / STATE / "servers").iterdir()) == []


def test_a_server_that_was_killed_leaves_no_mark(tmp_path: Path) -> None:
    first = Presence(tmp_path, "http://one")
    (mark,) = (tmp_path / STATE / "servers").iterdir()
    left = mark.with_name("1-1")
    left.write_text("http://killed")
    os.mkfifo(mark.with_name("2-2"))
    assert first.find_others() == []
    assert not left.exists()
    first.close()
