"""`python -m block evaluate` on audio files with a small random checkpoint, and on ESC-10 if it is available."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from block.class_names import LabelError
from block.commands import evaluate as command
from block.decisions import apply_score_function
from block.score_store import ScoreStore
from block.settings import SettingsError
from tests.conftest import EMBEDDED, NAMES, SHARED

sklearn = pytest.importorskip("sklearn.metrics")
pytest.importorskip("pyarrow")

RATE_HZ = 16000
LABELS = ("Speech", "Music", "Dog")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with tones of three pitches, each in its own subfolder, and one recording outside them."""
    root = tmp_path_factory.mktemp("clips")
    rng = np.random.default_rng(0)
    time = np.arange(RATE_HZ * 3) / RATE_HZ
    for label, hz in zip(LABELS, (200, 800, 3200), strict=True):
        (root / label).mkdir()
        for at in range(5):
            tone = 0.3 * np.sin(2 * np.pi * hz * rng.uniform(0.8, 1.2) * time) + rng.normal(0, 0.02, len(time))
            soundfile.write(root / label / f"{at}.wav", tone.astype(np.float32), RATE_HZ, subtype="FLOAT")
    soundfile.write(root / "alone.wav", np.zeros(RATE_HZ), RATE_HZ)
    return root


@pytest.fixture
def evaluate(recordings: Path, checkpoint_folder: Path, tmp_path: Path) -> Callable[..., tuple[int, dict]]:
    """Return a function that runs the command and returns its exit code and the content of evaluation.json."""

    def run(*arguments: str, folder: Path = recordings, out: str = "out") -> tuple[int, dict]:
        target = tmp_path / out
        code = command.main(
            [str(folder), "--model", str(checkpoint_folder), "--device", "cpu", "--out", str(target), *arguments]
        )
        assert (target / "report.html").is_file()
        return code, json.loads((target / "evaluation.json").read_text(encoding="utf-8"))

    return run


def write_annotations(path: Path, rows: list[tuple[object, ...]], strong: bool = False) -> str:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("file", "start_s", "end_s", "label") if strong else ("file", "label"))
        writer.writerows(rows)
    return str(path)


def test_the_metrics_of_a_folder_per_class_equal_scikit_learns_on_the_stored_logits(
    evaluate, recordings, tmp_path, capsys
) -> None:  # type: ignore[no-untyped-def]
    code, found = evaluate("--bootstrap", "100")
    output = capsys.readouterr().out
    assert code == 0
    assert "1 file in the folder but not annotated (ignored): alone.wav" in output
    assert found["present_and_not_annotated"] == ["alone.wav"]
    (key,) = ScoreStore.list_keys(tmp_path / "out" / "scores")
    store = ScoreStore.open_read_only(tmp_path / "out" / "scores", key)
    from block.runtime.hashing import compute_sha256

    files = [recordings / label / f"{at}.wav" for label in LABELS for at in range(5)]
    logits = np.stack([store.find(compute_sha256(file)).logits.max(axis=0) for file in files])
    scores = apply_score_function(logits, "softmax")
    for at, label in enumerate(LABELS):
        there = np.arange(15) // 5 == at
        values = scores[:, NAMES.index(label)]
        one = found["figures"]["labels"][label]
        assert one["average_precision"]["value"] == pytest.approx(sklearn.average_precision_score(there, values))
        assert one["roc_auc"]["value"] == pytest.approx(sklearn.roc_auc_score(there, values))
        assert one["clips_with_it"] == 5


def test_a_second_evaluation_needs_no_inference_even_with_other_labels(evaluate, monkeypatch, capsys) -> None:  # type: ignore[no-untyped-def]
    first = evaluate("--bootstrap", "100")[1]
    from block.model.classifier import Classifier

    monkeypatch.setattr(Classifier, "begin", lambda *_: pytest.fail("the model ran again"))
    again = evaluate("--bootstrap", "100")[1]
    assert again == first
    assert "reusing the scores of 15 of 15 recordings, stored in " in capsys.readouterr().out
    other = evaluate("--bootstrap", "100", "--audioset-labels", "Dog (hound)\nSpeech\nMusic",
                     "--score-function", "sigmoid", "--min-confidence", "0.5", "--translate-thresholds")[1]  # fmt: skip
    assert other["translated"]["score_function"] == "softmax"


