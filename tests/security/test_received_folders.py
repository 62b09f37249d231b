"""A folder from someone else has links, names and files that they chose."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

from block import cli
from block.commands import studio as studio_command
from block.local_studio.data.project import DATABASE, LocalProject
from block.local_studio.data.store import ProjectError
from block.local_studio.jobs.files import JobFiles
from block.model.checkpoint import FILES, CheckpointError, find_checkpoint
from block.model_store.fetch import FetchTarget, fetch
from block.model_store.pack import pack, record
from block.model_store.store import ModelStore
from block.model_store.verify import read_subject, verify
from block.runtime.atomic_file import temporary_path, write_atomic
from block.settings import SettingsError
from tests.conftest import ROOT
from tests.folder.conftest import tones


def label(folder: Path, out: Path, checkpoint: Path, *options: str) -> int:
    words = ["label", str(folder), "--out", str(out), "--model", str(checkpoint), "--device", "cpu"]
    return cli.run_command([*words, "--audioset-labels", "speech, music", *options])


@pytest.fixture
def labeled(tmp_path: Path, checkpoint_folder: Path) -> Path:
    """A folder that `label` wrote, from the recordings next to it."""
    (tmp_path / "audio").mkdir()
    for name in ("a", "b"):
        soundfile.write(tmp_path / "audio" / f"{name}.wav", tones(2, 16000, ord(name)), 16000)
    assert label(tmp_path / "audio", tmp_path / "out", checkpoint_folder) == 0
    return tmp_path / "out"


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    """A file of the person who received the folder."""
    file = tmp_path / "elsewhere" / "precious"
    file.parent.mkdir()
    file.write_text("precious")
    return file


def test_a_link_instead_of_a_temporary_file_is_not_followed(tmp_path: Path, precious: Path) -> None:
    file = tmp_path / "labels.csv"
    temporary_path(file).symlink_to(precious)
    write_atomic(file, "new")
    assert (file.read_text(), precious.read_text()) == ("new", "precious")
    file.unlink()
    file.symlink_to(precious)
    write_atomic(file, "new")
    assert (file.read_text(), file.is_symlink(), precious.read_text()) == ("new", False, "precious")


PLACES = ("labels.csv", ".labels.csv.tmp", ".lock", "manifest.json", "run.json", "failed.csv", "scores", "audacity")


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("command", ["label", "relabel"])
def test_label_and_relabel_follow_no_link_out_of_the_output_folder(
    labeled: Path, precious: Path, checkpoint_folder: Path, name: str, command: str
) -> None:
    target = precious.parent / name
    if (labeled / name).exists():
        (labeled / name).rename(target)
    else:
        target.mkdir()
    (labeled / name).symlink_to(target)
    before = {path: path.stat().st_mtime_ns for path in precious.parent.rglob("*")}
    with pytest.raises(SettingsError, match=f"{name} is a link that leads out of"):
        if command == "label":
            label(labeled.parent / "audio", labeled, checkpoint_folder, "--formats", "csv,audacity")
        else:
            cli.run_command(["relabel", str(labeled), "--min-confidence", "0.5"])
    assert {path: path.stat().st_mtime_ns for path in precious.parent.rglob("*")} == before


@pytest.mark.parametrize("name", [DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", f"{DATABASE}-journal"])
def test_the_local_studio_follows_no_link_to_another_database(
    tmp_path: Path, precious: Path, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    for target in (precious, precious.parent / "not-there"):
        (project / name).symlink_to(target)
        assert studio_command.main([str(project), "--port", "0"]) == 2
        assert f"{name} is a link that leads out of the folder" in capfd.readouterr().err
        (project / name).unlink()
    assert precious.read_text() == "precious"
    assert os.listdir(precious.parent) == ["precious"]


def test_the_local_studio_reads_no_log_of_a_job_through_a_link(tmp_path: Path, precious: Path) -> None:
    project = tmp_path / "project"
    folder = project / ".local-studio" / "jobs" / "1"
    folder.mkdir(parents=True)
    (folder / "log.txt").symlink_to(precious)
    with pytest.raises(ProjectError, match="log.txt is a link that leads out of the folder"):
        LocalProject(project)
    (folder / "log.txt").unlink()
    (folder / "log.txt").symlink_to("command.txt")  # inside the folder, it does no harm
    LocalProject(project).close()


def test_the_local_studio_neither_reads_nor_writes_scores_through_a_link(tmp_path: Path, precious: Path) -> None:
    project = tmp_path / "project"
    scores = project / ".local-studio" / "scores"
    scores.parent.mkdir(parents=True)
    scores.symlink_to(precious.parent)
    with pytest.raises(ProjectError, match="scores is a link that leads out of the folder"):
        LocalProject(project)
    with pytest.raises(OSError, match="scores is a link out of the project's folder"):  # made while it is served
        JobFiles(project).find_scores()
    scores.unlink()
    scores.mkdir()
    (scores / "scores-1.parquet").symlink_to(precious)
    with pytest.raises(ProjectError, match="parquet is a link that leads out of the folder"):
        LocalProject(project)


def test_the_local_studio_writes_no_ids_through_a_link(
    tmp_path: Path, precious: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "ids.json").symlink_to(precious)
    assert studio_command.main([str(project), "--port", "0", "--ids-file", str(project / "ids.json")]) == 2
    assert "ids.json is a link that leads out of" in capfd.readouterr().err
    assert precious.read_text() == "precious"


@pytest.mark.parametrize("name", ["mine.partial", "mine.json", ".mine.json.tmp"])
def test_a_fetch_follows_no_link_out_of_the_store(
    tmp_path: Path, checkpoint_folder: Path, precious: Path, name: str
) -> None:
    (tmp_path / "models" / ".store").mkdir(parents=True)
    target = precious if "json" in name else precious.parent
    if name == "mine.json":
        target = precious.parent / "not-there"
    (tmp_path / "models" / ".store" / name).symlink_to(target)
    fetch(ModelStore(tmp_path / "models", ()), FetchTarget("mine"), str(checkpoint_folder), say=lambda text: None)
    assert find_checkpoint(str(tmp_path / "models" / "mine")).name == "mine"
    assert (os.listdir(precious.parent), precious.read_text()) == (["precious"], "precious")


def damage_page(content: bytearray) -> bytearray:
    content[200:300] = bytes(100)
    return content


DAMAGE = {"a page": damage_page, "the end": lambda content: content[:-100], "all": lambda content: bytearray()}


@pytest.mark.parametrize("what", [*DAMAGE, "lost"])
def test_a_damaged_store_never_replaces_good_label_files(labeled: Path, checkpoint_folder: Path, what: str) -> None:
    (shard,) = (labeled / "scores").glob("*.parquet")
    soundfile.write(labeled.parent / "audio" / "c.wav", tones(2, 16000, 0), 16000)
    assert label(labeled.parent / "audio", labeled, checkpoint_folder) == 0  # writes a second shard
    before = {path: path.read_bytes() for path in labeled.iterdir() if path.is_file()}
    if what == "lost":
        shard.unlink()
    else:
        shard.write_bytes(DAMAGE[what](bytearray(shard.read_bytes())))
    with pytest.raises(SettingsError, match=r"scores (for|of) 2 .*a\.wav.*label them"):
        cli.run_command(["relabel", str(labeled), "--min-confidence", "0.9"])
    assert {path: path.read_bytes() for path in labeled.iterdir() if path.is_file()} == before
    assert label(labeled.parent / "audio", labeled, checkpoint_folder) == 0
    assert (labeled / "labels.csv").read_bytes() == before[labeled / "labels.csv"]


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def fail_to_write(*_: object) -> None:
    raise OSError(28, "No space left on device")


STOPS = {
    "interrupted": ("block.folder.source.Folder.fetch", interrupt, 130),
    "a full disk": ("block.score_store.store.write_shard", fail_to_write, 1),
}


@pytest.mark.parametrize("stop", STOPS)
@pytest.mark.parametrize("damage", ["a damaged store", "no store", "other windows"])
@pytest.mark.parametrize("formats", ["csv", "info.labels,audacity"])
def test_a_run_that_stops_early_never_replaces_good_label_files(
    labeled: Path,
    checkpoint_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    stop: str,
    damage: str,
    formats: str,
) -> None:
    audio, options = labeled.parent / "audio", ["--formats", formats]
    assert label(audio, labeled, checkpoint_folder, *options) == 0
    unchanging = [path for path in labeled.rglob("*") if path.is_file() and path.suffix not in (".json", ".parquet")]
    before = {path: path.read_bytes() for path in unchanging}
    for shard in (labeled / "scores").glob("*.parquet") if damage != "other windows" else ():
        if damage == "no store":
            shard.unlink()
        else:
            shard.write_bytes(damage_page(bytearray(shard.read_bytes())))
    others = ["--win-size-ms", "1000", "--win-stride-ms", "1000"] if damage == "other windows" else []
    place, fail, code = STOPS[stop]
    with monkeypatch.context() as patch:
        patch.setattr(place, fail)
        for _ in range(2):
            assert label(audio, labeled, checkpoint_folder, *options, *others) == code
            assert "stay as they are: 2 recordings that had labels before" in capsys.readouterr().out
            assert {path: path.read_bytes() for path in unchanging} == before
    assert label(audio, labeled, checkpoint_folder, *options, *others) == 0
    if not others:
        assert {path: path.read_bytes() for path in unchanging} == before


def run_briefly(*words: str | Path) -> str:
    """Run a command that must neither wait for a pipe nor read a device to its end; return what it printed."""
    done = subprocess.run([sys.executable, "-m", "block", *map(str, words)], cwd=ROOT, capture_output=True, text=True,
                          timeout=120, stdin=subprocess.DEVNULL)  # fmt: skip
    assert done.returncode != 0, done.stdout
    return done.stderr + done.stdout


@pytest.mark.parametrize("device", ["pipe", "/dev/zero"])
def test_no_file_of_a_received_folder_makes_a_command_wait(
    labeled: Path, checkpoint_folder: Path, device: str, tmp_path: Path
) -> None:
    def replace(path: Path) -> None:
        path.unlink(missing_ok=True)
        if device == "pipe":
            os.mkfifo(path)
        else:
            path.symlink_to(device)

    audio, model = labeled.parent / "audio", ["--model", checkpoint_folder, "--device", "cpu"]
    replace(tmp_path / "notes.csv")
    report = ["--out", tmp_path / "report", "--audioset-labels", "speech"]
    assert "not a file" in run_briefly("evaluate", audio, "--annotations", tmp_path / "notes.csv", *report, *model)
    replace(labeled / "run.json")
    assert "not a file" in run_briefly("relabel", labeled)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("device", ["pipe", "/dev/zero", "a link"])
def test_pack_and_verify_read_only_files_of_the_checkpoint(
    tmp_path: Path, checkpoint_folder: Path, precious: Path, name: str, device: str
) -> None:
    store = ModelStore(tmp_path / "models", ())
    folder = Path(shutil.copytree(checkpoint_folder, tmp_path / "models" / "mine"))
    (folder / name).rename(precious.parent / name)
    if device == "pipe":
        os.mkfifo(folder / name)
    else:
        (folder / name).symlink_to(precious.parent / name if device == "a link" else device)
    with pytest.raises(CheckpointError, match=name):
        pack(store, "mine", tmp_path / "mine.tar")
    assert not (tmp_path / "mine.tar").exists()
    if device != "a link":
        assert not all(check.is_ok for check in verify(read_subject(store, "mine")))
        with pytest.raises(CheckpointError, match=name):
            record(store, "mine")


def test_pack_follows_no_link_instead_of_its_temporary_file(
    tmp_path: Path, checkpoint_folder: Path, precious: Path
) -> None:
    shutil.copytree(checkpoint_folder, tmp_path / "models" / "mine")
    (tmp_path / ".mine.tar.part").symlink_to(precious)
    pack(ModelStore(tmp_path / "models", ()), "mine", tmp_path / "mine.tar")
    assert precious.read_text() == "precious"
    assert not (tmp_path / "mine.tar").is_symlink()
