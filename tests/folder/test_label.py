"""`label` and `relabel` from end to end, with a small random checkpoint."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from block import windows
from block.folder import output_folder as out_folder
from block.model.classifier import Classifier
from block.settings import SettingsError
from tests.conftest import ROOT
from tests.folder import readers
from tests.folder.conftest import rows, tones

Command = Callable[..., int]
FILES = {"one.wav": (80000, 16000), "four.mp3": (192000, 48000), "dogs/two.FLAC": (145530, 44100),
         "dogs/old/three.ogg": (59535, 22050), "dogs/five.wav": (48800, 8000)}  # fmt: skip


def read_outputs(out: Path) -> dict[str, bytes]:
    """Return all files of a run except its scores."""
    paths = [path for path in out.rglob("*") if path.is_file() and out / "scores" not in path.parents]
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in paths if path.name != ".lock"}


def read_label_files(out: Path) -> dict[str, bytes]:
    """Return only the label files."""
    return {name: content for name, content in read_outputs(out).items() if name not in ("run.json", "manifest.json")}


def test_every_file_is_labeled_from_start_to_end_at_its_own_rate(audio: Path, label: Command) -> None:
    out = audio.parent / "out"
    assert label(audio, out) == 0
    found = rows(out / "labels.csv")
    assert list(dict.fromkeys(row["file"] for row in found)) == sorted(FILES, key=os.fsencode)
    spans = readers.info_labels((out / "info.labels").read_text(encoding="utf-8"))
    tasks = readers.label_studio((out / "label-studio.json").read_text(), (out / "label-studio.xml").read_text())
    tracks = readers.tracks(out / "audacity")
    assert set(spans) == {f"../audio/{name}" for name in FILES}
    assert set(tasks) == {f"audio/{name}" for name in FILES}
    assert set(tracks) == {f"{name}.txt" for name in FILES}
    for name, (values, rate) in FILES.items():
        assert readers.covers(spans[f"../audio/{name}"], values)
        assert tasks[f"audio/{name}"][-1].end == pytest.approx(values / rate, abs=1e-6)
        assert readers.audacity(tracks[f"{name}.txt"])[-1].end == pytest.approx(values / rate, abs=1e-6)
        assert [row for row in found if row["file"] == name][-1]["end_index"] == str(values - 1)
    assert len({row["label"] for row in found}) >= 2, "the tests' checkpoint tells its sounds apart"
    assert rows(out / "failed.csv") == []
    for line, (name, (values, rate)) in zip(
        json.loads((out / "manifest.json").read_text())["files"], sorted(FILES.items()), strict=True
    ):
        assert (line["path"], line["values"], line["rate_hz"]) == (name, values, rate)
        assert line["size"] == (audio / name).stat().st_size
    assert not list(out.rglob("*.tmp"))


def test_segments_follow_the_windows_of_the_ai_action(audio: Path, label: Command) -> None:
    out = audio.parent / "out"
    assert label(audio, out, "--no-merge", "--win-size-ms", "1000", "--win-stride-ms", "500") == 0
    found = rows(out / "labels.csv")
    for name, (values, rate) in FILES.items():
        cells = windows.lay_out_windows(values, windows.round_half_up(rate), windows.round_half_up(rate // 2)).cells
        here = [(int(row["start_index"]), int(row["end_index"]) + 1) for row in found if row["file"] == name]
        assert here == [(cell.start, cell.end) for cell in cells]


def test_the_bad_files_of_a_folder_are_listed_and_the_rest_labeled(
    audio: Path, label: Command, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = audio.parent / "out"
    whole, flac = (audio / "one.wav").read_bytes(), (audio / "dogs" / "two.FLAC").read_bytes()
    bad = {
        "empty.wav": (b"", "the file is empty"), "text.wav": (b"hello world\n" * 99, "can't be decoded"),
        "cut.wav": (whole[:5000], "cut off: 4956 of 160000 bytes"), "cut.flac": (flac[: len(flac) // 2], "cut off"),
        "noise.mp3": (np.random.default_rng(0).bytes(3000), "decode"),
        "garbled.flac": (flac[:200], "cut off: 0 of 145530 values"),
    }  # fmt: skip
    for name, (content, _) in bad.items():
        (audio / name).write_bytes(content)
    soundfile.write(audio / "zero.wav", np.zeros(0), 16000)
    soundfile.write(audio / "short.wav", np.zeros(100), 16000)
    (audio / "a.wav").symlink_to("a.wav")
    os.mkfifo(audio / "pipe.wav")
    (audio / "locked.wav").write_bytes(whole)
    opens = os.open

    def refusing(path: str, *rest: int) -> int:
        if os.fspath(path).endswith("locked.wav"):
            raise PermissionError(13, "Permission denied", path)
        return opens(path, *rest)

    monkeypatch.setattr(os, "open", refusing)
    assert label(audio, out) == 1
    failed = {row["file"]: row["reason"] for row in rows(out / "failed.csv")}
    expected = {name: message for name, (_, message) in bad.items()}
    expected |= {"zero.wav": "0 values", "short.wav": "25 ms", "pipe.wav": "not a regular file",
                 "a.wav": "symbolic links", "locked.wav": "Permission denied"}  # fmt: skip
    assert failed.keys() == expected.keys()
    for name, message in expected.items():
        assert any(word in failed[name] for word in message.split("|")), failed[name]
    assert {row["file"] for row in rows(out / "labels.csv")} == set(FILES)
    output = capsys.readouterr().out
    assert "5 labeled, 11 failed" in output
    assert f"11 without labels; {out}/failed.csv lists them with the reasons" in output


def test_files_with_odd_names_are_labeled_and_write_nothing_outside_the_output_folder(
    tmp_path: Path, label: Command
) -> None:
    audio, out = tmp_path / "audio", tmp_path / "out"
    odd = [b"\xff\xfe.wav", b"new\nline, \"quoted\".wav", b"\xd6l \xe9.wav", "鳥 ü.wav".encode(), b"..wav.wav",
           b"$(touch x);`id`.wav", b"=1+1.wav", b"a" * 250 + b".wav", b"-rf.wav", b" .wav"]  # fmt: skip
    audio.mkdir()
    for number, name in enumerate(odd):
        path = os.path.join(os.fsencode(audio), name)
        with open(path, "wb") as file:
            soundfile.write(file, tones(1, 16000, number), 16000, format="WAV")
    assert label(audio, out) == 0
    shown = {name.decode("utf-8", "backslashreplace") for name in odd if not name.startswith(b".")}
    assert {row["file"] for row in rows(out / "labels.csv")} == shown
    assert len(readers.tracks(out / "audacity")) == len(shown)
    tasks = readers.label_studio((out / "label-studio.json").read_text(), (out / "label-studio.xml").read_text())
    assert {os.fsencode(path) for path in tasks} == {b"audio/" + name for name in odd if not name.startswith(b".")}
    assert {path.name for path in tmp_path.iterdir()} == {"audio", "out"}


def test_a_repeated_run_computes_nothing_and_writes_the_same_files(
    audio: Path, label: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = audio.parent / "out"
    assert label(audio, out) == 0
    before = read_outputs(out)

    def never(*_: object) -> None:
        raise AssertionError("the model is not needed")

    monkeypatch.setattr(Classifier, "__init__", never)
    reads = []
    monkeypatch.setattr("block.folder.source.compute_sha256", lambda file: reads.append(file) or "")
    assert label(audio, out) == 0
    assert read_outputs(out) == before
    assert reads == []
    assert "reusing stored scores: 5 of 5 recordings did not change" in capsys.readouterr().out


def test_changed_new_renamed_and_deleted_files_are_detected(
    audio: Path, label: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    out, fresh = audio.parent / "out", audio.parent / "fresh"
    assert label(audio, out) == 0
    before = rows(out / "labels.csv")
    stamp = (audio / "one.wav").stat()
    soundfile.write(audio / "one.wav", tones(5, 16000, 2), 16000)  # the same size, another modification time
    os.utime(audio / "one.wav", ns=(stamp.st_atime_ns, stamp.st_mtime_ns + 1))
    soundfile.write(audio / "new.wav", tones(2, 16000, 1), 16000)
    (audio / "dogs" / "five.wav").rename(audio / "renamed.wav")
    (audio / "four.mp3").unlink()
    capsys.readouterr()
    assert label(audio, out) == 0
    assert "reusing stored scores: 2 of 5 recordings did not change" in capsys.readouterr().out
    assert label(audio, fresh) == 0
    assert read_outputs(out) == read_outputs(fresh)
    after = rows(out / "labels.csv")
    assert {row["file"] for row in after} == {
        "one.wav",
        "new.wav",
        "renamed.wav",
        "dogs/two.FLAC",
        "dogs/old/three.ogg",
    }
    assert [row for row in after if row["file"] == "one.wav"] != [row for row in before if row["file"] == "one.wav"]


def test_a_file_that_is_damaged_later_loses_its_labels(audio: Path, label: Command) -> None:
    out = audio.parent / "out"
    assert label(audio, out) == 0
    (audio / "one.wav").write_bytes((audio / "one.wav").read_bytes()[:3000])
    assert label(audio, out) == 1
    assert [row["file"] for row in rows(out / "failed.csv")] == ["one.wav"]
    assert "one.wav" not in {row["file"] for row in rows(out / "labels.csv")}
    assert "one.wav.txt" not in readers.tracks(out / "audacity")


SETTINGS = [
    ["--audioset-labels", "dog (hund, 0.05), music\nwhimper, silence", "--min-confidence", "0.1"],
    ["--audioset-labels", "speech, dog", "--score-function", "sigmoid", "--no-merge", "--other-label", "nothing"],
    ["--audioset-labels", "speech, music, whimper (dog)", "--min-confidence", "0", "--min-segment-ms", "2500"],
    ["--audioset-labels", "music", "--silence-dbfs", "-20", "--formats", "csv,audacity"],
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_relabeling_gives_what_a_fresh_run_gives_without_audio_and_model(
    audio: Path, label: Command, relabel: Command, settings: list[str]
) -> None:
    out, fresh = audio.parent / "out", audio.parent / "fresh"
    windows = ["--win-size-ms", "1500", "--win-stride-ms", "500"]
    (audio / "text.wav").write_text("hello")
    assert label(audio, out, *windows) == 1
    first = read_label_files(out)
    assert label(audio, fresh, *windows, *settings) == 1
    shutil.move(audio, audio.parent / "elsewhere")
    assert relabel(out, *settings) == 1
    assert read_label_files(out) == read_label_files(fresh)
    assert read_label_files(out) != first
    assert read_outputs(out) == read_outputs(fresh)


def test_relabeling_needs_neither_torch_nor_the_checkpoint(audio: Path, label: Command) -> None:
    out = audio.parent / "out"
    assert label(audio, out) == 0
    code = (
        "import sys; from block import cli;"
        "code = cli.run_command(['relabel', sys.argv[1], '--min-confidence', '0.5']);"
        "assert 'torch' not in sys.modules; sys.exit(code)"
    )
    subprocess.run([sys.executable, "-c", code, str(out)], cwd=ROOT, check=True, capture_output=True)


def test_windows_skipped_as_silent_need_label_again_because_relabel_refuses(
    audio: Path, label: Command, relabel: Command
) -> None:
    out, fresh = audio.parent / "out", audio.parent / "fresh"
    quiet = tones(6, 16000) * np.repeat([1, 0.001, 1], 32000)
    soundfile.write(audio / "quiet.wav", quiet, 16000, "FLOAT")
    assert label(audio, out, "--silence-dbfs", "-50") == 0
    with pytest.raises(SettingsError, match="^without --silence-dbfs, scores are missing for 1 window of 1 rec"):
        relabel(out, "--silence-dbfs", "")
    assert label(audio, out) == 0
    assert label(audio, fresh) == 0
    assert read_outputs(out) == read_outputs(fresh)


def test_without_a_score_store_labels_are_the_same_but_relabel_is_refused(
    audio: Path, label: Command, relabel: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, bare = audio.parent / "out", audio.parent / "bare"
    assert label(audio, out, "--batch-size", "1") == 0
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert label(audio, bare, "--batch-size", "1", "--no-score-store") == 0
    assert read_label_files(bare) == read_label_files(out)
    assert not (bare / "scores").exists()
    with pytest.raises(SettingsError, match="written with --no-score-store"):
        relabel(bare)


def test_without_pyarrow_scores_are_not_stored_but_an_existing_store_is_not_ignored(
    audio: Path, label: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, bare = audio.parent / "out", audio.parent / "bare"
    assert label(audio, out, "--batch-size", "1") == 0
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert label(audio, bare, "--batch-size", "1") == 0
    assert read_label_files(bare) == read_label_files(out)
    assert not (bare / "scores").exists()
    assert "scores aren't stored, so relabel can't be used" in (captured := capsys.readouterr()).out + captured.err
    with pytest.raises(SettingsError, match=r"pip install -r locked/folder\.txt; or add --no-score-store$"):
        label(audio, out)


def test_wrong_folders_are_refused_and_nothing_is_written(audio: Path, label: Command) -> None:
    file = audio.parent / "file"
    file.write_text("")
    full = audio.parent / "full"
    full.mkdir()
    (full / "thesis.txt").write_text("")
    for folder, out, message in [
        (audio.parent / "nowhere", full, "nowhere can't be read as a folder: No such file"),
        (file, audio.parent / "out", "file can't be read as a folder: Not a directory"),
        (audio, audio, "is the folder of recordings; give"), (audio, audio.parent, "contains the folder of recordings"),
        (audio, full, "contains other files"), (audio, file, "can't be read as a folder: Not a directory"),
    ]:  # fmt: skip
        with pytest.raises(SettingsError, match=message):
            label(folder, out)
    with pytest.raises(SettingsError, match="can't be written in UTF-8"):
        label(audio, audio.parent / "out", "--other-label", "\udcff")
    assert sorted(path.name for path in audio.parent.iterdir()) == ["audio", "file", "full"]


def test_a_second_run_into_the_same_folder_is_refused(audio: Path, label: Command) -> None:
    out = audio.parent / "out"
    with out_folder.lock(out), pytest.raises(SettingsError, match="another run is writing"):
        label(audio, out)
    assert label(audio, out) == 0


def test_a_folder_without_recordings_is_refused_and_earlier_labels_stay(audio: Path, label: Command) -> None:
    out = audio.parent / "out"
    assert label(audio, out) == 0
    before = read_label_files(out)
    audio.rename(audio.parent / "moved")
    audio.mkdir()
    (audio / "notes.txt").touch()
    for target in (out, audio / "new"):
        with pytest.raises(SettingsError, match=r"no recordings in .*: 1 other file: 1 \.txt; expected files"):
            label(audio, target)
    assert read_label_files(out) == before
    assert not (audio / "new").exists()


def test_a_folder_whose_recordings_are_all_labeled_is_a_success(
    audio: Path, label: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    out = audio.parent / "out"
    assert label(audio, out) == label(audio, out) == 0
    assert "reusing stored scores: 5 of 5 recordings did not change" in capsys.readouterr().out


def test_fast_mode_writes_the_same_files_and_reports_its_audit(
    audio: Path, label: Command, relabel: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    out = audio.parent / "out"
    assert label(audio, out, "--mode", "fast", "--win-size-ms", "200", "--win-stride-ms", "200") == 0
    assert "fast mode" in capsys.readouterr().out
    before = read_label_files(out)
    assert readers.info_labels(before["info.labels"].decode()).keys() == {f"../audio/{name}" for name in FILES}
    assert relabel(out) == 0
    assert read_label_files(out) == before


def has_namespaces() -> bool:
    try:
        return not subprocess.run(["unshare", "-rn", "true"], capture_output=True, check=False).returncode
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.skipif(not has_namespaces(), reason="no network namespaces here")
def test_a_machine_without_a_network_and_without_a_key_labels(audio: Path, checkpoint_folder: Path) -> None:
    out = audio.parent / "out"
    ended = subprocess.run(
        ["unshare", "-rn", sys.executable, "-m", "block", "label", str(audio), "--out", str(out), "--model",
         str(checkpoint_folder), "--audioset-labels", "speech, dog"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    assert len(rows(out / "labels.csv")) >= 5


def test_the_folder_of_a_run_that_was_killed_early_can_be_used_again(audio: Path, label: Command) -> None:
    out = audio.parent / "out"
    out.mkdir()
    (out / ".lock").touch()
    (out / ".run.json.tmp").write_text("{")
    assert label(audio, out) == 0
    assert not (out / ".run.json.tmp").exists()


def test_a_full_disk_is_reported_and_recordings_without_scores_are_listed(
    audio: Path, label: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = audio.parent / "out"

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("block.score_store.store.write_shard", full)
        assert label(audio, out) == 1
    assert "No space left on device" in capsys.readouterr().out
    assert {row["reason"] for row in rows(out / "failed.csv")} == {
        "its scores could not be stored: No space left on device"
    }
    assert label(audio, out) == 0
    with monkeypatch.context() as patch:
        patch.setattr("block.runtime.atomic_file.os.fsync", full)
        assert label(audio, out) == 1
    assert f"{out} can't be written: No space left on device" in capsys.readouterr().err
    assert len(rows(out / "labels.csv")) >= 5