def test_files_that_fail_are_listed_and_the_rest_is_evaluated(evaluate, recordings, tmp_path, capsys) -> None:  # type: ignore[no-untyped-def]
    broken = recordings / "broken.wav"
    broken.write_bytes(b"RIFF, or so it says")
    accented = recordings / "caf\u00e9.wav"  # annotated below in another Unicode form, as some systems write it
    soundfile.write(accented, np.zeros(RATE_HZ), RATE_HZ)
    rows = [(f"{label}/{at}.wav", label) for label in LABELS for at in range(5)]
    rows += [
        ("broken.wav", "Dog"),
        ("gone.wav", "Dog"),
        ("../outside.wav", "Dog"),
        ("alone.wav", ""),
        ("cafe\u0301.wav", ""),
    ]
    try:
        code, found = evaluate("--annotations", write_annotations(tmp_path / "a.csv", rows), "--bootstrap", "100")
    finally:
        broken.unlink()
        accented.unlink()
    assert code == 1
    assert list(found["failed"]) == ["broken.wav"]
    assert found["annotated_and_missing"] == ["gone.wav", "../outside.wav"]
    assert found["figures"]["clips"] == 17
    assert "2 files annotated but not in the folder: gone.wav, ../outside.wav" in capsys.readouterr().out


def test_strong_labels_get_windows_and_segments(evaluate, tmp_path) -> None:  # type: ignore[no-untyped-def]
    rows = [(f"{label}/{at}.wav", 0.5, 2.0, label) for label in LABELS for at in range(5)]
    path = write_annotations(tmp_path / "a.csv", rows, strong=True)
    smoothing = ("--hysteresis", "0.5", "--min-gap-ms", "100")
    code, found = evaluate("--annotations", path, "--bootstrap", "100", "--segment-s", "0.5", *smoothing)
    assert code == 0
    assert found["settings"]["in time"] == "--hysteresis 0.5, --min-gap-ms 100"
    assert found["settings"]["windows"].startswith("2000 ms every 2000 ms")
    assert found["segment_s"] == 0.5
    assert found["figures"]["micro"]["segments_as_labelled"]["recall"]["value"] is not None


def test_tables_of_other_programs_are_annotations_and_any_setting_is_compared_in_time(
    evaluate, tmp_path, capsys
) -> None:  # type: ignore[no-untyped-def]
    tables = tmp_path / "tables"
    head = "Selection\tView\tBegin Time (s)\tEnd Time (s)\tSpecies\n"
    for label in LABELS:
        (tables / label).mkdir(parents=True)
        (tables / label / "0.Table.1.selections.txt").write_text(f"{head}1\tSpectrogram 1\t0.5\t2.0\t{label}\n")
        (tables / label / "1.wav.txt").write_text(f"0.5\t2.0\t{label}\n")
    (tables / "alone.BirdNET.results.csv").write_text("Start (s),End (s),Scientific name,Common name,Confidence\n")
    given = ("--annotations", str(tables), "--bootstrap", "100", "--collar-ms", "600", "--collar-percent", "0")
    code, found = evaluate(*given, "--compare", "min-confidence=0", "min-confidence=1,no-merge=on")
    assert code == 0
    assert found["figures"]["clips"] == 7
    assert (found["events"]["collar_s"], found["events"]["collar_share"]) == (0.6, 0)
    assert [one["events"] for one in found["events"]["labels"].values()] == [2, 2, 2]
    assert found["events"]["micro"]["time_right"]["high"] is not None
    nothing = found["compared"]["events_b"]
    assert nothing["micro"]["rates"]["f1"]["value"] == 0
    assert nothing["micro"]["time_right"]["value"] == pytest.approx((6 * 1.5 + 1) / (6 * 3 + 1))
    assert "pooled" in found["compared"]["differences"]["event F1"]
    output = capsys.readouterr().out
    assert "events, as labeled: start within 0.6 s, end within 0.6 s or 0 % of the length" in output
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert '<section id="timelines">' in page
    (tables / "Dog" / "2.txt").write_text("0.5\t2.0\tDog\n2\t3\tHund\n")
    with pytest.raises(
        LabelError, match=r"2\.txt, line 2: 'Hund' is neither a class of this checkpoint nor a new name"
    ):
        evaluate(*given)


