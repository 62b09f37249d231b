"""Clips for training, cut from recordings of several formats."""

from __future__ import annotations

import json
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from block.folder import clips
from block.folder.clips import FOLDER, LIST, ClipsReport, plan_clips, write_clips
from block.folder.labeled_file import LabeledFile
from block.folder.location import LocalFolder
from block.folder.output_folder import RUN_FILE
from block.folder.safe_names import distinguish, flatten_path, make_safe, name_label_folder
from block.recording import Segment
from block.runtime.atomic_file import temporary_path
from block.runtime.hashing import compute_sha256
from tests.folder.conftest import tones

SPANS = ((0, 700, "dog"), (700, 1001, "other"), (1001, 4000, "dog"), (4000, 5003, "a/b"))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def write_sound(
    folder: Path, path: str = "yard/one.wav", subtype: str = "PCM_16", channels: int = 2, rate_hz: int = 8000
) -> LabeledFile:
    """Write a recording of 5,003 values, and return it with labels."""
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    mono = tones(1, 5003, len(path))
    soundfile.write(target, np.stack([mono * (at + 1) / 4 for at in range(channels)], axis=1), rate_hz, subtype)
    return label_sound(folder, path, rate_hz)


def label_sound(folder: Path, path: str, rate_hz: int, spans: tuple[tuple[int, int, str], ...] = SPANS) -> LabeledFile:
    with (folder / path).open("rb") as file:
        content = compute_sha256(file)
    segments = tuple(Segment(start, end, label, 0.5) for start, end, label in spans)
    return LabeledFile(path, (folder / path).stat().st_size, 5003, rate_hz, segments, "exact", content)


def cut(out: Path, files: list[LabeledFile], pad_ms: int = 0) -> ClipsReport:
    return write_clips(out, files, LocalFolder(str(out.parent / "audio")), pad_ms)


def find_clips(out: Path) -> list[str]:
    return sorted(path.relative_to(out / FOLDER).as_posix() for path in (out / FOLDER).rglob("*.wav"))


@pytest.mark.parametrize(
    ("subtype", "channels", "expected"),
    [
        ("PCM_16", 1, "PCM_16"),
        ("PCM_16", 2, "PCM_16"),
        ("PCM_24", 1, "PCM_24"),  # frames of 3 bytes: clips of an odd length need a byte of padding
        ("PCM_U8", 2, "PCM_16"),
        ("PCM_32", 2, "FLOAT"),
        ("FLOAT", 3, "FLOAT"),
    ],
)
def test_clips_are_the_recording_in_pieces(out: Path, subtype: str, channels: int, expected: str) -> None:
    file = write_sound(out.parent / "audio", subtype=subtype, channels=channels)
    report = cut(out, [file])
    assert (report.written, report.kept, report.problems) == (4, 0, {})
    planned = [clip.path for clip in plan_clips(file, 0)]
    assert sorted(planned) == find_clips(out)
    assert planned[0] == "dog/yard__one.wav_0.000-0.087.wav"
    pieces = []
    for path in planned:
        info = soundfile.info(out / FOLDER / path)
        assert (info.samplerate, info.channels, info.subtype, info.format) == (8000, channels, expected, "WAV")
        pieces.append(soundfile.read(out / FOLDER / path, always_2d=True, dtype="float32")[0])
        assert (out / FOLDER / path).stat().st_size % 2 == 0
    whole = soundfile.read(out.parent / "audio" / file.path, always_2d=True, dtype="float32")[0]
    assert (np.concatenate(pieces) == whole).all()


def test_the_list_of_very_many_clips_is_read(out: Path) -> None:
    file = write_sound(out.parent / "audio")
    cut(out, [file])
    path = out / FOLDER / LIST
    path.write_text(path.read_text() + " " * (64 << 20))  # as long as that of 300,000 clips
    report = cut(out, [file])
    assert (report.written, report.kept, report.problems) == (0, 4, {})


def test_a_clip_of_16_bits_can_be_read_without_any_library(out: Path) -> None:
    cut(out, [write_sound(out.parent / "audio")])
    with wave.open(str(out / FOLDER / "other" / "yard__one.wav_0.087-0.125.wav")) as read:
        assert read.getparams()[:4] == (2, 2, 8000, 301)


