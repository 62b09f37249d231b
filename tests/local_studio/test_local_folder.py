"""Which files of a folder become samples, and that their ids never change."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from block.audio import ENDINGS
from block.folder import listing
from block.folder.project_colors import DATABASE
from block.local_studio.data import folder
from block.local_studio.data.project import LocalProject
from block.local_studio.data.sample import Proposal, ProposedChanges, StructuredLabel, fit_labels
from block.local_studio.data.store import ProjectError
from block.local_studio.data.verdicts import REJECTED_WHOLE, VerdictStore
from tests.local_studio.conftest import add_recording, audio_file_of

MakeWav = Callable[..., bytes]


def put(root: Path, relative: str, data: bytes) -> Path:
    path = root / relative
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def names(root: Path) -> list[str]:
    return [os.fsdecode(file.path) for file in folder.find(root)]


def ids(project: LocalProject) -> dict[str, int]:
    project.scan()
    return {sample.name: sample.id for sample in project.samples()}


def test_audio_is_found_at_any_depth_in_the_order_of_paths(tmp_path: Path):
    for name in ("b.wav", "a/z.FLAC", "a/b/c.ogg", "d.mp3", "e.aif", "f.aiff", "notes.txt", "wav"):
        put(tmp_path, name, b"x")
    assert names(tmp_path) == ["a/b/c.ogg", "a/z.FLAC", "b.wav", "d.mp3", "e.aif", "f.aiff"]


def test_every_file_that_the_label_command_accepts_is_a_sample(tmp_path: Path):
    for number, ending in enumerate(ENDINGS):
        put(tmp_path, f"{number}{ending}", b"x")
    assert names(tmp_path) == list(listing.find_recordings(tmp_path, exclude=tmp_path / "out").files)
    assert len(names(tmp_path)) == len(ENDINGS)


def test_an_opus_file_has_its_rate_and_length(project: LocalProject, audio_bytes: MakeWav):
    put(project.root, "a.opus", audio_bytes(48000, 48000, container="OGG", subtype="OPUS"))
    project.scan()
    (sample,) = project.samples()
    assert (sample.frequency_hz, sample.values_count, sample.processing_error) == (48000, 48000, None)


def test_hidden_files_and_directories_are_skipped(tmp_path: Path):
    for name in (".a.wav", ".git/b.wav", "c/.d/e.wav", "f.wav"):
        put(tmp_path, name, b"x")
    assert names(tmp_path) == ["f.wav"]


def test_links_that_leave_the_folder_are_not_followed(tmp_path: Path):
    outside = put(tmp_path, "outside/secret.wav", b"x")
    root = tmp_path / "root"
    put(root, "sub/inside.wav", b"x")
    (root / "leaves.wav").symlink_to(outside)
    (root / "leaves").symlink_to(outside.parent, target_is_directory=True)
    (root / "stays.wav").symlink_to(root / "sub/inside.wav")
    (root / "broken.wav").symlink_to(root / "nothing.wav")
    (root / "loop.wav").symlink_to(root / "loop.wav")
    assert names(root) == ["stays.wav", "sub/inside.wav"]


def test_a_file_that_becomes_a_link_to_the_outside_is_no_longer_served(tmp_path: Path):
    outside = put(tmp_path, "outside/secret.wav", b"x")
    inside = put(tmp_path, "root/a.wav", b"x")
    (found,) = folder.find(tmp_path / "root")
    inside.unlink()
    inside.symlink_to(outside)
    assert folder.locate(tmp_path / "root", found.path) is None


def test_pipes_and_directories_with_audio_endings_are_not_samples(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.wav")
    put(tmp_path, "directory.wav/a.wav", b"x")
    assert names(tmp_path) == ["directory.wav/a.wav"]


def test_files_whose_names_are_not_utf8_are_samples_too(tmp_path: Path, audio_bytes: MakeWav):
    root = tmp_path / "root"
    root.mkdir()
    try:
        Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9.wav")).write_bytes(audio_bytes(10))
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    project = LocalProject(root)
    project.scan()
    (sample,) = project.samples()
    assert (sample.name, sample.values_count) == ("caf\ufffd.wav", 10)
    audio = project.audio(sample)
    assert isinstance(audio, Path)
    assert audio.stat().st_size > 44
    project.close()


@pytest.mark.parametrize(
    ("ending", "container", "subtype"),
    [
        ("wav", "WAV", "PCM_24"),
        ("flac", "FLAC", "PCM_16"),
        ("mp3", "MP3", "MPEG_LAYER_III"),
        ("aiff", "AIFF", "PCM_16"),
    ],
)
def test_a_sample_has_the_rate_and_the_length_of_its_file(
    project: LocalProject, audio_bytes: MakeWav, ending: str, container: str, subtype: str
):
    put(project.root, f"a.{ending}", audio_bytes(4001, 44100, container=container, subtype=subtype))
    project.scan()
    (sample,) = project.samples()
    assert (sample.frequency_hz, sample.values_count) == (44100, 4001)
    assert sample.processing_error is None
    assert len(sample.sha256) == 64


def test_a_file_that_cannot_be_read_is_a_sample_with_a_processing_error(project: LocalProject):
    put(project.root, "a.wav", b"this is not audio")
    put(project.root, "b.wav", b"")
    project.scan()
    problems = [
        "the audio can't be decoded: the file is text, not audio",
        "the file is empty: it has 0 bytes",
    ]
    assert [sample.processing_error for sample in project.samples()] == problems
    assert [sample.values_count for sample in project.samples()] == [0, 0]


def test_a_file_that_could_not_be_read_is_tried_again(
    project: LocalProject, audio_bytes: MakeWav, monkeypatch: pytest.MonkeyPatch
):
    put(project.root, "a.wav", audio_bytes(10))

    def fail(file: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("block.local_studio.data.folder.inspect", fail)
        project.scan()
    (sample,) = project.samples()
    assert sample.processing_error == "the file can't be read: Input/output error"
    assert project.scan().changed == 1
    (sample,) = project.samples()
    assert (sample.processing_error, sample.values_count) == (None, 10)


def test_a_wav_without_frames_is_a_sample_with_no_values(project: LocalProject, audio_bytes: MakeWav):
    put(project.root, "a.wav", audio_bytes(0, 22050))
    project.scan()
    (sample,) = project.samples()
    assert (sample.values_count, sample.frequency_hz, sample.processing_error) == (0, 22050, None)


def test_ids_stay_when_files_are_added_and_the_project_is_reopened(tmp_path: Path, audio_bytes: MakeWav):
    put(tmp_path, "b.wav", audio_bytes(10))
    put(tmp_path, "c.wav", audio_bytes(10))
    project = LocalProject(tmp_path)
    first = ids(project)
    project.close()
    put(tmp_path, "a.wav", audio_bytes(10))
    project = LocalProject(tmp_path)
    second = ids(project)
    assert {name: second[name] for name in first} == first
    assert second["a.wav"] not in first.values()
    project.close()


def test_a_file_that_disappears_and_returns_keeps_its_id_and_labels(project: LocalProject, audio_bytes: MakeWav):
    path = put(project.root, "a.wav", audio_bytes(10))
    (sample_id,) = ids(project).values()
    project.store.set_structured_labels(sample_id, [StructuredLabel(0, 9, "x")])
    data = path.read_bytes()
    path.unlink()
    assert project.scan().gone == 1
    assert project.samples() == []
    assert project.store.sample(sample_id) is None
    path.write_bytes(data)
    assert ids(project) == {"a.wav": sample_id}
    assert project.sample(sample_id).structured_labels == (StructuredLabel(0, 9, "x"),)


def test_labels_that_no_longer_fit_a_changed_file_are_dropped_and_counted(project: LocalProject, audio_bytes: MakeWav):
    path = put(project.root, "a.wav", audio_bytes(10))
    (sample_id,) = ids(project).values()
    project.store.set_structured_labels(sample_id, [StructuredLabel(0, 9, "x")])
    path.write_bytes(audio_bytes(20))
    report = project.scan()
    assert (report.new, report.changed, report.labels_dropped) == (0, 1, 1)
    assert project.sample(sample_id).values_count == 20
    assert project.sample(sample_id).structured_labels is None
    assert project.scan().changed == 0


def test_what_was_decided_about_a_file_is_not_undone_once_it_has_another_length(
    project: LocalProject, audio_bytes: MakeWav
):
    path = put(project.root, "a.wav", audio_bytes(10))
    (sample_id,) = ids(project).values()
    store, verdicts = project.store, VerdictStore(project.store)
    store.propose(Proposal(7, sample_id, ProposedChanges(structured_labels=(StructuredLabel(0, 9, "x"),))))
    verdicts.decide_whole(REJECTED_WHOLE, 7, project.sample(sample_id), lambda: store.reject(7, sample_id))
    path.write_bytes(audio_bytes(20))
    project.scan()
    assert verdicts.find_newest(sample_id) == (0, 0)
    assert verdicts.undo() == []
    assert store.proposals(7) == []
    assert len(verdicts.list_history(sample_id, 10)) == 1


def test_a_file_that_cannot_be_read_any_more_keeps_its_labels_until_it_can(project: LocalProject, audio_bytes: MakeWav):
    path = put(project.root, "a.wav", audio_bytes(1000))
    (sample_id,) = ids(project).values()
    project.store.set_structured_labels(sample_id, [StructuredLabel(0, 999, "x")])
    path.write_bytes(audio_bytes(1000)[:500])
    report = project.scan()
    assert (report.changed, report.labels_dropped) == (1, 0)
    sample = project.sample(sample_id)
    assert "the audio is cut off: 456 of 2000 bytes are there" in str(sample.processing_error)
    assert sample.structured_labels == (StructuredLabel(0, 999, "x"),)
    path.write_bytes(audio_bytes(1000))
    assert project.scan().labels_dropped == 0
    sample = project.sample(sample_id)
    assert (sample.processing_error, sample.structured_labels) == (None, (StructuredLabel(0, 999, "x"),))


def make_old(project: LocalProject, values: int, **columns: object) -> None:
    """Turn the database into one of version 2, in which all samples have `values` values."""
    with project.store.transaction() as database:
        database.execute("UPDATE samples SET values_count = ?", (values,))
        for column, value in columns.items():
            database.execute(f"UPDATE samples SET {column} = ?", (value,))
        database.execute("ALTER TABLE samples DROP COLUMN missing")
        database.execute("ALTER TABLE proposals DROP COLUMN is_unchanged")
        database.execute("ALTER TABLE jobs DROP COLUMN record")
        database.execute("DROP TABLE verdicts")
        database.execute("DROP TABLE label_colors")
        database.execute("DROP TABLE examples")
        database.execute("PRAGMA user_version = 2")


def test_an_older_database_has_all_files_but_wavs_read_again_once_and_their_labels_keep_their_times(
    tmp_path: Path, audio_bytes: MakeWav
):
    put(tmp_path, "a.MP3", audio_bytes(32000, container="MP3", subtype="MPEG_LAYER_III"))
    put(tmp_path, "b.wav", audio_bytes(10000))
    project = LocalProject(tmp_path)
    sample_ids = ids(project)
    for sample_id in sample_ids.values():
        project.store.set_structured_labels(
            sample_id, [StructuredLabel(0, 4999, "x"), StructuredLabel(5000, 9999, "y")]
        )
    make_old(project, 10000)
    project.close()
    project = LocalProject(tmp_path)
    report = project.scan()
    assert (report.changed, report.labels_dropped) == (1, 0)
    mp3, wav = (project.sample(sample_ids[name]) for name in ("a.MP3", "b.wav"))
    labels = (StructuredLabel(0, 4999, "x"), StructuredLabel(5000, 9999, "y"))
    assert (mp3.values_count, mp3.structured_labels) == (32000, (*labels, StructuredLabel(10000, 31999, "")))
    assert (wav.values_count, wav.structured_labels) == (10000, labels)
    assert project.scan().changed == 0
    project.close()


@pytest.mark.parametrize(
    ("rate_hz", "new_rate_hz", "values", "expected"),
    [
        (16000, 16000, 120, [(0, 49, "a"), (50, 119, "b")]),
        (16000, 16000, 80, [(0, 49, "a"), (50, 79, "b")]),
        (16000, 16000, 50, [(0, 49, "a")]),
        (16000, 48000, 300, [(0, 149, "a"), (150, 299, "b")]),
        (16000, 16000, 5000, [(0, 49, "a"), (50, 99, "b"), (100, 4999, "")]),
        (16000, 16000, 0, []),
    ],
)
def test_labels_are_fitted_to_the_values_that_were_found(
    rate_hz: float, new_rate_hz: float, values: int, expected: list[tuple[int, int, str]]
):
    labels = [StructuredLabel(0, 49, "a"), StructuredLabel(50, 99, "b")]
    assert fit_labels(labels, rate_hz, new_rate_hz, values) == [StructuredLabel(*one) for one in expected]


def test_scanning_and_labeling_change_nothing_else_in_the_folder(project: LocalProject, audio_bytes: MakeWav):
    data = audio_bytes(10)
    path = put(project.root, "a.wav", data)
    before = path.stat().st_mtime_ns
    (sample_id,) = ids(project).values()
    project.store.set_label(sample_id, "x")
    assert (path.read_bytes(), path.stat().st_mtime_ns) == (data, before)
    others = {item.name for item in project.root.iterdir()} - {"a.wav"}
    assert all(name.startswith(DATABASE) for name in others)


def test_a_folder_that_cannot_be_a_project_is_refused_with_the_reason(tmp_path: Path):
    with pytest.raises(ProjectError, match="does not exist"):
        LocalProject(tmp_path / "nothing")
    with pytest.raises(ProjectError, match="is not a directory"):
        LocalProject(put(tmp_path, "a.wav", b"x"))
    put(tmp_path, f"damaged/{DATABASE}", b"no database" * 100)
    with pytest.raises(ProjectError, match="can't open the project's database"):
        LocalProject(tmp_path / "damaged")


def test_a_database_of_a_newer_version_is_refused(tmp_path: Path):
    import sqlite3

    project = LocalProject(tmp_path)
    project.close()
    database = sqlite3.connect(tmp_path / DATABASE)
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(ProjectError, match="schema version 99, expected at most 7"):
        LocalProject(tmp_path)


def test_ids_are_never_reused(project: LocalProject):
    first = add_recording(project)
    with project.store.transaction() as database:
        database.execute("DELETE FROM samples WHERE id = ?", (first,))
    assert project.scan().new == 1
    assert project.samples()[0].id > first


def test_a_sample_of_an_earlier_version_that_has_no_file_is_kept_but_not_listed(project: LocalProject):
    """Programs could add such samples, whose audio was in a column of the database."""
    labels = [StructuredLabel(0, 99, "x")]
    with project.store.transaction() as database:
        database.execute("ALTER TABLE samples ADD COLUMN wav BLOB")
    old, new = add_recording(project, structured_labels=labels), add_recording(project)
    project.store.propose(Proposal(1, old, ProposedChanges(label="y")))
    audio_file_of(project, old).unlink()
    with project.store.transaction() as database:
        database.execute(
            "UPDATE samples SET path = NULL, size = NULL, mtime_ns = NULL, wav = x'00' WHERE id = ?", (old,)
        )
    assert project.scan().gone == 1
    assert [sample.id for sample in project.samples()] == [new]
    assert project.store.proposals(1) == []
    (row,) = project.store.read("SELECT structured_labels, wav FROM samples WHERE id = ?", old)
    assert (json.loads(row["structured_labels"]), row["wav"]) == ([labels[0].to_json()], b"\0")
    assert project.scan().gone == 0
