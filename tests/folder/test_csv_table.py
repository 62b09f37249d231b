"""CSV files that the block writes come back cell by cell, also after a spreadsheet has saved them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from block.folder.csv_table import BOM, escape_cell, format_rows, read_table, unescape_cell
from block.folder.label_files import COLUMNS, write_outputs
from block.folder.labeled_file import LabeledFile, OutputContext
from block.folder.listing import format_path, name_uniquely
from block.settings import SettingsError
from tests.folder import readers
from tests.folder.conftest import rows

# Characters that CSV, spreadsheets, line breaks, blanks, escapes and Unicode forms treat in their own ways.
ODD = "a=+-@'\"\t\r\n,;| \\xe95c.\f\v\x1c\x85\u2028\u2029\xa0\ufeff＝＠é\u0301\x00\x1b鳥"
odd_text = st.text(st.sampled_from(ODD), max_size=8)
odd_paths = st.lists(st.sampled_from([*(one.encode() for one in ODD), b"/", b"\xe9", b"\xc3"]), max_size=8).map(
    lambda parts: os.fsdecode(b"".join(parts))
)


@given(st.lists(st.lists(st.one_of(odd_text, st.text()), min_size=2, max_size=2), max_size=5))
def test_cells_come_back_and_none_looks_like_a_formula(cells: list[list[str]]) -> None:
    table = BOM + format_rows([["one", "two"], *cells])
    assert [[*row.values()] for row in readers.csv_rows(table)] == cells
    for text in (text for row in cells for text in row):
        assert unescape_cell(escape_cell(text)) == text


@given(st.lists(st.lists(odd_text, min_size=2, max_size=2).filter(lambda row: "".join(row).strip()), max_size=5))
def test_the_reader_returns_what_was_written(tmp_path_factory: pytest.TempPathFactory, cells: list[list[str]]) -> None:
    path = tmp_path_factory.mktemp("table") / "x.csv"
    path.write_bytes((BOM + format_rows([["one", "two"], *cells])).encode())
    table = read_table(path)
    assert table.header.cells == ["one", "two"]
    assert [row.cells for row in table.rows] == cells


@given(st.lists(odd_paths, unique=True))
def test_no_two_paths_have_the_same_name(paths: list[str]) -> None:
    names = [name_uniquely(path) for path in paths]
    assert len(set(names)) == len(paths)
    "".join(names).encode()


def test_only_a_backslash_that_could_be_mistaken_for_a_byte_is_written_in_another_way() -> None:
    assert name_uniquely("back\\slash \\xyz.wav") == "back\\slash \\xyz.wav"
    assert name_uniquely(os.fsdecode(b"caf\xe9.wav")) == r"caf\xe9.wav" == format_path(r"caf\xe9.wav")
    assert name_uniquely(r"caf\xe9.wav") == r"caf\x5cxe9.wav"


def test_failed_csv_is_written_by_the_same_rules_and_keeps_names_that_look_alike(tmp_path: Path) -> None:
    failed = {"=1+1.wav": "-1 is not a rate; expected more", r"caf\xe9.wav": "a", r"caf\x5cxe9.wav": "b"}
    write_outputs(tmp_path, [], [], failed, OutputContext("/data", str(tmp_path), {"ast_model": "m"}, ("other",)))
    assert (
        (tmp_path / "failed.csv")
        .read_bytes()
        .startswith(b"\xef\xbb\xbffile,reason\r\n'=1+1.wav,\"'-1 is not a rate; expected more\"\r\n")
    )
    assert {row["file"]: row["reason"] for row in rows(tmp_path / "failed.csv")} == failed


def test_a_name_is_formatted_once_for_all_rows_of_a_recording_as_for_one() -> None:
    file = LabeledFile("-x.wav", 1, 2, 1, (), "exact")
    assert format_rows([(file.name, *COLUMNS[1:])]) == f"'-x.wav,{','.join(COLUMNS[1:])}\r\n"


SAVED = [["=a.wav", "0.5", "x, y"], ["b.wav", "2", "ü"]]


@pytest.mark.parametrize(
    "content",
    [
        b'file,start_s,label\n=a.wav,0.5,"x, y"\nb.wav,2,\xc3\xbc\n',
        b"\xef\xbb\xbffile;start_s;label\r\n'=a.wav;0,5;x, y\r\n;;\r\n\r\nb.wav;2;\xc3\xbc",
        b'sep=,\r\nfile,start_s,label\r\n=a.wav,0.5,"x, y"\r\nb.wav,2,\xc3\xbc\r\n',
        b"\xef\xbb\xbfSEP=;\r\nfile;start_s;label\r\n=a.wav;0,5;x, y\r\nb.wav;2;\xc3\xbc\r\n",
        b'"sep=;"\nfile;start_s;label\n=a.wav;0,5;x, y\nb.wav;2;\xc3\xbc\n',
        b"sep=;;;\nfile;start_s;label\n=a.wav;0.5;x, y\nb.wav;2;\xc3\xbc\n",
        b"sep=\t\nfile\tstart_s\tlabel\n=a.wav\t0,5\tx, y\nb.wav\t2\t\xc3\xbc\n",
        "\ufefffile\tstart_s\tlabel\r\n=a.wav\t0,5\tx, y\r\nb.wav\t2\tü\r\n".encode("utf-16-le"),
        "\ufefffile;start_s;label\r=a.wav;0,5;x, y\rb.wav;2;ü\r".encode("utf-16-be"),
        b'"file";"start_s";"label"\n"\'=a.wav";"0,5";"x, y"\n"b.wav";"2";"\xc3\xbc"\n',
    ],
)
def test_what_spreadsheets_save_is_read(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    table = read_table(path)
    assert table.header.cells == ["file", "start_s", "label"]
    assert [[row.cells[0], row.cells[2]] for row in table.rows] == [[row[0], row[2]] for row in SAVED]
    assert [table.parse_number(row.cells[1]) for row in table.rows] == [0.5, 2]


def test_rows_have_the_lines_on_which_they_begin(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(b'sep=,\r\nfile,label\r\n"a\r\nb",x\r\n\r\nc,"y\x0c\xe2\x80\xa8z"\r\nd,w\r\n')
    table = read_table(path)
    assert table.header.line == 2
    assert table.rows == [(3, ["a\r\nb", "x"]), (6, ["c", "y\f\u2028z"]), (7, ["d", "w"])]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"sep=|\nfile|label\n", r"x.csv, line 1: got the separator '\|', expected a comma, a semicolon or a tab"),
        (b'sep=;\nfile;label\na;"b" c\n', "x.csv, line 3: "),
        (b"file,label\na,b\nc,\xe9\n", "x.csv, line 3: not UTF-8 text; save the CSV as UTF-8"),
        (b"\xff\xfef", "x.csv, line 1: not UTF-16 text"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_its_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=message):
        read_table(path)


def test_decimal_commas_are_refused_where_commas_separate_cells(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(b'file,start_s\na,"0,5"\n')
    with pytest.raises(ValueError, match="0,5"):
        read_table(path).parse_number("0,5")
