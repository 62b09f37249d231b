"""labels.csv of any run reads back as annotations: every recording, label and time, whatever the names are."""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from block import cli
from block.evaluation.annotations import find_files, read_csv
from block.folder.label_files import write_outputs
from block.folder.labeled_file import LabeledFile, OutputContext
from block.folder.listing import find_recordings, name_uniquely
from block.recording import Segment
from tests.folder.test_csv_table import odd_paths, odd_text

RATE_HZ = 16000
odd_labels = odd_text.map(str.strip).filter(bool)


@st.composite
def odd_files(draw: st.DrawFn) -> LabeledFile:
    cuts = [0, *sorted(draw(st.lists(st.integers(1, 500_000), min_size=1, max_size=5, unique=True)))]
    segments = tuple(Segment(start, end, draw(odd_labels), 0.5) for start, end in zip(cuts[:-1], cuts[1:], strict=True))
    return LabeledFile(draw(odd_paths) + ".wav", 1, cuts[-1], 44100, segments, "exact")


@given(st.lists(odd_files(), min_size=1, max_size=6, unique_by=lambda file: file.path))
def test_every_row_is_read_back_for_its_recording(
    tmp_path_factory: pytest.TempPathFactory, files: list[LabeledFile]
) -> None:
    out = tmp_path_factory.mktemp("out")
    write_outputs(out, ["csv"], files, {}, OutputContext("/data", str(out), {"ast_model": "m"}, ("x",)))
    names = [file.name for file in files]
    found = read_csv(out / "labels.csv", names)
    assert [(row.file, row.label) for row in found.rows] == [
        (file.name, segment.label) for file in files for segment in file.segments
    ]
    for row, (file, segment) in zip(found.rows, [(f, s) for f in files for s in f.segments], strict=True):
        assert (round(row.start_s * file.rate_hz), round(row.end_s * file.rate_hz)) == (segment.start, segment.end)
    # Without its own recording, a row belongs to none: not even to one with a similar name.
    for gone in names:
        others = [name for name in names if name != gone]
        assert [row.file for row in read_csv(out / "labels.csv", others).rows] == [row.file for row in found.rows]


ODD_NAMES = (
    b" lead.wav", b"lead.wav", b"trail .wav", b"caf\xe9.wav", rb"caf\xe9.wav", b"caf\xc3\xa9.wav", b"cafe\xcc\x81.wav",
    b"back\\slash.wav", b"back/slash.wav", "line\u2028\x85\f\v\x1cend.wav".encode(), b"tab\tnl\n\r.wav", b'a,b"c;d.wav',
    b"=1+1.wav", b"'=1+1.wav", b"''=1.wav", b"+.wav", b"-rf.wav", b"@x.wav", b"'tis.wav", b"\ttab.wav", b"\r.wav",
    b" =1.wav", "＝1.wav".encode(), b".\\dot.wav", b"sub \xff/ \\ /x .wav", b"0,5.wav", "\ufeffbom.wav".encode(),
)  # fmt: skip


@pytest.fixture
def odd_folder(tmp_path: Path) -> Path:
    """Return a folder of recordings with odd names; skip where the file system doesn't keep such names apart."""
    folder = tmp_path / "audio"
    for number, name in enumerate(ODD_NAMES):
        path = os.path.join(os.fsencode(folder), name)
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                values = 0.3 * np.sin(np.arange(2 * RATE_HZ) * 0.05 * (number + 1))
                soundfile.write(file, values, RATE_HZ, format="WAV")
        except OSError as error:
            pytest.skip(f"the file system can't have the name {name!r}: {error}")
    if len(find_recordings(folder, tmp_path).files) != len(ODD_NAMES) - 1:  # one begins with a dot
        pytest.skip("the file system doesn't keep these names apart")
    return folder


