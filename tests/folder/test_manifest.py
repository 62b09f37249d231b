"""The manifest: what it remembers of a folder's files, and when it is saved."""

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


def test_entries_of_changed_failed_and_deleted_files_are_dropped() -> None:
    known = Manifest(Path("x"), ENTRIES)
    again = known.with_files(
        ["a.wav", "b.wav", "c.wav", "\udcff\n.wav"], {}, lambda entry: bool(entry.content) and entry.path != "a.wav"
    )
    assert again.entries == [FileEntry("a.wav"), FileEntry("b.wav"), FileEntry("c.wav"), ENTRIES[1]]


def test_a_failed_file_loses_its_stamp_and_content() -> None:
    known = Manifest(Path("x"), ENTRIES)
    known.mark_failed(1, "damaged")
    assert known.entries[0] == FileEntry("a.wav", problem="damaged")


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"version": 3, "unreadable": {}, "files": []}', '{"version": 1, "unreadable": {}}',
     '{"version": 1, "unreadable": {}, "files": [{"path": 3}]}',
     '{"version": 1, "unreadable": {}, "files": [{"path": "a", "size": true}]}',
     '{"version": 1, "unreadable": {}, "files": [{"name": "a"}]}'],
)  # fmt: skip
def test_a_damaged_manifest_is_reported_and_treated_as_empty(tmp_path: Path, content: str) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(content)
    warnings: list[str] = []
    assert manifest.load_manifest(path, warnings.append).entries == []
    assert len(warnings) == 1
    assert str(path) in warnings[0]


def test_the_manifest_is_saved_at_most_every_five_seconds_and_rarely_if_saving_is_slow(tmp_path: Path) -> None:
    times = iter([0.0, 4.9, 5.0, 5.0, 6.0, 50.0, 56.0, 56.0, 56.0])
    path = tmp_path / "manifest.json"
    known = Manifest(path, ENTRIES, clock=lambda: next(times))
    known.save_if_due()  # at 4.9
    assert not path.exists()
    known.save_if_due()  # at 5.0; saving takes a second
    assert path.exists()
    path.unlink()
    known.save_if_due()  # at 50
    assert not path.exists()
    known.save_if_due()  # at 56: 50 seconds after the save ended
    assert path.exists()
