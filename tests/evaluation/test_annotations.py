"""Annotation files as people write them, and the line that is to blame where they cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from block.evaluation.annotations import as_relative, from_folders, read_csv
from block.settings import SettingsError


@pytest.fixture
def written(tmp_path: Path):  # type: ignore[no-untyped-def]
    def write(text: str | bytes) -> Path:
        path = tmp_path / "notes.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_clip_level_rows_are_read_whatever_else_stands_beside_them(written) -> None:  # type: ignore[no-untyped-def]
    found = read_csv(written('file,fold,label\na.wav,1,"Waves, surf"\n\n./b\\c.wav,2,Dog\r\na.wav,,Rain\n'))
    assert not found.is_strong
    assert [(row.file, row.label) for row in found.rows] == [
        ("a.wav", "Waves, surf"),
        ("b/c.wav", "Dog"),
        ("a.wav", "Rain"),
    ]
    assert found.files == ["a.wav", "b/c.wav"]
    assert [row.place.rpartition("line ")[2] for row in found.rows] == ["2", "4", "5"]


def test_strong_rows_have_times_and_a_file_alone_says_that_nothing_is_heard(written) -> None:  # type: ignore[no-untyped-def]
    found = read_csv(written("\ufeffLabel;End_s;file;start_s\nDog;2.5;a.wav;0\n;;b.wav;\n"))
    assert found.is_strong
    assert [(row.file, row.label, row.start_s, row.end_s) for row in found.rows] == [
        ("a.wav", "Dog", 0.0, 2.5), ("b.wav", "", None, None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is empty; expected a header: file,label"),
        ("file,label\n", "a header and no annotation"),
        ("name,label\na,Dog\n", r"line 1: the columns are name, label; expected file and label"),
        ("file,label,start_s\na,Dog,1\n", r"line 1: .* start_s and end_s too"),
        ("file,label,file\na,Dog,a\n", "line 1: the column file is there 2 times"),
        ("file,label\na.wav\n", "line 2: 1 columns, expected at least 2"),
        ("file,label\n ,Dog\n", "line 2: no file is named"),
        ("file,start_s,end_s,label\na,1,2,Dog\na,one,2,Dog\n", "line 3: start_s is 'one'; expected seconds"),
        ("file,start_s,end_s,label\na,1,inf,Dog\n", "line 2: end_s is 'inf'"),
        ("file,start_s,end_s,label\na,-1,2,Dog\n", "line 2: start_s is '-1'"),
        ("file,start_s,end_s,label\na,2,2,Dog\n", "line 2: the event lasts from 2 s to 2 s"),
        ("file,start_s,end_s,label\na,1,2,\n", "line 2: times without a label"),
        ("file,start_s,end_s,label\na,,,Dog\n", "line 2: start_s is ''"),
        ('file,label\na,"Dog\n', "line 2: "),
        (b"file,label\na,Dog\nb,Caf\xe9\n", "line 3: not UTF-8 text"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(written, text, told: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(SettingsError, match=told):
        read_csv(written(text))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"--annotations .*none\.csv cannot be read: No such file"):
        read_csv(tmp_path / "none.csv")


def test_the_topmost_folder_is_the_label_where_there_is_no_csv() -> None:
    found = from_folders(Path("x"), ["Dog/a.wav", "Dog/deeper/b.wav", "c.wav", "Waves, surf/d.wav"])
    assert [(row.file, row.label) for row in found.rows] == [
        ("Dog/a.wav", "Dog"), ("Dog/deeper/b.wav", "Dog"), ("Waves, surf/d.wav", "Waves, surf"),
    ]  # fmt: skip
    with pytest.raises(SettingsError, match="expected a folder per class, or --annotations FILE"):
        from_folders(Path("x"), ["a.wav"])


def test_paths_are_compared_without_what_does_not_matter() -> None:
    assert as_relative(" .\\a\\b.wav ") == "a/b.wav"
    assert as_relative("a//b.wav") == "a/b.wav"
    assert as_relative("../a.wav") == "../a.wav"
    assert as_relative("") == ""
