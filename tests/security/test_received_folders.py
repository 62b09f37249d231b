"""A folder from someone else has links, names and files that they chose."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import soundfile

from block import cli
from block.commands import studio as studio_command
from block.local_studio.data.project import DATABASE, LocalProject
from block.local_studio.data.store import ProjectError
from block.runtime.atomic_file import temporary_path, write_atomic
from block.settings import SettingsError
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