def test_padding_ends_at_the_ends_of_the_recording(out: Path) -> None:
    file = write_sound(out.parent / "audio")
    assert cut(out, [file], pad_ms=100).written == 4
    whole = soundfile.read(out.parent / "audio" / file.path)[0]
    for clip, (start, end) in zip(
        plan_clips(file, 100), [(0, 1500), (0, 1801), (201, 4800), (3200, 5003)], strict=True
    ):
        assert (clip.start, clip.end) == (start, end)
        # Names have the times of the segments, so they don't change with the padding.
        assert (soundfile.read(out / FOLDER / clip.path)[0] == whole[start:end]).all()
    assert [clip.path for clip in plan_clips(file, 100)] == [clip.path for clip in plan_clips(file, 0)]


def test_recordings_in_any_format_are_cut_block_by_block(out: Path, audio: Path, monkeypatch) -> None:
    pytest.importorskip("av")
    monkeypatch.setattr("block.audio_readers.READ_VALUES", 1000)
    files = []
    for path, rate_hz, values in (("dogs/two.FLAC", 44100, 145530), ("dogs/old/three.ogg", 22050, 59535)):
        with (audio / path).open("rb") as opened:
            content = compute_sha256(opened)
        segments = (Segment(0, values // 3, "a", 0.5), Segment(values // 3, values, "b", 0.5))
        files.append(LabeledFile(path, 0, values, rate_hz, segments, "exact", content))
    assert cut(out, files, 20).written == 4
    for file in files:
        for clip in plan_clips(file, 20):
            info = soundfile.info(out / FOLDER / clip.path)
            assert (info.samplerate, info.frames, info.subtype) == (file.rate_hz, clip.end - clip.start, "PCM_16")
    whole = soundfile.read(audio / "dogs/two.FLAC", dtype="int16")[0]
    [first, _] = plan_clips(files[0], 20)
    assert (soundfile.read(out / FOLDER / first.path, dtype="int16")[0] == whole[first.start : first.end]).all()


def test_the_same_run_writes_nothing_again_and_other_labels_only_what_changed(out: Path) -> None:
    folder = out.parent / "audio"
    file = write_sound(folder)
    cut(out, [file])
    before = {path: (out / FOLDER / path).stat().st_ino for path in find_clips(out)}
    report = cut(out, [file])
    assert (report.written, report.kept) == (0, 4)
    assert {path: (out / FOLDER / path).stat().st_ino for path in find_clips(out)} == before
    moved = label_sound(folder, file.path, 8000, ((0, 700, "dog"), (700, 5003, "other")))
    report = cut(out, [moved])
    assert (report.written, report.kept) == (1, 1)
    assert find_clips(out) == ["dog/yard__one.wav_0.000-0.087.wav", "other/yard__one.wav_0.087-0.625.wav"]
    assert not (out / FOLDER / name_label_folder("a/b")).exists()
    # Padding changes what is in all clips, although their names stay.
    assert cut(out, [moved], pad_ms=10).written == 2
    # One that was damaged is written again.
    with (out / FOLDER / find_clips(out)[0]).open("r+b") as opened:
        opened.truncate(100)
    assert cut(out, [moved], pad_ms=10).written == 1


def test_files_of_others_are_neither_replaced_nor_removed(out: Path) -> None:
    file = write_sound(out.parent / "audio")
    mine = out / FOLDER / "dog" / "yard__one.wav_0.000-0.087.wav"
    note = out / FOLDER / "dog" / "note.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    note.write_text("note")
    report = cut(out, [file])
    assert report.written == 3
    assert "another file is in the place of clips/dog/yard__one.wav_0.000-0.087.wav" in report.problems[file.name]
    assert report.describe()[1].startswith("not all clips of 1 recording could be written: yard/one.wav (another file")
    assert cut(out, []).describe() == []  # another format
    assert (mine.read_text(), note.read_text()) == ("mine", "note")
    assert sorted(path.name for path in out.rglob("*")) == sorted([FOLDER, "dog", mine.name, note.name])


def test_without_clips_the_folder_is_removed(out: Path) -> None:
    cut(out, [write_sound(out.parent / "audio")])
    cut(out, [])
    assert list(out.iterdir()) == []


def test_links_are_not_followed(out: Path, tmp_path: Path) -> None:
    file = write_sound(out.parent / "audio")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (out / FOLDER).mkdir()
    (out / FOLDER / "dog").symlink_to(elsewhere)
    report = cut(out, [file])
    assert report.written == 2
    assert list(elsewhere.iterdir()) == []
    cut(out, [])
    # Nor are files removed through a link that took the place of a folder.
    (out / FOLDER / "dog").unlink()
    cut(out, [file])
    (out / FOLDER / "dog").rename(elsewhere / "dog")
    (out / FOLDER / "dog").symlink_to(elsewhere / "dog")
    cut(out, [])
    assert len(list((elsewhere / "dog").iterdir())) == 2
    (out / FOLDER / "dog").unlink()
    # A link in the place of a temporary file is replaced.
    clip = out / FOLDER / plan_clips(file, 0)[0].path
    clip.parent.mkdir(parents=True)
    (elsewhere / "precious").write_text("precious")
    temporary_path(clip).symlink_to(elsewhere / "precious")
    assert cut(out, [file]).written == 4
    assert (elsewhere / "precious").read_text() == "precious"


def test_a_link_instead_of_the_folder_is_refused(out: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (out / FOLDER).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="clips is a link"):
        cut(out, [write_sound(out.parent / "audio")])
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("stopped_at", range(1, 9))
@pytest.mark.parametrize("is_killed", [False, True], ids=["canceled", "killed"])
def test_an_interrupted_run_ends_with_the_same_clips_as_one_that_was_not(
    out: Path, stopped_at: int, is_killed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("block.audio_readers.READ_VALUES", 3000)
    folder = out.parent / "audio"
    files = [write_sound(folder, name) for name in ("a.wav", "b.wav")]
    complete = out.parent / "complete"
    complete.mkdir()
    cut(complete, files)
    append, calls = clips.append, 0

    def stop(path: Path, content: bytes, is_new: bool = False) -> None:
        nonlocal calls
        calls += 1
        if calls == stopped_at:
            append(path, content[:10], is_new)
            raise KeyboardInterrupt
        append(path, content, is_new)

    with monkeypatch.context() as patched:
        patched.setattr(clips, "append", stop)
        if is_killed:  # then nothing is tidied up
            patched.setattr(clips, "_write_list", write_once(clips._write_list))
            patched.setattr(Path, "unlink", lambda self, missing_ok=False: None)
        with pytest.raises(KeyboardInterrupt):
            cut(out, files)
    left = [path.name for path in out.rglob(".*.tmp")]
    assert len(left) == is_killed
    report = cut(out, files)
    assert report.written + report.kept == 8
    assert report.problems == {}
    found, expected = (
        {path: (one / FOLDER / path).read_bytes() for path in find_clips(one)} for one in (out, complete)
    )
    assert found == expected
    assert (out / FOLDER / LIST).read_text() == (complete / FOLDER / LIST).read_text()
    assert [path.name for path in out.rglob(".*.tmp")] == []


def write_once(write: Callable[..., None]) -> Callable[..., None]:
    """Return `write`, which does nothing from the second call on."""
    calls = []

    def act(*arguments: object) -> None:
        calls.append(1)
        if len(calls) == 1:
            write(*arguments)

    return act


def test_a_recording_that_changed_or_is_gone_loses_its_clips_and_the_others_keep_theirs(out: Path) -> None:
    folder = out.parent / "audio"
    files = [write_sound(folder, name) for name in ("a.wav", "b.wav", "c.wav")]
    cut(out, files)
    (folder / "a.wav").unlink()
    soundfile.write(folder / "b.wav", np.zeros(5003), 8000)
    report = cut(out, files, pad_ms=1)
    assert report.problems["a.wav"].startswith("it can't be read: No such file")
    assert report.problems["b.wav"] == "it has changed since it was labeled; label it again"
    assert (report.written, {path.split("/")[1][0] for path in find_clips(out)}) == (4, {"c"})


def test_a_recording_without_a_location_is_named(out: Path) -> None:
    file = write_sound(out.parent / "audio")
    report = write_clips(out, [file], None, 0)
    assert report.problems == {file.name: "it isn't in a folder on this machine; run label again to write them"}


def test_a_clip_that_no_wav_can_hold_is_left_out(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clips, "MAX_BYTES", 4 * 2000)
    file = write_sound(out.parent / "audio")
    report = cut(out, [file])
    assert report.written == 3
    assert report.problems == {file.name: "a clip is longer than 8000 bytes, the limit of a WAV file"}


@pytest.mark.parametrize("text", ["", "[]", "{", '{"../x": ["a", 1]}', '{"dog/x.wav": 3}', "5"])
def test_a_damaged_list_removes_nothing(out: Path, text: str) -> None:
    (out / FOLDER / "dog").mkdir(parents=True)
    (out / FOLDER / "dog" / "x.wav").write_text("mine")
    (out / "x").write_text("mine")
    (out / FOLDER / LIST).write_text(text)
    cut(out, [])
    assert ((out / FOLDER / "dog" / "x.wav").read_text(), (out / "x").read_text()) == ("mine", "mine")


NAMES = st.one_of(st.text("ab_~./ ", min_size=1, max_size=8), st.text(min_size=1, max_size=8)).map(
    lambda text: text.replace("\0", "").encode("utf-8", "ignore").decode()
)


@given(st.lists(NAMES.filter(bool), min_size=1, max_size=8, unique=True))
def test_every_label_and_every_recording_has_a_name_of_its_own_that_is_safe(names: list[str]) -> None:
    paths = [path for path in names if all(part not in ("", ".", "..") for part in path.split("/"))]
    for found in ([name_label_folder(one) for one in names], [flatten_path(one) for one in paths]):
        assert len(set(found)) == len(found)
        for one in found:
            assert one
            assert one.isprintable()
            assert not set(one) & set('<>:"|?*\\/')
            assert not one.startswith(".")
            assert len(one.encode()) <= 200


@pytest.mark.parametrize("label", ["con", "NUL", "com1.x", "ends with a dot.", "ends with a blank ", "", "."])
def test_labels_that_some_systems_refuse_as_names_are_changed(label: str) -> None:
    assert name_label_folder(label) != label
    assert name_label_folder(label)[-17] == "~"


def test_usual_names_stay_as_they_are() -> None:
    assert name_label_folder("Whimper (dog)") == "Whimper (dog)"
    assert flatten_path("dogs/old/three.ogg") == "dogs__old__three.ogg"
    assert flatten_path("a_b/_c.wav") != "a_b___c.wav"
    long = "x" * 150
    assert flatten_path(f"{long}/{long}") != flatten_path(f"{long}__{long}")
    assert make_safe("a/b").startswith("a_b~")


def test_label_and_relabel_write_clips_only_if_asked(
    audio: Path, out: Path, label: Callable[..., int], relabel: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (audio / "dogs").rglob("*"):
        if path.is_file():
            path.unlink()
    (audio / "four.mp3").unlink()
    assert (
        label(audio, out, "--win-size-ms", "1000", "--win-stride-ms", "1000", "--audioset-labels", "speech, dog") == 0
    )
    assert not (out / FOLDER).exists()
    assert relabel(out, "--formats", "csv,clips", "--clip-pad-ms", "100") == 0
    text = capsys.readouterr().out
    assert f"{len(find_clips(out))} clip" in text
    rows = (out / "labels.csv").read_text().splitlines()[1:]
    assert len(find_clips(out)) == len(rows) > 0
    assert not (out / "info.labels").exists()
    # What isn't given stays: the next relabel writes clips, too, and removes those of the old labels.
    assert relabel(out, "--audioset-labels", "dog", "--min-confidence", "0", "--other-label", "rest") == 0
    assert {path.split("/")[0] for path in find_clips(out)} == {"dog"}
    assert soundfile.info(out / FOLDER / find_clips(out)[0]).samplerate == 16000
    # A folder from someone else can't make relabel open a connection.
    run = json.loads((out / RUN_FILE).read_text())
    (out / RUN_FILE).write_text(json.dumps({**run, "folder": "s3://bucket/recordings"}))
    assert relabel(out, "--min-confidence", "1") == 1
    assert "one.wav (it isn't in a folder on this machine" in capsys.readouterr().out


def test_names_that_differ_only_in_case_stay_apart_on_systems_that_ignore_it() -> None:
    made = distinguish({"a": "Dog/A_0.000-1.000.wav", "b": "Dog/a_0.000-1.000.wav", "c": "Dog/b.wav"}, ".wav")
    assert len({name.casefold() for name in made.values()}) == 3
    assert made["c"] == "Dog/b.wav"
    assert all(name.endswith(".wav") for name in made.values())
