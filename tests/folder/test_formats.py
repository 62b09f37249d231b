"""The label files, read back by readers based on the formats' documentation."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from block.folder import info_labels, label_studio
from block.folder.audacity import format_track, track_path
from block.folder.csv_table import BOM, format_rows
from block.folder.label_files import COLUMNS, format_segments, write_outputs
from block.folder.labeled_file import LabeledFile, OutputContext
from block.folder.listing import format_path
from block.recording import Segment
from tests.folder import readers

ODD = ["tune", "Whimper (dog)", 'a "b", c', "x;y\tz", "Ö 鳥", "-1", "=1+1", "<&>'", "\\n", " "]
METADATA = {"ast_model": "tiny sha256:0123", "ast_labels": "Ö 鳥"}


@st.composite
def labeled_files(draw: st.DrawFn) -> LabeledFile:
    lengths = draw(st.lists(st.integers(1, 500_000), min_size=1, max_size=8))
    ends = [sum(lengths[: at + 1]) for at in range(len(lengths))]
    segments = tuple(
        Segment(end - length, end, draw(st.sampled_from(ODD)), draw(st.floats(0, 1)))
        for length, end in zip(lengths, ends, strict=True)
    )
    names = st.binary(min_size=1, max_size=40).map(lambda name: name.replace(b"\0", b"").replace(b"/", b""))
    parts = draw(st.lists(names.filter(lambda name: name.strip(b".")), min_size=1, max_size=3))
    path = os.fsdecode(b"/".join(parts) + b".wav")
    return LabeledFile(path, 1, ends[-1], draw(st.sampled_from([8000, 16000, 22050, 44100, 96000])), segments, "exact")


def make_context(folder: str = "/data/rec ü", out: str = "/data/out") -> OutputContext:
    return OutputContext(folder, out, METADATA, tuple(ODD))


@given(st.lists(labeled_files(), max_size=4, unique_by=lambda file: file.name))
def test_every_format_keeps_all_segments_whatever_characters_names_and_labels_contain(files: list[LabeledFile]) -> None:
    around = make_context()
    table = BOM + format_rows([COLUMNS]) + "".join(format_segments(file) for file in files)
    read = readers.csv_rows(table)
    info = readers.info_labels(
        info_labels.HEAD + ",\n".join(info_labels.format_file_entry(file, around) for file in files) + info_labels.TAIL
    )
    tasks = readers.label_studio(
        label_studio.HEAD + ",\n".join(label_studio.format_task(file, around) for file in files) + label_studio.TAIL,
        label_studio.format_interface(around),
    )
    assert [row["file"] for row in read] == [file.name for file in files for _ in file.segments]
    table.encode("utf-8")
    for file in files:
        expected = [(segment.start, segment.end, segment.label) for segment in file.segments]
        of_file = [row for row in read if row["file"] == file.name]
        assert [(int(row["start_index"]), int(row["end_index"]) + 1, row["label"]) for row in of_file] == expected
        for row, segment in zip(of_file, file.segments, strict=True):
            assert round(float(row["start_s"]) * file.rate_hz) == segment.start
            assert round(float(row["end_s"]) * file.rate_hz) == segment.end
            assert abs(float(row["score"]) - segment.score) <= 0.00005 + 1e-9
        spans = info[format_path("../rec ü/" + file.path)]
        assert readers.covers(spans, file.values)
        assert [(span.start, span.end + 1, span.label) for span in spans] == expected
        regions = tasks["rec ü/" + file.path]
        for seconds in (regions, readers.audacity(format_track(file))):
            rounded = [(round(span.start * file.rate_hz), round(span.end * file.rate_hz)) for span in seconds]
            assert rounded == [(start, end) for start, end, _ in expected]
        assert [span.label for span in regions] == [label for _, _, label in expected]


@given(st.lists(labeled_files(), min_size=1, max_size=6, unique_by=lambda file: file.path))
def test_tracks_have_unique_paths_inside_their_folder(
    files: list[LabeledFile],
) -> None:
    paths = [track_path(file.path) for file in files]
    assert len(set(paths)) == len(files)
    folders = {parent for path in paths for parent in [*map(str, Path(path).parents)][:-1]}
    for path in paths:
        assert path not in folders
        path.encode("utf-8")
        assert not os.path.isabs(path)
        for part in path.split("/"):
            assert part not in ("", ".", "..")
            assert not part.startswith(".")
            assert part.isprintable()
            assert len(part.encode()) <= 250


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("dog.wav", "dog.wav.txt"),
        ("a b/Ö 鳥.flac", "a b/Ö 鳥.flac.txt"),
        ("a/dog.wav.txt", "a/dog.wav.txt.txt"),
    ],
)
def test_ordinary_recordings_keep_their_names(path: str, expected: str) -> None:
    assert track_path(path) == expected


def test_names_that_could_be_confused_get_different_tracks() -> None:
    odd = ["a?.wav", "a*.wav", "a_.wav", "x" * 210 + ".wav", "x" * 211 + ".wav", "a.wav.txt/b.wav", "a.wav"]
    odd += [track_path("a?.wav").removesuffix(".txt"), "~a_.wav", "a\n.wav", os.fsdecode(b"a\xff.wav")]
    paths = [track_path(name) for name in odd]
    assert len(set(paths)) == len(odd)
    assert not any(path.startswith(other + "/") for path in paths for other in paths)


FILE = LabeledFile("a.wav", 1, 20, 10, (Segment(0, 12, "tune", 0.5), Segment(12, 20, "other", 0.1)), "exact")


def test_each_format_is_written_exactly_as_documented(tmp_path: Path) -> None:
    around = OutputContext("/data/rec", str(tmp_path), {"ast_model": "m"}, ("tune", 'a "<b>"', "other"))
    write_outputs(tmp_path, ["csv", "info.labels", "audacity", "label-studio"], [FILE], {"b.wav": "x, y"}, around)
    assert (tmp_path / "labels.csv").read_bytes() == (
        b"\xef\xbb\xbffile,start_s,end_s,start_index,end_index,label,score\r\n"
        b"a.wav,0.000000,1.200000,0,11,tune,0.5000\r\na.wav,1.200000,2.000000,12,19,other,0.1000\r\n"
    )
    assert (tmp_path / "failed.csv").read_bytes() == b'\xef\xbb\xbffile,reason\r\nb.wav,"x, y"\r\n'
    assert (tmp_path / "audacity" / "a.wav.txt").read_text() == (
        "0.000000\t1.200000\ttune\n1.200000\t2.000000\tother\n"
    )
    (entry,) = json.loads((tmp_path / "info.labels").read_text())["files"]
    assert entry == {
        "path": os.path.relpath("/data/rec/a.wav", tmp_path), "category": "split",
        "label": {"type": "multi-label", "labels": [{"startIndex": 0, "endIndex": 11, "label": "tune"},
                                                    {"startIndex": 12, "endIndex": 19, "label": "other"}]},
        "metadata": {"ast_model": "m", "ast_mode": "exact"},
    }  # fmt: skip
    (task,) = json.loads((tmp_path / "label-studio.json").read_text())
    assert task["data"] == {"audio": "/data/local-files/?d=rec/a.wav"}
    assert task["predictions"][0]["model_version"] == "m"
    assert task["predictions"][0]["score"] == 0.34
    assert task["predictions"][0]["result"][0]["value"] == {"start": 0.0, "end": 1.2, "channel": 0, "labels": ["tune"]}


def test_files_of_formats_that_are_not_chosen_are_removed_and_other_files_stay(tmp_path: Path) -> None:
    around = OutputContext("/data/rec", str(tmp_path), {"ast_model": "m"}, ("tune", "other"))
    deep = LabeledFile("b/c/d.wav", 1, 20, 10, FILE.segments, "exact")
    everything = ["csv", "info.labels", "audacity", "label-studio"]
    write_outputs(tmp_path, everything, [FILE, deep], {}, around)
    (tmp_path / "audacity" / "b" / "mine.aup3").write_text("")
    write_outputs(tmp_path, everything, [FILE], {}, around)
    assert set(readers.tracks(tmp_path / "audacity")) == {"a.wav.txt"}
    write_outputs(tmp_path, ["csv"], [FILE], {}, around)
    assert sorted(path.name for path in tmp_path.rglob("*")) == [
        "audacity", "b", "failed.csv", "labels.csv", "mine.aup3",
    ]  # fmt: skip
    (tmp_path / "audacity" / "b" / "mine.aup3").unlink()
    (tmp_path / "audacity" / "b").rmdir()
    write_outputs(tmp_path, ["audacity"], [FILE], {}, around)
    write_outputs(tmp_path, [], [FILE], {}, around)
    assert [path.name for path in tmp_path.rglob("*")] == ["failed.csv"]


def test_a_failed_write_leaves_the_file_unchanged(tmp_path: Path) -> None:
    around = OutputContext("/data/rec", str(tmp_path), {"ast_model": "m"}, ("tune", "other"))
    write_outputs(tmp_path, ["csv"], [FILE], {}, around)
    before = (tmp_path / "labels.csv").read_bytes()
    broken = LabeledFile("a.wav", 1, 20, 10, (Segment(0, 20, "\udcff", 0.5),), "exact")
    with pytest.raises(UnicodeEncodeError):
        write_outputs(tmp_path, ["csv"], [broken], {}, around)
    assert (tmp_path / "labels.csv").read_bytes() == before
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".tmp")]
