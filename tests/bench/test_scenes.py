"""Scenes with known events: the same seed makes the same ones, and annotations say where their sounds are."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bench import boundaries, scenes
from bench.scenes import RATE_HZ, find_event, make_scenes, measure_rms, read_clips, read_mono
from tests.conftest import EMBEDDED, ROOT


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a table of clips: noise of 4 s between silence, and two bursts with a pause between them."""
    folder = tmp_path_factory.mktemp("clips")
    draw = np.random.default_rng(0)
    for number in range(6):
        clip = np.zeros(5 * RATE_HZ)
        clip[RATE_HZ // 2 : 9 * RATE_HZ // 2] = draw.normal(0, 0.1, 4 * RATE_HZ)
        soundfile.write(folder / f"{number}.wav", clip, RATE_HZ)
    lines = ["file,fold,label", *(f"{number}.wav,{1 + number % 2},sound {number}" for number in range(6))]
    (folder / "clips.csv").write_text("\n".join(lines))
    return folder / "clips.csv"


def test_a_clips_event_is_its_longest_stretch_without_a_pause() -> None:
    draw = np.random.default_rng(0)
    clip = np.zeros(5 * RATE_HZ, np.float32)
    for start_s, end_s in ((0.5, 1.0), (1.6, 3.0), (3.2, 3.4)):  # the last pause is short
        span = slice(round(start_s * RATE_HZ), round(end_s * RATE_HZ))
        clip[span] = draw.normal(0, 0.1, span.stop - span.start)
    found = find_event(clip)
    start = round(1.6 * RATE_HZ)
    assert np.array_equal(found, clip[start : start + len(found)])
    assert len(found) / RATE_HZ == pytest.approx(1.8, abs=0.03)


def test_only_clips_of_the_chosen_folds_are_read(table: Path) -> None:
    assert [clip.label for clip in read_clips(table, [2])] == ["sound 1", "sound 3", "sound 5"]
    assert len(read_clips(table, [1, 2, 3])) == 6


def test_events_are_where_a_scene_has_sound_and_do_not_overlap(table: Path) -> None:
    clips = read_clips(table, [1, 2])
    scene, other, again = (next(iter(make_scenes(clips, [], 1, seed))) for seed in (1, 2, 1))
    assert np.array_equal(scene.waveform, again.waveform)
    assert scene.events == again.events != other.events
    is_active = np.zeros(len(scene.waveform), bool)
    for before, event in zip((None, *scene.events), scene.events, strict=False):
        assert before is None or event.start_s - before.end_s >= 0.3 - 1e-3
        is_active[round(event.start_s * RATE_HZ) : round(event.end_s * RATE_HZ)] = True
    assert len(scene.events) >= 4
    assert not scene.waveform[~is_active].any()
    assert (np.abs(scene.waveform[is_active]) > 0).mean() > 0.99


def test_every_other_scene_has_ambience_15_db_below_its_events(table: Path) -> None:
    ambience = np.random.default_rng(9).normal(0, 0.3, 7 * RATE_HZ).astype(np.float32)
    quiet, loud = make_scenes(read_clips(table, [1, 2]), [ambience], 2, 0)
    assert quiet.waveform[: RATE_HZ // 10].max() == 0
    pause = loud.waveform[: round(loud.events[0].start_s * RATE_HZ)]
    sounding = [loud.waveform[round(e.start_s * RATE_HZ) : round(e.end_s * RATE_HZ)] for e in loud.events]
    # The events' own level is 15 dB above; with the ambience, power is 3 % higher.
    assert 20 * np.log10(measure_rms(np.concatenate(sounding)) / measure_rms(pause)) == pytest.approx(15.1, abs=0.3)


def test_the_command_writes_scenes_and_their_annotations(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["scenes", str(table), str(tmp_path / "out"), "--count", "2", "--folds", "1"])
    assert scenes.main() == 0
    with (tmp_path / "out" / "annotations.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["file"] for row in rows} == {"scene-00.wav", "scene-01.wav"}
    assert {row["label"] for row in rows} <= {"sound 0", "sound 2", "sound 4"}
    assert len(read_mono(tmp_path / "out" / "scene-00.wav")) == 30 * RATE_HZ


def test_the_cost_of_cutting_is_measured_beside_the_model(capsys: pytest.CaptureFixture[str]) -> None:
    file = ROOT / "demo" / "recordings" / "radio_play.wav"
    assert boundaries.main([str(file), "--model", str(EMBEDDED), "--rounds", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-5] for line in lines[1:5]] == ["1", "1", "1", "4"]
    assert lines[-1].startswith("to cut a second of audio: ")
