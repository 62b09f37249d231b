"""The Python API gives the same labels as the command."""

from __future__ import annotations

import csv
import doctest
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import block
from block import Labeler, label
from block.class_names import LabelError
from block.commands.label import main
from block.model.checkpoint import CheckpointError
from block.recording import RecordingError
from block.settings import SettingsError
from tests.conftest import ROOT

LABELS = ["Speech (0.5)", "Male speech, man speaking", "Music", "Whimper", "Dog (pet, 0.1)"]
OPTIONS = {"win_size_ms": 500, "win_stride_ms": 250, "min_confidence": 0.15, "other_label": "none"}


@pytest.fixture(scope="module")
def values() -> np.ndarray:
    time = np.arange(4 * 22050) / 22050
    tones = np.stack([np.sin(2 * np.pi * (200 + 700 * time) * time), np.sin(2 * np.pi * 300 * time)], axis=1)
    return (0.3 * tones).astype(np.float32)


@pytest.fixture
def sounds(tmp_path: Path, values: np.ndarray) -> Path:
    folder = tmp_path / "sounds"
    folder.mkdir()
    soundfile.write(folder / "stereo.wav", values, 22050, "FLOAT")
    soundfile.write(folder / "mono.wav", values[:30000, 0], 16000, "PCM_16")
    return folder


@pytest.fixture(scope="module")
def labeler(checkpoint_folder: Path) -> Labeler:
    return Labeler(LABELS, model=checkpoint_folder, device="cpu", **OPTIONS)


def test_the_segments_are_those_of_the_command(
    labeler: Labeler, sounds: Path, tmp_path: Path, checkpoint_folder: Path
) -> None:
    argv = [str(sounds), "--out", str(tmp_path / "out"), "--audioset-labels", "\n".join(LABELS), "--device", "cpu"]
    argv += ["--model", str(checkpoint_folder), "--no-score-store"]
    for name, value in OPTIONS.items():
        argv += [f"--{name.replace('_', '-')}", str(value)]
    assert main(argv) == 0
    with open(tmp_path / "out" / "labels.csv", newline="", encoding="utf-8-sig") as file:
        written = [
            (row["file"], row["start_s"], row["end_s"], row["label"], float(row["score"]))
            for row in csv.DictReader(file)
        ]
    got = [
        (name, f"{one.start:.6f}", f"{one.end:.6f}", one.label, pytest.approx(one.score, abs=1e-4))
        for name in ("mono.wav", "stereo.wav")
        for one in labeler.label(sounds / name)
    ]
    assert len(written) > 2
    assert got == written


def test_arrays_are_labeled_as_files_are(labeler: Labeler, sounds: Path, values: np.ndarray) -> None:
    assert labeler.label(values, 22050) == labeler.label(str(sounds / "stereo.wav"))
    mono, rate_hz = soundfile.read(sounds / "mono.wav", dtype="int16")
    assert labeler.label(mono, rate_hz) == labeler.label(sounds / "mono.wav")
    assert labeler.label((mono / 2**15), rate_hz) == labeler.label(sounds / "mono.wav")


def test_labeling_many_equals_labeling_one_by_one(labeler: Labeler, sounds: Path, values: np.ndarray) -> None:
    many = [sounds / "mono.wav", values, str(sounds / "stereo.wav")]
    assert labeler.label_all(many, 22050) == [
        labeler.label(sounds / "mono.wav"), labeler.label(values, 22050), labeler.label(sounds / "stereo.wav"),
    ]  # fmt: skip


def test_label_is_a_labeler_of_one_recording(labeler: Labeler, values: np.ndarray, checkpoint_folder: Path) -> None:
    got = label(values, "\n".join(LABELS), 22050, model=str(checkpoint_folder), device="cpu", **OPTIONS)
    assert got == labeler.label(values, 22050)
    assert got[0].start == 0
    assert got[-1].end == 4.0


@pytest.mark.parametrize(
    ("array", "rate_hz", "problem"),
    [
        (np.zeros(16000), None, "rate_hz is None for an array; expected a whole number"),
        (np.zeros(16000), 0, "rate_hz is 0 for an array; expected a whole number"),
        (np.zeros((1, 16000, 1)), 16000, r"shape \(1, 16000, 1\); expected"),
        (np.zeros((2, 16000)), 16000, r"shape \(2, 16000\); expected \(values,\) or \(values, channels\)"),
        (np.zeros(0), 16000, r"shape \(0,\); expected"),
        (np.zeros(16000, complex), 16000, "the array has the type complex128; expected int16"),
        (np.array([0.0, np.nan] * 8000), 16000, "aren't finite numbers"),
    ],
)
def test_a_bad_array_is_refused(labeler: Labeler, array: np.ndarray, rate_hz: int | None, problem: str) -> None:
    with pytest.raises(RecordingError, match=problem):
        labeler.label(array, rate_hz)


def test_a_bad_file_is_refused_by_name(labeler: Labeler, sounds: Path) -> None:
    with pytest.raises(RecordingError, match=r"gone\.wav can't be read: No such file"):
        labeler.label(sounds / "gone.wav")
    (sounds / "text.wav").write_text("no sound")
    with pytest.raises(RecordingError, match=r"text\.wav: the audio can't be decoded"):
        labeler.label(sounds / "text.wav")
    (sounds / "cut.wav").write_bytes((sounds / "stereo.wav").read_bytes()[:20000])
    with pytest.raises(RecordingError, match=r"cut\.wav: the audio is cut off"):
        labeler.label(sounds / "cut.wav")
    with pytest.raises(RecordingError, match="a file has its own rate"):
        labeler.label(sounds / "stereo.wav", 22050)


@pytest.mark.parametrize(
    ("labels", "options", "error"),
    [
        (["Speach"], {}, LabelError),
        ([], {}, LabelError),
        (["Speech"], {"min_confidence": 2}, SettingsError),
        (["Speech"], {"score_function": "max"}, SettingsError),
        (["Speech"], {"dtype": "int8"}, SettingsError),
        (["Speech"], {"device": "tpu"}, SettingsError),
        (["Speech"], {"win_size_ms": 1}, SettingsError),
        (["Speech"], {"model": "no-such-model"}, CheckpointError),
    ],
)
def test_options_are_checked(labels: list[str], options: dict, error: type, checkpoint_folder: Path) -> None:
    with pytest.raises(error):
        Labeler(labels, **{"model": checkpoint_folder, **options})


def test_the_package_is_imported_without_the_libraries() -> None:
    heavy = ("torch", "numpy", "soundfile", "transformers")
    program = f"import sys, block; print(block.__version__, [name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == f"{block.__version__} []\n"
    with pytest.raises(AttributeError, match="has no attribute 'lable'"):
        block.lable  # noqa: B018


def test_the_examples_of_the_documentation_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    soundfile.write(tmp_path / "recording.wav", np.zeros(64000), 16000)
    monkeypatch.chdir(tmp_path)
    failed, tried = doctest.testfile(str(ROOT / "docs" / "python.md"), module_relative=False, encoding="utf-8")
    assert (failed, tried > 4) == (0, True)