@pytest.fixture
def run(odd_folder: Path, checkpoint_folder: Path) -> Callable[..., int]:
    """Run a command on the folder of odd names with the tests' checkpoint; return the exit code."""

    def run_on_folder(command: str, *options: str) -> int:
        labels = "Speech (=tune)\nMusic (Tune's \u2028 a, b)\nDog (tune)\nSilence (Tune)"
        given = ["--audioset-labels", labels, "--model", str(checkpoint_folder), "--device", "cpu"]
        given += ["--other-label", "-", "--min-confidence", "0.05", "--win-size-ms", "500", "--win-stride-ms", "500"]
        return cli.run_command([command, str(odd_folder), *given, *options])

    return run_on_folder


@pytest.mark.parametrize("score_function", ["softmax", "sigmoid"])
def test_the_labels_of_a_run_agree_with_themselves(run, tmp_path: Path, score_function: str) -> None:  # type: ignore[no-untyped-def]
    out, report = tmp_path / "out", tmp_path / "report"
    assert run("label", "--out", str(out), "--score-function", score_function, "--formats", "csv") == 0
    options = ("--annotations", str(out / "labels.csv"), "--bootstrap", "100", "--segment-s", "0.5", "--exhaustive")
    assert run("evaluate", "--out", str(report), "--score-function", score_function, *options) == 0
    found = json.loads((report / "evaluation.json").read_text())
    assert (found["annotated_and_missing"], found["present_and_not_annotated"], found["failed"]) == ([], [], {})
    assert "outside_of_recordings" not in found
    assert found["figures"]["clips"] == len(ODD_NAMES) - 1
    pooled = found["figures"]["micro"]["segments_as_labelled"]
    assert pooled["precision"]["value"] == pooled["recall"]["value"] == 1
    times = found["events"]["micro"]
    assert times["rates"]["f1"]["value"] == 1
    assert times["onset_error_s_90th_percentile"]["value"] == pytest.approx(0, abs=1e-6)
    assert times["time_right"]["value"] == pytest.approx(1, abs=1e-5)


def find(given: str, *names: str, is_labels_csv: bool = False) -> str:
    return find_files([given], names, is_labels_csv)[given]


def test_annotations_by_hand_may_spell_a_name_in_another_way_if_only_one_recording_is_meant() -> None:
    composed, decomposed = "caf\u00e9.wav", "cafe\u0301.wav"
    assert find(" .\\a\\b.wav ", "a/b.wav") == "a/b.wav"
    assert find(composed, decomposed) == decomposed
    assert find(decomposed, composed, decomposed) == decomposed
    assert find(composed, composed, decomposed) == composed
    assert find(f" {composed}", composed, decomposed) == composed
    # Two accents on one letter, in two orders: neither is meant more than the other.
    first, second = "o\u0323\u0302.wav", "o\u0302\u0323.wav"
    third = unicodedata.normalize("NFC", first)
    assert find(third, first, second) == third
    assert find("b\\c.wav", "b/c.wav", "b\\c.wav") == "b\\c.wav"
    assert find(r"caf\xe9.wav", name_uniquely(r"caf\xe9.wav")) == r"caf\x5cxe9.wav"
    assert find("=1.wav", "'=1.wav") == "'=1.wav"  # the reader took the apostrophe for an escape
    assert find("gone.wav", "here.wav") == "gone.wav"
    both = find_files(["b/c.wav", "b\\c.wav", " b/c.wav"], ["b/c.wav"], is_labels_csv=False)
    assert set(both.values()) == {"b/c.wav"}


def test_a_row_of_labels_csv_never_counts_for_the_recording_of_another_row() -> None:
    given = [" lead.wav", "lead.wav", "back\\slash.wav", "back/slash.wav"]
    found = find_files(given, ["lead.wav", "back/slash.wav"], is_labels_csv=True)
    assert found == {name: name for name in given}
    # A copy of the folder on another system may have another Unicode form.
    assert find("caf\u00e9.wav", "cafe\u0301.wav", is_labels_csv=True) == "cafe\u0301.wav"
