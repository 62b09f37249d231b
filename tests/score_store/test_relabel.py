"""Labels decided from stored scores equal those of a new run: every segment, to the last bit of its score."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from block.labeling.cached_labeler import CachedLabeler
from block.model.classifier import Logits
from block.recording import LabeledRecording, Recording
from block.score_store import Scored, ScoreStore
from block.score_store.relabel import NamedRecording, decide, relabel
from block.settings import DecisionSettings, SettingsError, WindowSettings
from tests.conftest import ROOT
from tests.score_store.labelers import decisions, key, make_labeler, sound

SOUNDS = (sound(7.3), sound(0.4, identity=2), sound(13.0, 8000, 3), sound(5.05, 22050, 4))
WINDOWS = (
    WindowSettings(1000, 1000), WindowSettings(2000, 700), WindowSettings(0, 0), WindowSettings(11000, 6000),
    WindowSettings(boundaries="sound"),
)  # fmt: skip
SETTINGS: tuple[dict[str, object], ...] = (
    {},
    {"score_function": "sigmoid"},
    {"score_function": "sigmoid", "threshold": 0.7, "text": "Silence, Dog (barks), Music (barks, 0.2)"},
    {"threshold": 0.0, "merge": False},
    {"threshold": 1.0, "other_label": "nothing"},
    {"min_segment_ms": 1700},
    {"min_event_ms": 1500, "min_gap_ms": 1500, "threshold": 0.3},
    {"hysteresis": 0.4, "threshold": 0.3, "text": "Music, Dog"},
    {"median_ms": 3000, "hysteresis": 0.8},
    {"silence_dbfs": -50.0},
    {"silence_dbfs": -10.0, "merge": False, "score_function": "sigmoid"},
)


def name_recordings(sounds: tuple[Recording, ...]) -> list[NamedRecording]:
    return [NamedRecording(one.id, one.name, one.content) for one in sounds]


def fill_store(tmp_path: Path, checkpoint: Path, windows: WindowSettings, settings: DecisionSettings) -> ScoreStore:
    labeler = make_labeler(checkpoint, windows, settings)
    store = ScoreStore(tmp_path / "scores", key(labeler), labeler.classifier.checkpoint.class_names)
    with store:
        CachedLabeler(labeler, store).label([labeler.prepare(one) for one in SOUNDS])
    return ScoreStore.open_read_only(tmp_path / "scores", key(labeler))


MEMORY: dict[
    bytes, Logits
] = {}  # shared by the runs without a store: their logits are the same, only their decisions differ


def label_without_store(
    checkpoint: Path, windows: WindowSettings, settings: DecisionSettings
) -> list[LabeledRecording]:
    """Return the labels of a run without a store."""
    labeler = make_labeler(checkpoint, windows, settings, memory=MEMORY)
    return labeler.label([labeler.prepare(one) for one in SOUNDS])


@pytest.mark.parametrize("windows", WINDOWS, ids=str)
def test_relabel_equals_a_fresh_run(tmp_path: Path, checkpoint_folder: Path, windows: WindowSettings) -> None:
    store = fill_store(tmp_path, checkpoint_folder, windows, decisions(checkpoint_folder))
    different = set()
    for asked in SETTINGS:
        settings = decisions(checkpoint_folder, **asked)  # type: ignore[arg-type]
        again = relabel(store, name_recordings(SOUNDS), settings)
        assert again == label_without_store(checkpoint_folder, windows, settings)
        different.add(tuple(one.segments for one in again))
    assert len(different) > 4, "the settings hardly differ: the test could not fail"


def test_the_silence_threshold_can_be_raised_but_not_lowered(tmp_path: Path, checkpoint_folder: Path) -> None:
    windows = WindowSettings(1000, 500)
    store = fill_store(tmp_path, checkpoint_folder, windows, decisions(checkpoint_folder, silence_dbfs=-40.0))
    for level in (-40.0, -15.0):
        settings = decisions(checkpoint_folder, silence_dbfs=level)
        assert relabel(store, name_recordings(SOUNDS), settings) == label_without_store(
            checkpoint_folder, windows, settings
        )
    labeler = make_labeler(checkpoint_folder, windows, settings)
    levels = np.concatenate([labeler.prepare(one).levels_dbfs for one in SOUNDS])
    quiet, digital = int(((levels < -40) & (levels >= -200)).sum()), int((levels == -np.inf).sum())
    assert quiet > 2
    assert digital > 0
    message = (
        rf"^with --silence-dbfs -200, scores are missing for {quiet} windows of 3 recordings that the run skipped "
    )
    with pytest.raises(SettingsError, match=message) as no:
        relabel(store, name_recordings(SOUNDS), decisions(checkpoint_folder, silence_dbfs=-200.0))
    enough = float(str(no.value).split("give --silence-dbfs ")[1].split(" ")[0])
    settings = decisions(checkpoint_folder, silence_dbfs=enough)
    assert relabel(store, name_recordings(SOUNDS), settings) == label_without_store(
        checkpoint_folder, windows, settings
    )
    # Digital silence is −∞ dBFS: the model scores it only without a threshold.
    message = rf"^without --silence-dbfs, scores are missing for {quiet + digital} windows of 3 recordings"
    with pytest.raises(SettingsError, match=message):
        relabel(store, name_recordings(SOUNDS), decisions(checkpoint_folder))


def test_copies_of_a_file_get_the_same_labels_under_their_own_names(tmp_path: Path, checkpoint_folder: Path) -> None:
    settings = decisions(checkpoint_folder)
    store = fill_store(tmp_path, checkpoint_folder, WINDOWS[0], settings)
    asked = [
        NamedRecording(7, "b/copy", SOUNDS[3].content),
        *name_recordings(SOUNDS[:2]),
        NamedRecording(9, "a", SOUNDS[3].content),
    ]
    got = relabel(store, asked, settings)
    assert [(one.id, one.name) for one in got] == [(7, "b/copy"), (1, "r1"), (2, "r2"), (9, "a")]
    assert got[0] == replace(got[3], id=7, name="b/copy")


def test_recordings_without_scores_are_named(tmp_path: Path, checkpoint_folder: Path) -> None:
    settings = decisions(checkpoint_folder)
    store = fill_store(tmp_path, checkpoint_folder, WINDOWS[0], settings)
    asked = [*name_recordings(SOUNDS), NamedRecording(5, "new", "0" * 64), NamedRecording(6, "newer", "1" * 64)]
    with pytest.raises(
        SettingsError, match="no scores for 2 of 6 recordings, such as 'new'; label them first$"
    ) as missing:
        relabel(store, asked, settings)
    assert "newer" not in str(missing.value)


def test_scores_of_other_windows_are_refused(checkpoint_folder: Path) -> None:
    one = np.zeros((1, 7), np.float32)
    scored = Scored("0" * 64, 48000, Fraction(16000), (1,), np.zeros(1, np.float32), one)
    with pytest.raises(ValueError, match="got scores of 1 windows; expected 3 for 1000 ms every 1000 ms"):
        decide(scored, WindowSettings(1000, 1000), decisions(checkpoint_folder))


def test_the_mode_of_the_scores_is_that_of_the_labels(checkpoint_folder: Path) -> None:
    one = np.zeros((1, 7), np.float32)
    scored = Scored("0" * 64, 8000, Fraction(16000), (1,), np.zeros(1, np.float32), one, "fast merged")
    assert decide(scored, WINDOWS[0], decisions(checkpoint_folder)).mode == "fast merged"


def test_relabel_needs_no_torch(tmp_path: Path) -> None:
    program = f"""
import sys
sys.modules["torch"] = None
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from block.labels import parse_labels
from block.score_store.relabel import NamedRecording, ScoreStore, relabel
from block.settings import DecisionSettings
from tests.score_store.scores import KEY, NAMES, make_scores
scored = replace(make_scores(0, windows=4), values=5000, value_rate_hz=Fraction(1000))
with ScoreStore(Path({str(tmp_path)!r}), KEY, NAMES) as store:
    store.add(scored)
settings = DecisionSettings(parse_labels("dog", NAMES, 0.2))
store = ScoreStore.open_read_only(store.folder, KEY)
print(relabel(store, [NamedRecording(1, "a", scored.content)], settings)[0].windows)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "4\n"), done.stderr