def test_two_configurations_are_compared_and_thresholds_are_fitted(evaluate, capsys) -> None:  # type: ignore[no-untyped-def]
    _, found = evaluate("--bootstrap", "100", "--compare", "fill=pad", "fill=repeat", "--fit-thresholds", "f1")
    assert (found["compared"]["a"], found["compared"]["b"]) == ("fill=pad", "fill=repeat")
    assert found["compared"]["figures_b"] != found["figures"]
    assert [one["left_because"] for one in found["fitted"]] == ["5 clips with it; at least 10 are needed"] * 3
    output = capsys.readouterr().out
    assert "A: fill=pad (everything above)" in output
    assert "Dog: threshold unchanged: 5 clips with it" in output


def test_two_checkpoints_and_two_modes_can_be_compared(evaluate, checkpoint_folder, make_checkpoint) -> None:  # type: ignore[no-untyped-def]
    other = make_checkpoint(seed=1)
    _, found = evaluate("--bootstrap", "100", "--compare", f"model={checkpoint_folder}", f"model={other}")
    assert found["compared"]["figures_b"]["labels"] != found["figures"]["labels"]
    _, found = evaluate("--bootstrap", "100", "--compare", "mode=exact", "mode=fast")
    # With so few windows fast mode computes all of them exactly.
    assert found["compared"]["differences"]["AP"]["mean"]["b_minus_a"]["value"] == 0
    _, found = evaluate(
        "--compare", f"model={checkpoint_folder}", f"model={make_checkpoint(names=NAMES[::-1])}", "--bootstrap", "100"
    )
    assert list(found["compared"]["figures_b"]["labels"]) == list(found["figures"]["labels"])


def test_without_annotations_only_the_agreement_is_reported(evaluate, recordings, tmp_path, capsys) -> None:  # type: ignore[no-untyped-def]
    flat = tmp_path / "flat"
    shutil.copytree(recordings, flat / "monday")  # `monday` names no class
    arguments = ("--win-size-ms", "1000", "--compare", "mode=exact", "mode=fast")
    code, found = evaluate(*arguments, folder=flat)
    assert code == 0
    agreement = found["compared"]["agreement"]
    assert (found["compared"]["a"], found["compared"]["b"]) == ("mode=exact", "mode=fast")
    # With so few windows fast mode computes all of them exactly; `alone.wav` is silent and 1 s long.
    assert (agreement["windows"], agreement["same_label"]) == (46, 1.0)
    assert agreement["largest_score_difference"] == pytest.approx(0, abs=0.02), "40 of 46 windows are exact"
    assert agreement["speedup"] > 0
    assert "figures" not in found
    output = capsys.readouterr().out
    assert "Same label: 46 of 46 windows (100.0 %)." in output
    assert "B is " in output
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "Same label: 46 of 46 windows (100.0 %)." in page
    assert "annotations</dt>" not in page
    again = evaluate(*arguments, folder=flat)[1]["compared"]["agreement"]
    assert again == {**agreement, "speedup": None}, "stored scores say nothing about speed"
    other = evaluate("--compare", "fill=pad", "fill=repeat", "--audioset-labels", "Dog", folder=flat)[1]
    assert other["compared"]["agreement"]["largest_score_difference"] > 0


def test_folders_named_after_a_label_of_interest_are_annotations(evaluate, recordings) -> None:  # type: ignore[no-untyped-def]
    compare = ("--bootstrap", "100", "--compare", "fill=pad", "fill=repeat")
    found = evaluate(*compare)[1]
    assert found["compared"]["agreement"]["windows"] == 15
    assert "figures" in found
    assert "figures" not in evaluate(*compare, "--audioset-labels", "Silence")[1]
    for option in (("--fit-thresholds", "f1"), ("--translate-thresholds",)):
        with pytest.raises(SettingsError, match=f"{option[0]} needs annotations"):
            evaluate(*compare, "--audioset-labels", "Silence", *option)
    with pytest.raises(SettingsError, match="expected the same windows; to compare different ones, give --annotations"):
        evaluate("--audioset-labels", "Silence", "--compare", "win-size-ms=1000", "win-size-ms=2000")


