"""The options of `evaluate`: their defaults, and what is refused before anything is loaded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from block.commands import evaluate
from block.commands.evaluate_options import COMPARABLE, apply_settings, list_variants, read, set_windows
from block.commands.label_options import LABEL, SURROUNDING
from block.evaluation.thresholds import Goal
from block.settings import SettingsError


def test_defaults_leave_labels_and_windows_to_the_annotations() -> None:
    options = read(["clips", "--annotations", "a.csv"])
    assert (options.folder, options.annotations, options.audioset_labels) == ("clips", "a.csv", None)
    assert (options.bootstrap, options.seed, options.segment_s, options.exhaustive) == (1000, 0, 1.0, False)
    whole, strong = set_windows(options, False), set_windows(options, True)
    assert (whole.win_size_ms, strong.win_size_ms, strong.win_stride_ms) == (0, 2000, 2000)
    given = set_windows(read(["clips", "--win-size-ms", "500"]), True)
    assert (given.win_size_ms, given.win_stride_ms) == (500, 500)
    assert set_windows(read(["clips", "--win-stride-ms", "500"]), False).win_size_ms == 2000


def test_goals_and_comparisons_are_read() -> None:
    options = read(["clips", "--fit-thresholds", "precision=0.9", "--compare", "fill=pad", "fill=repeat, mode=fast"])
    assert options.fit_thresholds == Goal("precision", 0.9)
    names, found = zip(*list_variants(options), strict=True)
    assert names == ("fill=pad", "fill=repeat, mode=fast")
    assert [(one.fill, one.mode) for one in found] == [("pad", "exact"), ("repeat", "fast")]
    assert options.mode == "exact"
    assert [name for name, _ in list_variants(read(["clips"]))] == [""]
    assert apply_settings(options, "win-size-ms=500,min-confidence=0.4").win_size_ms == 500


def test_every_setting_that_decides_labels_can_be_compared() -> None:
    """A new option can be compared as soon as `label` has it, unless it says where or how fast to run."""
    deciding = {option.name for option in LABEL} - {"audioset-labels", "other-label", "audit-seed"}
    assert set(COMPARABLE) == deciding - (set(SURROUNDING) - {"dtype"})
    assert {"score-function", "min-segment-ms", "silence-dbfs", "no-merge", "dtype"} <= set(COMPARABLE)
    options = read(["clips", "--no-merge", "--silence-dbfs", "-50"])
    assert apply_settings(options, "no-merge=off, silence-dbfs=off, min-segment-ms=300").no_merge is False
    found = apply_settings(options, "no-merge=on,silence-dbfs=-40")
    assert (found.no_merge, found.silence_dbfs) == (True, -40)
    assert apply_settings(options, "silence-dbfs=off").silence_dbfs is None


def test_collars_are_200_ms_and_20_percent_by_default() -> None:
    options = read(["clips"])
    assert (options.collar_ms / 1000, options.collar_percent / 100) == (0.2, 0.2)
    assert read(["clips", "--collar-ms", "50", "--collar-percent", "0"]).collar_percent == 0


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--fit-thresholds", "recall"], "expected f1, or precision="),
        (["--bootstrap", "10"], "at least 100"),
        (["--seed", "-1"], "expected a whole number"),
        (["--segment-s", "0"], "expected seconds"),
        (["--collar-ms", "0"], "got '0', expected milliseconds, more than 0"),
        (["--collar-ms", "nan"], "expected milliseconds"),
        (["--collar-percent", "101"], "expected a percentage from 0 to 100"),
        (["--min-confidence", "2"], "from 0 to 1"),
        (["--compare", "fill=pad"], "expected 2 arguments"),
        (["--dry-run"], "unrecognized arguments: --dry-run"),
        (["more"], "unrecognized arguments: more"),
    ],
)
def test_wrong_options_are_refused(argv: list[str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        read(["clips", *argv])
    with pytest.raises(SettingsError, match="DIR"):
        read([])


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ("fill=pad", " fill=pad", "twice"),
        ("fill=pad", "repeat", "got 'repeat', expected name=value with one of win-size-ms, win-stride-ms"),
        ("fill=pad", "fill=", "got 'fill=', expected name=value"),
        ("fill=pad", "fill=zeros", "fill: got 'zeros', expected pad or repeat"),
        ("other-label=a", "fill=pad", "got 'other-label=a', expected"),
        ("device=cpu", "fill=pad", "got 'device=cpu', expected"),
        ("no-merge=yes", "fill=pad", "no-merge: got 'yes', expected on or off"),
        ("min-segment-ms=off", "fill=pad", "min-segment-ms: got 'off', expected a whole number"),
    ],
)
def test_configurations_that_cannot_be_compared_are_refused(a: str, b: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        list_variants(read(["clips", "--compare", a, b]))


def test_without_scikit_learn_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.metrics", None)
    with pytest.raises(SettingsError, match=r"evaluate needs scikit-learn .*; run: pip install -r locked/folder.txt"):
        evaluate.check_installed()
    with pytest.raises(SettingsError, match="locked/folder.txt"):
        evaluate.main([str(tmp_path), "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


def test_a_folder_without_recordings_is_refused_with_what_is_there_instead(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    clips, notes = tmp_path / "clips", tmp_path / "notes.csv"
    clips.mkdir()
    (clips / "a.txt").touch()
    notes.write_text("file,label\na.wav,Dog\n")
    for how in (["--annotations", str(notes)], ["--compare", "score-function=softmax", "score-function=sigmoid"], []):
        with pytest.raises(
            SettingsError, match=r"no recordings in .*clips: 1 other file: 1 \.txt; expected files ending"
        ):
            evaluate.main([str(clips), "--model", "ast-tiny-audioset", "--out", str(tmp_path / "out"), *how])
    assert not (tmp_path / "out").exists()


def test_wrong_annotations_end_with_exit_code_2_before_torch_is_imported(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    notes = tmp_path / "notes.csv"
    notes.write_text("file,label\na.wav,Hund\n")
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.wav").touch()
    script = (
        "import sys; from block import cli\n"
        f"sys.argv = ['block', 'evaluate', {str(tmp_path / 'clips')!r}, '--annotations', {str(notes)!r}, "
        f"'--model', 'ast-tiny-audioset', '--out', {str(tmp_path / 'out')!r}]\n"
        "try: cli.main_command()\n"
        "except SystemExit as end: print(end.code, 'torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "False"]
    assert "notes.csv, line 2: 'Hund' is neither a class of this checkpoint nor a new name" in done.stderr
