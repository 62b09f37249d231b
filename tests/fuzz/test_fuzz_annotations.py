"""Any file of annotations is read or refused with its name, in a folder or alone."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from block.evaluation.annotation_tables import read_annotations
from block.evaluation.annotations import Annotation
from block.settings import SettingsError
from tests.fuzz.drawn import any_text, examples

NAMES = ("a.wav", "b/c.wav", "d/c.wav")
HEADERS = (
    "Selection\tView\tBegin Time (s)\tEnd Time (s)\tAnnotation\tBegin File\tFile Offset (s)\n",
    "Begin Time (s)\tEnd Time (s)\tSpecies\n", "Start (s),End (s),Scientific name,Common name,Confidence,File\n",
    "filepath,start,end,common_name\n", "file,start_s,end_s,label\n", "",
)  # fmt: skip
cells = st.sampled_from(
    ["1", "0.5", "2,5", "1e999", "nan", "-1", "", "Dog", "a.wav", "/x/c.wav", "b\\c.wav", '"', "\\", "=1", "\x00"]
) | any_text.map(lambda text: text.encode("utf-8", "replace").decode())
lines = st.lists(cells, max_size=7).flatmap(lambda row: st.sampled_from("\t,;").map(lambda tab: tab.join(row)))
tables = st.tuples(st.sampled_from(HEADERS), st.lists(lines, max_size=6)).map(lambda pair: pair[0] + "\n".join(pair[1]))
names = st.sampled_from(["a.txt", "c.csv", "a.wav.txt", "a.Table.1.selections.txt", "B.BirdNET.results.csv"])


@examples(400)
@given(names, tables.map(str.encode) | st.binary(max_size=80), st.booleans())
@example("a.txt", b"\\\t1\t2", True)
@example("a.txt", b"1\t2\tDog\n\\\t90\t2000\n", False)
def test_any_table_is_read_or_refused(tmp_path: Path, name: str, content: bytes, is_folder: bool) -> None:
    folder = tmp_path / "tables"
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    (folder / name).write_bytes(content)
    rows: tuple[Annotation, ...] = ()
    refused = ""
    try:
        rows = read_annotations(folder if is_folder else folder / name, NAMES, lambda _: None).rows
    except SettingsError as error:
        refused = str(error)
    assert bool(rows) != (str(folder) in refused)
    for row in rows:
        assert (row.start_s is None) == (row.end_s is None)
        assert row.start_s is None or (row.label and 0 <= row.start_s < row.end_s < math.inf)  # type: ignore[operator]


def test_a_pipe_among_tables_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.txt")
    with pytest.raises(SettingsError, match=r"a\.txt can't be read: it is not a file but a folder, a pipe or a device"):
        read_annotations(tmp_path, NAMES, lambda _: None)