def test_events_outside_of_their_recordings_are_questioned_in_the_log_and_in_the_report(
    evaluate, tmp_path, capsys
) -> None:  # type: ignore[no-untyped-def]
    rows = [("Dog/0.wav", 0, 2, "Dog"), ("Dog/1.wav", 5, 6, "Dog"), ("Music/0.wav", 0, 4.5, "Music")]
    code, found = evaluate("--annotations", write_annotations(tmp_path / "a.csv", rows, strong=True))
    question = (
        "2 annotations lie outside of their recordings (Dog/1.wav: 5 to 6 s, it is 3 s long): are the times in "
        "milliseconds?"
    )
    assert code == 0
    assert question in capsys.readouterr().out.splitlines()
    assert [one["file"] for one in found["outside_of_recordings"]] == ["Dog/1.wav", "Music/0.wav"]
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "2 annotations outside of the recording: are the times in milliseconds?" in page
    assert "<li>Music/0.wav: 0 to 4.5 s, it is 3 s long</li>" in page


def test_times_in_milliseconds_are_refused(evaluate, recordings, tmp_path) -> None:  # type: ignore[no-untyped-def]
    rows = [(f"{label}/0.wav", 0, 2000, label) for label in LABELS]
    with pytest.raises(SettingsError, match=r"a\.csv: 3 annotations lie outside .* are the times in milliseconds\?"):
        evaluate("--annotations", write_annotations(tmp_path / "a.csv", rows, strong=True))


def test_annotations_and_folders_with_names_that_are_not_utf_8_are_evaluated(evaluate, recordings, tmp_path) -> None:  # type: ignore[no-untyped-def]
    odd = tmp_path / os.fsdecode(b"caf\xe9")
    try:
        shutil.copytree(recordings, odd)
    except OSError:
        pytest.skip("the file system can't have such names")
    code, found = evaluate("--bootstrap", "100", folder=odd)
    assert code == 0
    assert r"caf\xe9" in found["settings"]["annotations"]


def test_what_cannot_be_evaluated_is_refused_with_one_line(evaluate, recordings, tmp_path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(
        SettingsError,
        match=r"annotated files is in .* \(1 missing, for example 'x.wav'\); make their paths relative",
    ):
        evaluate("--annotations", write_annotations(tmp_path / "a.csv", [("x.wav", "Dog")]))
    with pytest.raises(LabelError, match=r"a.csv, line 2: 'Hund' is neither a class of this checkpoint nor a new name"):
        evaluate("--annotations", write_annotations(tmp_path / "a.csv", [("Dog/0.wav", "Hund")]))
    with pytest.raises(SettingsError, match="contains the folder of recordings; choose a folder that doesn't"):
        command.main([str(recordings), "--out", str(recordings.parent)])
    with pytest.raises(SettingsError, match="nowhere can't be read as a folder: No such file"):
        command.main([str(tmp_path / "nowhere"), "--out", str(tmp_path / "out")])


def test_annotations_without_a_label_of_interest_are_refused_unless_they_are_complete(evaluate, tmp_path) -> None:  # type: ignore[no-untyped-def]
    rows = [("Dog/0.wav", "Dog"), ("Music/0.wav", "Music"), ("Speech/0.wav", "")]
    arguments = ("--annotations", write_annotations(tmp_path / "a.csv", rows), "--bootstrap", "100")
    message = (
        "no label of interest occurs in the annotations: got Speech, Silence, but the annotations contain Dog, Music; "
        "give labels that occur in them with --audioset-labels, or, if the annotations are complete, add --exhaustive"
    )
    with pytest.raises(SettingsError, match=re.escape(message)):
        evaluate(*arguments, "--audioset-labels", "Speech, Silence")
    rows = [("Dog/0.wav", "")]
    unlabeled = ("--annotations", write_annotations(tmp_path / "b.csv", rows), "--audioset-labels", "Dog")
    with pytest.raises(SettingsError, match="got Dog, but the annotations contain no labels"):
        evaluate(*unlabeled)
    code, found = evaluate(*arguments, "--audioset-labels", "Speech, Silence", "--exhaustive")
    assert (code, list(found["figures"]["labels"])) == (0, ["Speech", "Silence"])


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "audio" / "esc10.csv").is_file(), reason="ESC-10 is not available")
def test_the_embedded_checkpoint_labels_esc10(tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["--annotations", str(SHARED / "audio" / "esc10.csv"), "--model", EMBEDDED.name, "--device", "cpu"]
    assert command.main([str(SHARED / "audio"), *arguments, "--out", str(out)]) == 0
    found = json.loads((out / "evaluation.json").read_text(encoding="utf-8"))
    assert found["figures"]["clips"] == 318
    assert found["figures"]["mean_average_precision"]["value"] > 0.9  # it was trained on these clips
