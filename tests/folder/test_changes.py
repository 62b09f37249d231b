"""What relabel says about the labels that changed, and the totals that label and relabel end with."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from block.folder.changes import LabelRow, collect_labels, describe_changes, read_labels
from block.folder.csv_table import format_rows
from block.folder.label_files import COLUMNS, format_segments
from block.folder.labeled_file import LabeledFile
from block.recording import Segment
from tests.folder.conftest import rows

Command = Callable[..., int]


def make_file(path: str, *cuts: int, labels: str) -> LabeledFile:
    """A recording at 11,025 Hz whose segments end at `cuts`, each labeled with one letter of `labels`."""
    spans = zip((0, *cuts), cuts, labels, strict=False)
    segments = tuple(Segment(start, end, label, 0.5) for start, end, label in spans)
    return LabeledFile(path, 1, cuts[-1], 11025, segments, "exact")


def test_labels_are_read_back_from_labels_csv_as_they_were_decided(tmp_path: Path) -> None:
    files = [make_file("a \n.wav", 1000, 4001, labels='",'), make_file("b.wav", 7, labels="ü")]
    path = tmp_path / "labels.csv"
    path.write_bytes((format_rows([COLUMNS]) + "".join(map(format_segments, files))).encode())
    assert read_labels(path) == collect_labels(files)


@pytest.mark.parametrize("content", ["file,label\r\na.wav,x\r\n", "file", b"\xff\xfe\x00", None])
def test_a_missing_or_damaged_labels_csv_has_no_labels(tmp_path: Path, content: str | bytes | None) -> None:
    path = tmp_path / "labels.csv"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else (",".join(COLUMNS) + "\r\n" + content).encode())
    assert read_labels(path) is None


def test_changes_are_a_table_of_segments_and_seconds_with_the_largest_change_first() -> None:
    before = collect_labels([make_file("a", 11025, 33075, labels="xy"), make_file("b", 11025, labels="z")])
    after = collect_labels([make_file("a", 22050, 33075, labels="xx"), make_file("b", 11025, labels="z")])
    assert describe_changes(before, after) == [
        "labels changed in 1 of 2 recordings:",
        "  label  segments     seconds",
        "  x        1 -> 2  1.0 -> 3.0",
        "  y        1 -> 0  2.0 -> 0.0",
    ]
    assert describe_changes(after, after) == ["no labels changed"]


def test_labels_that_trade_places_are_a_change_even_if_the_totals_are_the_same() -> None:
    before = collect_labels([make_file("a", 10, labels="x"), make_file("b", 10, labels="y")])
    after = collect_labels([make_file("a", 10, labels="y"), make_file("b", 10, labels="x")])
    assert describe_changes(before, after) == ["labels changed in 2 of 2 recordings; the totals per label are the same"]


def test_recordings_that_gained_or_lost_their_labels_count_as_changed() -> None:
    after = collect_labels([make_file("a", 11025, labels="x")])
    assert describe_changes({}, after)[0] == "labels changed in 1 of 1 recording:"
    assert describe_changes(after, {})[2].split() == ["x", "1", "->", "0", "1.0", "->", "0.0"]


def test_a_long_table_ends_after_20_labels_with_the_number_of_the_others() -> None:
    after = {"a": [LabelRow(number, number, f"label {number:02}", 1.0) for number in range(23)]}
    lines = describe_changes({}, after)
    assert len(lines) == 1 + 1 + 20 + 1
    assert lines[-1] == "  and 3 more labels"


def test_label_ends_with_the_totals_of_labels_csv_and_relabel_says_what_changed(
    audio: Path, label: Command, relabel: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    (audio / "readme.md").write_text("")
    (audio / "loop").symlink_to(".")
    out = audio.parent / "out"
    assert label(audio, out, "--no-merge") == 0
    output = capsys.readouterr().out
    assert f"5 recordings in {audio}\nleft out: 2 other files: 1 .md, 1 .txt\nleft out: 1 linked folder" in output
    assert output.endswith("\n".join(["total per label:", *expected_totals(out)]) + "\n")
    before = rows(out / "labels.csv")
    assert relabel(out, "--merge") == 0
    output = capsys.readouterr().out
    assert output.endswith("\n".join(["total per label:", *expected_totals(out)]) + "\n")
    assert len(rows(out / "labels.csv")) < len(before)
    found = re.findall(r"^  (\S+) +(\d+) -> +(\d+) +[\d.]+ -> +[\d.]+$", output, re.MULTILINE)
    assert found
    for name, old, new in found:
        assert int(old) == sum(row["label"] == name for row in before)
        assert int(new) == sum(row["label"] == name for row in rows(out / "labels.csv"))
    assert relabel(out) == 0
    assert "\nno labels changed\n" in capsys.readouterr().out


def expected_totals(out: Path) -> list[str]:
    """The last lines of a run, computed from its labels.csv."""
    totals: dict[str, tuple[int, float]] = {}
    for row in rows(out / "labels.csv"):
        number, seconds = totals.get(row["label"], (0, 0.0))
        totals[row["label"]] = number + 1, seconds + float(row["end_s"]) - float(row["start_s"])
    ordered = sorted(totals.items(), key=lambda item: (-item[1][0], item[0]))
    return [f"  {name} {n} segment{'s' * (n != 1)}, {seconds:,.1f} s" for name, (n, seconds) in ordered]


def test_without_a_labels_csv_the_labels_of_the_last_run_are_decided_again(
    audio: Path, label: Command, relabel: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    out, other = audio.parent / "out", audio.parent / "other"
    assert label(audio, out) == 0
    assert label(audio, other, "--formats", "audacity") == 0
    assert not (other / "labels.csv").exists()
    changes = []
    for folder in (out, other):
        capsys.readouterr()
        assert relabel(folder, "--audioset-labels", "music", "--formats", "csv") == 0
        changes.append(re.findall(r"^labels changed in .*(?:\n  .*)+", capsys.readouterr().out, re.MULTILINE))
    assert changes[0] == changes[1] != []
