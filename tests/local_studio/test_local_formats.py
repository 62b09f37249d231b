"""The local Studio and `label` read the same from every file, and refuse the same files with the same words."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytest.importorskip("av")

from block import cli
from block.audio import decode
from block.folder.listing import is_audio_file
from block.folder.location import LocalFolder
from block.folder.manifest import FileEntry, Manifest
from block.folder.source import Folder
from block.local_studio.data.project import LocalProject
from block.local_studio.data.sample import LocalSample
from block.local_studio.data.wav import BROWSER_WIDTHS
from block.local_studio.server import running
from block.recording import RecordingError
from tests.conftest import EMBEDDED, SHARED
from tests.decoding.case import Case
from tests.decoding.collection import make_collection
from tests.local_studio.conftest import Studio

CASES = [case for case in make_collection() if is_audio_file(case.name)]
SHARED_FILES = sorted(path for path in (SHARED / "cases").glob("*/*") if is_audio_file(path.name))
HALF_A_STEP = 0.5 / 32768 + 1e-6
FEW = (
    "wav-gsm.wav", "mp3-vbr-44100-2.mp3", "m4a-16000.m4a", "vorbis-chained.ogg", "wav-two-data.wav",
    "wav-size-ffffffff-riff-00000000.wav", "rifx-s24-48000-2.wav", "caf-double-le.caf", "mp3-joined-channels.mp3",
)  # fmt: skip


@dataclass(frozen=True)
class Read:
    """What a command reads from a file: its rate, its values and its mono waveform, or why it can't."""

    rate_hz: int = 0
    values: int = 0
    problem: str | None = None


def read_by_label(path: Path, allow_truncated: bool) -> Read:
    manifest = Manifest(path, [FileEntry(path.name)])
    folder = Folder(LocalFolder(str(path.parent)), manifest, lambda line: None, allow_truncated=allow_truncated)
    try:
        recording = folder.fetch(1, lambda values: None)
    except RecordingError as error:
        return Read(problem=str(error))
    return Read(recording.rate_hz, recording.values)


def read_by_studio(sample: LocalSample) -> Read:
    return Read(int(sample.frequency_hz), sample.values_count, sample.processing_error)


def fill(folder: Path) -> Path:
    """Write all files of the collection and the shared ones to `folder`, and return it."""
    folder.mkdir()
    for case in CASES:
        case.write(folder)
    for path in SHARED_FILES:
        shutil.copyfile(path, folder / path.name)
    return folder


@dataclass(frozen=True)
class Served:
    """A project of all files of the collection."""

    project: LocalProject
    allow_truncated: bool
    samples: dict[str, LocalSample]
    warnings: list[str]


