"""How good the borders of labels are: true borders are where scenes are cut, and perfect labels are perfect."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bench import border_quality
from bench.border_quality import TrueBorderLabeler, as_recording, label_scenes, make_labelers
from bench.scenes import RATE_HZ, Event, Scene
from block.recording import LabeledRecording, Segment
from block.windows import PreparedRecording
from tests.conftest import EMBEDDED

LABELS = ["Dog", "Speech"]


def make_scene() -> Scene:
    """Return 10 s of the same noise with two events, which nothing sets apart from what surrounds them."""
    waveform = np.random.default_rng(0).normal(0, 0.1, 10 * RATE_HZ).astype(np.float32)
    return Scene(waveform, (Event(1.5, 4.0, "Speech"), Event(6.25, 7.0, "Dog")))


class PerfectLabeler(TrueBorderLabeler):
    """Label the scene of `make_scene` as it is, `late_s` late."""

    late_s = 0.0

    def label(self, batch: Sequence[PreparedRecording]) -> list[LabeledRecording]:
        values = batch[0].layout.values
        events = [
            (round((e.start_s + self.late_s) * RATE_HZ), round(e.end_s * RATE_HZ), e) for e in make_scene().events
        ]
        return [
            LabeledRecording(
                1, "0", values, 10.0, tuple(Segment(start, end, e.label, 0.9) for start, end, e in events), 5
            )
        ]


def test_a_scene_is_cut_at_its_true_borders() -> None:
    scene = make_scene()
    labelers = make_labelers(str(EMBEDDED), LABELS, [scene])
    layouts = {name: one.prepare(as_recording("0", scene.waveform)).layout for name, one in labelers.items()}
    assert layouts["true"].cuts == (24_000, 64_000, 100_000, 112_000)
    assert layouts["sound"].cuts == ()
    assert [len(layouts[name].windows) for name in ("grid", "sound", "true")] == [5, 1, 5]


@pytest.mark.parametrize(("late_s", "f1", "time_right"), [(0.0, 1.0, 1.0), (0.15, 1.0, 0.97), (0.25, 0.0, 0.95)])
def test_labels_like_the_events_are_right_unless_they_begin_too_late(
    late_s: float, f1: float, time_right: float
) -> None:
    scene = make_scene()
    true = make_labelers(str(EMBEDDED), LABELS, [scene])["true"]
    assert isinstance(true, TrueBorderLabeler)
    perfect = PerfectLabeler(
        true.classifier, true.filter_banks, true.windows, true.decisions, print, borders=true.borders
    )
    object.__setattr__(perfect, "late_s", late_s)
    found = label_scenes(perfect, [scene])
    assert (found.windows, found.event_f1) == (5, f1)
    assert found.time_right == pytest.approx(time_right)
    assert found.onset_s == pytest.approx(late_s)


def test_the_command_prints_scenes_and_clips(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw = np.random.default_rng(0)
    for number in range(2):
        soundfile.write(tmp_path / f"{number}.wav", draw.normal(0, 0.1, 5 * RATE_HZ), RATE_HZ)
    (tmp_path / "clips.csv").write_text("file,fold,label\n0.wav,4,Dog\n1.wav,4,Speech\n")
    assert border_quality.main([str(tmp_path / "clips.csv"), "--model", str(EMBEDDED), "--count", "1"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in lines] == ["scenes", "grid", "sound", "true", "clips,", "clips,"]
    assert lines[1][1] == "15.0"
    assert lines[4][1:] == ["grid:", lines[4][2], "of", "2", "right,", "in", "6", "windows"]
    assert lines[5][-2:] == ["2", "windows"]
