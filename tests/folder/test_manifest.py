"""What is known of the files of a folder, and for how long."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from block.folder import manifest
from block.folder.manifest import FileEntry, Manifest

ENTRIES = [
    FileEntry("a.wav", 10, 123456789, "ab" * 32, 100, 16000),
    FileEntry("\udcff\n.wav", 5, 7, "cd" * 32, 44100, 44100),
    FileEntry("c.wav", problem="it is empty"),
    FileEntry("d.wav"),
]


def refuse(text: str) -> None:
    raise AssertionError(text)


def test_a_manifest_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    Manifest(path, ENTRIES, {"x/": "Permission denied"}).save()
    assert manifest.load_manifest(path, refuse).entries == ENTRIES
    assert manifest.load_manifest(path, refuse).unreadable == {"x/": "Permission denied"}
    assert json.loads(path.read_text())["files"][1]["duration_s"] == 1.0
    assert path.read_bytes().isascii()


def test_files_that_changed_or_failed_are_forgotten_and_those_that_have_gone_dropped() -> None:
    known = Manifest(Path("x"), ENTRIES)
    again = known.with_files(
        ["a.wav", "b.wav", "c.wav", "\udcff\n.wav"], {}, lambda entry: bool(entry.content) and entry.path != "a.wav"
    )
    assert again.entries == [FileEntry("a.wav"), FileEntry("b.wav"), FileEntry("c.wav"), ENTRIES[1]]


def test_a_file_that_fails_is_no_longer_the_one_that_was_known() -> None:
    known = Manifest(Path("x"), ENTRIES)
    known.mark_failed(1, "damaged")
    assert known.entries[0] == FileEntry("a.wav", problem="damaged")


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"version": 2, "unreadable": {}, "files": []}', '{"version": 1, "unreadable": {}}',
     '{"version": 1, "unreadable": {}, "files": [{"path": 3}]}',
     '{"version": 1, "unreadable": {}, "files": [{"path": "a", "size": true}]}',
     '{"version": 1, "unreadable": {}, "files": [{"name": "a"}]}'],
)  # fmt: skip
def test_a_damaged_manifest_is_named_and_costs_nothing_but_time(tmp_path: Path, content: str) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(content)
    warnings: list[str] = []
    assert manifest.load_manifest(path, warnings.append).entries == []
    assert len(warnings) == 1
    assert str(path) in warnings[0]


def test_saving_takes_little_of_the_time(tmp_path: Path) -> None:
    times = iter([0.0, 4.9, 5.0, 5.0, 6.0, 50.0, 56.0, 56.0, 56.0])
    path = tmp_path / "manifest.json"
    known = Manifest(path, ENTRIES, clock=lambda: next(times))
    known.save_if_due()  # at 4.9
    assert not path.exists()
    known.save_if_due()  # at 5.0, and it takes a second
    assert path.exists()
    path.unlink()
    known.save_if_due()  # at 50
    assert not path.exists()
    known.save_if_due()  # at 56: fifty times that second later
    assert path.exists()
