"""Listing a folder: which files are recordings, and what is left out."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from block.audio import ENDINGS
from block.folder.listing import FolderListing, check_any_recording, describe_left_out, find_recordings, format_path
from block.settings import SettingsError


def touch(root: Path, *names: bytes) -> None:
    for name in names:
        path = Path(os.fsdecode(os.path.join(os.fsencode(root), name)))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_audio_files_are_found_at_any_depth_and_sorted_by_their_bytes(tmp_path: Path) -> None:
    names = [b"b.wav", b"B.WAV", b"a/z.flac", b"a-b.ogg", b"\xc3\xa9.mp3", b"\xff.wav", b"new\nline.wav", b"a/b/c.opus"]
    touch(tmp_path, *names, b"x.txt", b"a/Y.TXT", b"wav", b"c.wav.bak")
    listing = find_recordings(tmp_path, tmp_path / "out")
    assert [os.fsencode(path) for path in listing.files] == sorted(names)
    assert listing.other_files == {".txt": 2, "": 1, ".bak": 1}
    assert (listing.linked_folders, listing.unreadable) == ((), {})


def test_hidden_files_hidden_folders_and_the_output_folder_are_skipped(tmp_path: Path) -> None:
    touch(tmp_path, b".a.wav", b".git/b.wav", b"out/c.wav", b"d/.e/f.wav", b"g.wav", b"._g.wav")
    assert find_recordings(tmp_path, tmp_path / "out").files == ("g.wav",)


def test_links_to_folders_are_not_followed_and_links_to_files_are_files(tmp_path: Path) -> None:
    touch(tmp_path, b"in/a.wav", b"elsewhere/b.wav")
    root = tmp_path / "in"
    (root / "loop").symlink_to(".")
    (root / "up").symlink_to("..")
    (root / "folder.wav").symlink_to("../elsewhere")
    (root / "link.wav").symlink_to("../elsewhere/b.wav")
    (root / "gone.wav").symlink_to("nowhere")
    (root / "self.wav").symlink_to("self.wav")
    listing = find_recordings(root, tmp_path / "out")
    assert listing.files == ("a.wav", "gone.wav", "link.wav", "self.wav")
    assert listing.linked_folders == ("folder.wav/", "loop/", "up/")


def test_a_folder_that_cannot_be_read_is_named_and_the_others_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, b"a/b.wav", b"locked/c.wav", b"d.wav")
    scandir = os.scandir

    def refusing(path: Any) -> Any:
        if os.fspath(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    listing = find_recordings(tmp_path, tmp_path / "out")
    assert listing.files == ("a/b.wav", "d.wav")
    assert listing.unreadable == {"locked/": "Permission denied"}
    assert describe_left_out(listing) == ["1 unreadable folder: locked/ (Permission denied)"]


def test_what_was_left_out_is_named_with_the_most_frequent_endings_and_the_first_folders() -> None:
    endings = Counter({".txt": 1200, ".json": 3, "": 1, ".a\n": 1, ".b": 1, ".c": 1, ".d": 1})
    links = tuple(f"link {number}/" for number in range(8))
    unreadable = {os.fsdecode(b"\xff/"): "Permission denied", "b/": "it has no name"}
    assert describe_left_out(FolderListing((), unreadable, links, endings)) == [
        "1,208 other files: 1,200 .txt, 3 .json, 1 without an ending, 1 .a?, 1 .b and 2 more",
        "8 linked folders (links to folders aren't followed): link 0/, link 1/, link 2/, link 3/, link 4/ and 3 more",
        r"2 unreadable folders: \xff/ (Permission denied), b/ (it has no name)",
    ]
    assert describe_left_out(FolderListing(("a.wav",), {}, (), Counter({".txt": 1}))) == ["1 other file: 1 .txt"]
    assert describe_left_out(FolderListing(("a.wav",), {}, (), Counter())) == []


def test_names_are_formatted_as_text() -> None:
    assert format_path(os.fsdecode("ä/b.wav".encode())) == "ä/b.wav"
    assert format_path(os.fsdecode(b"\xff\xfe.wav")) == r"\xff\xfe.wav"


def test_a_folder_without_recordings_is_refused_with_what_is_there_instead(tmp_path: Path) -> None:
    for name in ("a.txt", "b.TXT", "c.docx", "sub/.hidden.wav"):
        touch(tmp_path, name.encode())
    with pytest.raises(SettingsError) as caught:
        check_any_recording(find_recordings(tmp_path), tmp_path)
    assert str(caught.value) == (
        f"no recordings in {tmp_path}: 3 other files: 2 .txt, 1 .docx; expected files ending in {', '.join(ENDINGS)}"
    )
    (tmp_path / "empty").mkdir()
    with pytest.raises(SettingsError, match="empty: it has no visible files; expected files ending in "):
        check_any_recording(find_recordings(tmp_path / "empty"), tmp_path / "empty")
    touch(tmp_path, b"sub/d.wav")
    check_any_recording(find_recordings(tmp_path), tmp_path)
