"""Tables of Raven, Audacity and BirdNET as these programs write them, and the lines that can't be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from block.evaluation.annotation_tables import read_annotations
from block.evaluation.annotations import Annotations
from block.settings import SettingsError

RAVEN = "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)"
BIRDNET = "Start (s),End (s),Scientific name,Common name,Confidence"
NAMES = ("a.wav", "night/b.flac", "night/c.wav", "day/c.wav")


def no_warning(text: str) -> None:
    pytest.fail(text)


@pytest.fixture
def read(tmp_path: Path):  # type: ignore[no-untyped-def]
    def run(files: dict[str, str | bytes], at: str = "", warn=no_warning) -> Annotations:  # type: ignore[no-untyped-def]
        root = tmp_path / "tables"
        for name, text in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_annotations(root / at, NAMES, warn)

    return run


def rows(found: Annotations) -> list[tuple[object, ...]]:
    return [(row.file, row.label, row.start_s, row.end_s) for row in found.rows]


def test_a_selection_table_of_raven_is_about_the_recording_it_is_named_after(read) -> None:  # type: ignore[no-untyped-def]
    table = (
        f"{RAVEN}\tAnnotation\r\n"
        "1\tWaveform 1\t1\t0.5\t1.75\t\t\tDog\r\n"
        "1\tSpectrogram 1\t1\t0.5\t1.75\t90\t2000\tDog\r\n"
        "2\tSpectrogram 1\t1\t3\t4.5\t90\t2000\tWaves, surf\r\n"
    )
    found = read({"a.Table.1.selections.txt": table}, "a.Table.1.selections.txt")
    assert found.is_strong
    assert rows(found) == [("a.wav", "Dog", 0.5, 1.75), ("a.wav", "Waves, surf", 3, 4.5)], "each selection once"
    assert found.rows[1].place.endswith("a.Table.1.selections.txt, line 4")


def test_a_selection_table_of_several_recordings_names_them(read) -> None:  # type: ignore[no-untyped-def]
    table = (
        f"{RAVEN}\tBegin File\tFile Offset (s)\tSpecies\n"
        "1\tSpectrogram 1\t1\t61\t62.5\t0\t9\tb.flac\t1\tDog\n2\tSpectrogram 1\t1\t5\t6\t0\t9\ta.wav\t5\tDog\n"
    )
    assert rows(read({"all.txt": table}, "all.txt")) == [("night/b.flac", "Dog", 1, 2.5), ("a.wav", "Dog", 5, 6)]


def test_label_tracks_of_audacity_are_read_with_and_without_frequencies(read) -> None:  # type: ignore[no-untyped-def]
    files = {
        "a.wav.txt": "0.500000\t1.750000\tDog\n\\\t90.000000\t2000.000000\n3,25\t4,5\tOne, two, three, four\n",
        "night/b.txt": "",
        "night/c.txt": "1.0\t2.0\tDog\n",
        ".hidden.txt": "x",
        "notes.md": "x",
    }
    assert rows(read(files)) == [
        ("a.wav", "Dog", 0.5, 1.75), ("a.wav", "One, two, three, four", 3.25, 4.5),
        ("night/b.flac", "", None, None), ("night/c.wav", "Dog", 1, 2),
    ]  # fmt: skip


def test_the_tracks_that_label_writes_can_be_corrected_and_read_again(read) -> None:  # type: ignore[no-untyped-def]
    from block.folder.audacity import track_path

    odd = "sub.txt/x:y.wav"
    path = Path(track_path(odd))
    found = read({path.as_posix(): "0.0\t1.0\tDog\n"})
    assert found.files == [path.as_posix().removesuffix(".txt")], "no such recording"
    root = Path(found.source)
    assert read_annotations(root, [odd], no_warning).files == [odd]


def test_results_of_birdnet_are_read_in_each_form(read) -> None:  # type: ignore[no-untyped-def]
    row = "0.0,3.0,Strix varia,Barred Owl,0.42"
    csv = read({"a.BirdNET.results.csv": f"{BIRDNET}\n{row}\n"}, "a.BirdNET.results.csv")
    assert rows(csv) == [("a.wav", "Barred Owl", 0, 3)]
    with_file = {"all.csv": f"{BIRDNET},File\n{row},/data/night/c.wav\n{row},C:\\data\\a.wav\n"}
    assert rows(read(with_file, "all.csv")) == [("night/c.wav", "Barred Owl", 0, 3), ("a.wav", "Barred Owl", 0, 3)]
    raven = f"{RAVEN}\tCommon Name\tSpecies Code\tConfidence\tBegin Path\tFile Offset (s)\n"
    raven += "1\tSpectrogram 1\t1\t3.0\t6.0\t0\t15000\tBarred Owl\tbrdowl\t0.42\t/data/a.wav\t3.0\n"
    name = "a.BirdNET.selection.table.txt"
    assert rows(read({name: raven}, name)) == [("a.wav", "Barred Owl", 3, 6)]
    r = "filepath,start,end,scientific_name,common_name,confidence\nx/a.wav,0,3,Strix varia,Barred Owl,0.4\n"
    assert rows(read({"r.csv": r}, "r.csv")) == [("a.wav", "Barred Owl", 0, 3)]


def test_a_table_without_rows_says_that_there_is_no_label(read) -> None:  # type: ignore[no-untyped-def]
    assert rows(read({"a.txt": f"{RAVEN}\tAnnotation\n"}, "a.txt")) == [("a.wav", "", None, None)]
    name = "a.BirdNET.results.csv"
    assert rows(read({name: f"{BIRDNET},File\n"}, name)) == [("a.wav", "", None, None)]


def test_files_without_tables_are_ignored_with_a_warning(read) -> None:  # type: ignore[no-untyped-def]
    warnings: list[str] = []
    files = {
        "a.txt": "1\t2\tDog\n",
        "BirdNET_analysis_params.csv": "Segment length,Overlap\n3,0\n",
        "read me.txt": "Hi",
    }
    found = read(files, warn=warnings.append)
    assert found.files == ["a.wav"]
    assert [text.rpartition("/")[2].partition(" is ignored")[0] for text in warnings] == [
        "BirdNET_analysis_params.csv", "read me.txt",
    ]  # fmt: skip
    with pytest.raises(SettingsError, match="is a folder without tables; expected selection tables of Raven"):
        read({"empty/x.md": ""}, "empty")


def test_a_folder_named_like_a_table_is_searched_and_not_read(read) -> None:  # type: ignore[no-untyped-def]
    assert rows(read({"night.txt/a.txt": "1\t2\tDog\n"})) == [("a.wav", "Dog", 1.0, 2.0)]


def test_the_blocks_own_csv_is_read_as_before_whatever_its_other_columns(read) -> None:  # type: ignore[no-untyped-def]
    clips = read({"own.csv": "file,label,start,end\na.wav,Dog,1,2\n"}, "own.csv")
    assert not clips.is_strong
    assert rows(clips) == [("a.wav", "Dog", None, None)]
    strong = read({"own.csv": "file,start_s,end_s,label\na.wav,1,2,Dog\na.wav,1,2,Dog\n"}, "own.csv")
    assert rows(strong) == [("a.wav", "Dog", 1, 2)] * 2


def test_a_table_of_an_unknown_recording_is_kept_under_its_name(read) -> None:  # type: ignore[no-untyped-def]
    assert read({"sub/z.Table.2.selections.txt": "1\t2\tDog\n"}).files == ["sub/z"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "1\t2\tDog\n1\tx\tDog\n", r"a\.txt, line 2: got 'x' for the end, expected seconds"),
        ("a.txt", "1\t2\tDog\n3\t3\tDog\n", r"line 2: got an event from 3 s to 3 s; it must end after it starts"),
        ("a.txt", "1\t2\tDog\n3\t4\n", r"line 2: got times but no label"),
        ("a.txt", "1\t2\tDog\nDog\n", r"line 2: got 'Dog'; expected start, end and label with tabs between"),
        ("a.txt", "1\t1e999\tDog\n", r"line 1: got '1e999' for the end"),
        ("a.txt", "-1\t2\tDog\n", r"line 1: got '-1' for the start, expected seconds, 0 or more"),
        ("a.txt", b"1\t2\tDog\n1\t2\tCaf\xe9\n", r"line 2: not UTF-8 text"),
        ("c.txt", "1\t2\tDog\n", r"c\.txt: 'c' may mean day/c\.wav, night/c\.wav; give annotations as a CSV"),
        (
            "a.txt",
            f"{RAVEN}\n1\tS\t1\t0\t1\t0\t9\n",
            r"line 1: got the columns Selection, .*; expected one with labels",
        ),
        ("a.txt", f"{RAVEN}\tSpecies\n1\tS\t1\t0\n", r"line 2: got 4 columns, expected 8"),
        ("a.txt", f"{RAVEN}\tSpecies\n1\tS\t1\tnan\t2\t0\t9\tDog\n", r"line 2: got 'nan' for Begin Time \(s\)"),
        ("a.csv", f"{BIRDNET},File\n0,3,x,y,1,c.wav\n", r"line 2: 'c\.wav' may mean day/c\.wav, night/c\.wav"),
        ("a.csv", f"{BIRDNET},File\n0,3,x,y,1,\n", r"line 2: got no file"),
    ],
)
def test_what_cannot_be_read_is_refused_with_file_and_line(read, name, text, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(SettingsError, match=message):
        read({name: text}, name)
