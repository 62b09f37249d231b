"""Reading annotation files as people write them, and naming the line that can't be read."""

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


def test_clip_level_rows_are_read_from_files_with_other_columns(written) -> None:  # type: ignore[no-untyped-def]
    found = read_csv(written('file,fold,label\na.wav,1,"Waves, surf"\n\n./b\\c.wav,2,Dog\r\na.wav,,Rain\n'))
    assert not found.is_strong
    assert [(row.file, row.label) for row in found.rows] == [
        ("a.wav", "Waves, surf"),
        ("b/c.wav", "Dog"),
        ("a.wav", "Rain"),
    ]
    assert found.files == ["a.wav", "b/c.wav"]
    assert [row.place.rpartition("line ")[2] for row in found.rows] == ["2", "4", "5"]


def test_strong_rows_have_times_and_a_row_with_only_a_file_has_no_label(written) -> None:  # type: ignore[no-untyped-def]
    found = read_csv(written("\ufeffLabel;End_s;file;start_s\nDog;2.5;a.wav;0\n;;b.wav;\n"))
    assert found.is_strong
    assert [(row.file, row.label, row.start_s, row.end_s) for row in found.rows] == [
        ("a.wav", "Dog", 0.0, 2.5), ("b.wav", "", None, None),
    ]  # fmt: skip


def test_what_german_spreadsheets_save_is_read(written) -> None:  # type: ignore[no-untyped-def]
    head = "\ufefffile;start_s;end_s;start_index;end_index;label;score\r\n"
    found = read_csv(written("sep=;\r\n" + head[1:] + "a.wav;0,000000;1,75;0;127999;Dog;0,7884\r\n"))
    assert [(row.label, row.start_s, row.end_s) for row in found.rows] == [("Dog", 0.0, 1.75)]
    assert found.rows[0].place.endswith("notes.csv, line 3")
    assert read_csv(written(head + "a.wav;0,5;1.75;0;1;Dog;0\r\n")).rows[0].start_s == 0.5
    assert read_csv(written((head + "a.wav;0,5;1,75;0;1;Dog;0\r\n").encode("utf-16-le"))).rows[0].end_s == 1.75


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; expected a header, file,label"),
        ("\ufeff \n\n", "is empty; expected a header, file,label"),
        ("file,label\n", "a header but no annotations"),
        ("name,label\na,Dog\n", r"line 1: got the columns name, label; expected file and label"),
        ("file,label,start_s\na,Dog,1\n", r"line 1: .* if labels have times, start_s and end_s"),
        ("file,label,file\na,Dog,a\n", "line 1: got the column file 2 times, expected it once"),
        ("file,label\na.wav\n", "line 2: got 1 column, expected at least 2"),
        ("file,label\n ,Dog\n", "line 2: got no file"),
        ("file,start_s,end_s,label\na,1,2,Dog\na,one,2,Dog\n", "line 3: got 'one' for start_s, expected seconds"),
        (
            'file,start_s,end_s,label\na,"0,5",2,Dog\n',
            "got '0,5' for start_s, expected seconds, 0 or more, such as 2.5",
        ),
        ("file;start_s;end_s;label\na;1.000,5;2000;Dog\n", "line 2: got '1.000,5' for start_s"),
        ("sep=;\nfile;labels\na;b\n", "line 2: got the columns file, labels; expected file and label"),
        ("sep=|\nfile|label\na|b\n", "line 1: got the separator '|', expected a comma, a semicolon or a tab"),
        ("file,start_s,end_s,label\na,1,inf,Dog\n", "line 2: got 'inf' for end_s"),
        ("file,start_s,end_s,label\na,-1,2,Dog\n", "line 2: got '-1' for start_s"),
        ("file,start_s,end_s,label\na,2,2,Dog\n", "line 2: got an event from 2 s to 2 s"),
        ("file,start_s,end_s,label\na,1,2,\n", "line 2: got times but no label"),
        ("file,start_s,end_s,label\na,,,Dog\n", "line 2: got '' for start_s"),
        ('file,label\na,"Dog\n', "line 2: "),
        (b"file,label\na,Dog\nb,Caf\xe9\n", "line 3: not UTF-8 text"),
    ],
)
def test_an_unreadable_file_is_refused_with_the_line_at_fault(written, text, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(SettingsError, match=message.replace("|", r"\|")):
        read_csv(written(text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"--annotations .*none\.csv can't be read: No such file"):
        read_csv(tmp_path / "none.csv")


def test_without_a_csv_the_top_level_folder_is_the_label() -> None:
    found = from_folders(Path("x"), ["Dog/a.wav", "Dog/deeper/b.wav", "c.wav", "Waves, surf/d.wav"])
    assert [(row.file, row.label) for row in found.rows] == [
        ("Dog/a.wav", "Dog"), ("Dog/deeper/b.wav", "Dog"), ("Waves, surf/d.wav", "Waves, surf"),
    ]  # fmt: skip
    with pytest.raises(SettingsError, match="use one per class, or give --annotations FILE"):
        from_folders(Path("x"), ["a.wav"])


def test_paths_are_normalized_before_they_are_compared() -> None:
    assert as_relative(" .\\a\\b.wav ") == "a/b.wav"
    assert as_relative("a//b.wav") == "a/b.wav"
    assert as_relative("../a.wav") == "../a.wav"
    assert as_relative("") == ""