@pytest.fixture(scope="module", params=[False, True], ids=["whole", "allow-truncated"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    project = LocalProject(fill(tmp_path_factory.mktemp("served") / "audio"), request.param)
    warnings: list[str] = []
    project.scan(warnings.append)
    samples = {sample.path.decode(): sample for sample in project.samples()}
    yield Served(project, request.param, samples, warnings)
    project.close()


@pytest.mark.parametrize("name", [*(case.name for case in CASES), *(path.name for path in SHARED_FILES)])
def test_the_studio_reads_what_label_reads_and_serves_it(served: Served, name: str) -> None:
    sample, path = served.samples[name], served.project.root / name
    expected = read_by_label(path, served.allow_truncated)
    assert read_by_studio(sample) == expected
    if expected.problem is not None:
        return
    heard = decode(path, expected.rate_hz, allow_truncated=served.allow_truncated).waveform
    for wav in (served.project.audio(sample), served.project.playable(sample)):
        values, rate_hz = soundfile.read(wav, always_2d=True)
        assert (rate_hz, len(values)) == (expected.rate_hz, expected.values)
        np.testing.assert_allclose(values.mean(axis=1), heard, atol=HALF_A_STEP, rtol=0)
        assert soundfile.info(wav).format in ("WAV", "WAVEX")
    assert soundfile.info(wav).subtype in BROWSER_WIDTHS
    # The block gets it whole, and without anything to warn about.
    again = decode(served.project.audio(sample))
    assert (again.positions, again.notes) == (expected.values, ())


def test_cut_off_files_are_refused_or_served_with_a_warning(served: Served) -> None:
    cut_off = [case.name for case in CASES if case.outcome == "cut off" and case.values and not case.note]
    assert len(cut_off) > 20
    for name in cut_off:
        problem = served.samples[name].processing_error
        warned = [line for line in served.warnings if line.startswith(f"{name}: the audio is cut off: ")]
        if served.allow_truncated:
            assert (problem, len(warned)) == (None, 1)
        else:
            assert problem is not None
            assert "the audio is cut off: " in problem
            assert warned == []
    assert sum("wav-trailing-junk.wav: left out 25,500 bytes" in line for line in served.warnings) == 1


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("few") / "audio"
    folder.mkdir()
    for case in few_cases():
        case.write(folder)
    return folder


def few_cases() -> list[Case]:
    cases = [case for case in CASES if case.name in FEW]
    assert len(cases) == len(FEW)
    return cases


@pytest.mark.parametrize("case", few_cases(), ids=lambda case: case.name)
def test_any_format_is_served_whole_in_ranges_and_in_slices(studio: Studio, case: Case) -> None:
    case.write(studio.project.root)
    studio.project.scan()
    (sample_id,) = [sample.id for sample in studio.project.samples() if sample.name == case.name]
    call = studio.raw_data(sample_id, "wav")
    whole = studio.get(call, params={"axisIx": 0})
    assert whole.status_code == 200, whole.text
    values, rate_hz = soundfile.read(io.BytesIO(whole.content), always_2d=True)
    assert studio.sample(sample_id)["valuesCount"] == len(values) == decode(case.content).positions
    assert rate_hz == case.rate_hz
    middle = len(whole.content) // 2
    part = studio.get(call, params={"axisIx": 0}, headers={"range": f"bytes={middle}-{middle + 999}"})
    assert (part.status_code, part.content) == (206, whole.content[middle : middle + 1000])
    sliced = studio.get(call, params={"axisIx": 0, "sliceStart": 1000, "sliceEnd": 3000})
    np.testing.assert_array_equal(soundfile.read(io.BytesIO(sliced.content), always_2d=True)[0], values[1000:3000])
    page = f"{studio.address.url}/recordings/{sample_id}"
    assert studio.session.get(f"{page}/spectrogram.png", timeout=10).content.startswith(b"\x89PNG")
    assert len(studio.session.get(f"{page}/waveform.json?width=50", timeout=10).json()["low"]) == 50
    played = studio.session.get(f"{page}/audio", headers={"range": "bytes=0-43"}, timeout=10)
    assert (played.status_code, played.content[:4]) == (206, b"RIFF")


def test_the_action_and_label_give_the_same_labels(few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ["--model", str(EMBEDDED), "--device", "cpu", "--audioset-labels", "Music\nNoise"]
    options += ["--win-size-ms", "1000", "--win-stride-ms", "500"]
    out, ids = tmp_path / "out", tmp_path / "ids.json"
    assert cli.run_command(["label", str(few), "--out", str(out), *options]) == 0
    by_label: dict[str, list[tuple[int, int, str]]] = {case.name: [] for case in few_cases()}
    with (out / "labels.csv").open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file, strict=True):
            by_label[row["file"]].append((int(row["start_index"]), int(row["end_index"]), row["label"]))
    with closing(LocalProject(few)) as project, running(project) as address:
        project.scan()
        ids.write_text(json.dumps([sample.id for sample in project.samples()]))
        monkeypatch.setenv("EI_PROJECT_API_KEY", address.key)
        monkeypatch.setenv("EI_API_ENDPOINT", address.endpoint)
        assert cli.run_action(["--data-ids-file", str(ids), *options]) == 0
        by_action = {
            sample.name: [(one.start_index, one.end_index, one.label) for one in sample.structured_labels or ()]
            for sample in project.samples()
        }
    assert by_action == by_label
    assert len({label for labels in by_action.values() for _, _, label in labels}) > 1


def test_a_folder_served_with_allow_truncated_is_read_again_without_it(tmp_path: Path) -> None:
    (case,) = [case for case in CASES if case.name == "vorbis-half.ogg"]
    case.write(tmp_path)
    found = []
    for allow_truncated in (True, True, False, True):
        project = LocalProject(tmp_path, allow_truncated)
        changed = project.scan().changed
        (sample,) = project.samples()
        found.append((changed, sample.processing_error is None, sample.values_count > 0))
        project.close()
    assert found == [(0, True, True), (0, True, True), (1, False, True), (1, True, True)]
