from __future__ import annotations

import dataclasses
import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from block.cluster.worker import LabelRecordings
from block.cluster.worker_setup import find_or_fetch_checkpoint
from block.labeling.job import Job
from block.labels import parse_labels
from block.model.checkpoint import FILES, Checkpoint, read_checkpoint
from block.score_store import Key
from block.settings import AuditSettings, ComputeSettings, DecisionSettings, SettingsError, WindowSettings


@pytest.fixture
def elsewhere(checkpoint_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkpoint:
    """A checkpoint in a folder that this machine doesn't have. The temporary directory is new."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    return dataclasses.replace(read_checkpoint(checkpoint_folder), folder=tmp_path / "on another machine")


def test_a_checkpoint_that_this_machine_has_is_used_in_place(checkpoint_folder: Path) -> None:
    here = read_checkpoint(checkpoint_folder)

    def ask(name: str) -> bytes:
        raise AssertionError(name)

    assert find_or_fetch_checkpoint(here, here.sha256(), ask) == here


def test_a_missing_checkpoint_is_fetched_once_per_machine(elsewhere: Checkpoint, checkpoint_folder: Path) -> None:
    asked: list[str] = []

    def ask(name: str) -> bytes:
        asked.append(name)
        return (checkpoint_folder / name).read_bytes()

    digest = read_checkpoint(checkpoint_folder).sha256()
    brought = find_or_fetch_checkpoint(elsewhere, digest, ask)
    assert brought.sha256() == digest
    assert brought.class_names == elsewhere.class_names
    assert {name: (brought.folder / name).read_bytes() for name in FILES} == {
        name: (checkpoint_folder / name).read_bytes() for name in FILES
    }
    assert sorted(path.name for path in brought.folder.iterdir()) == sorted(FILES)
    assert find_or_fetch_checkpoint(elsewhere, digest, ask) == brought
    assert sorted(asked) == sorted(FILES)


def edit_config(folder: Path) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "num_attention_heads": 4}))


def test_a_folder_with_the_same_weights_and_other_settings_is_not_used(
    checkpoint_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    driver = dataclasses.replace(
        read_checkpoint(checkpoint_folder), folder=Path(shutil.copytree(checkpoint_folder, tmp_path / "here"))
    )
    edit_config(driver.folder)
    found = find_or_fetch_checkpoint(driver, driver.sha256(), lambda name: (checkpoint_folder / name).read_bytes())
    assert found.folder != driver.folder
    assert dataclasses.replace(read_checkpoint(found.folder), name=driver.name) == found
    assert found.config == read_checkpoint(checkpoint_folder).config


def test_jobs_with_the_same_weights_and_other_settings_do_not_share_a_folder(
    elsewhere: Checkpoint, checkpoint_folder: Path, tmp_path: Path
) -> None:
    other_folder = Path(shutil.copytree(checkpoint_folder, tmp_path / "other"))
    edit_config(other_folder)
    other = dataclasses.replace(read_checkpoint(other_folder), folder=elsewhere.folder)
    digest = read_checkpoint(checkpoint_folder).sha256()
    first = find_or_fetch_checkpoint(elsewhere, digest, lambda name: (checkpoint_folder / name).read_bytes())
    second = find_or_fetch_checkpoint(other, digest, lambda name: (other_folder / name).read_bytes())
    assert read_checkpoint(first.folder).config == elsewhere.config
    assert read_checkpoint(second.folder).config == other.config != elsewhere.config


def test_settings_that_change_while_a_job_starts_are_rejected(
    elsewhere: Checkpoint, checkpoint_folder: Path, tmp_path: Path
) -> None:
    changed = Path(shutil.copytree(checkpoint_folder, tmp_path / "changed"))
    edit_config(changed)
    digest = read_checkpoint(checkpoint_folder).sha256()
    with pytest.raises(SettingsError, match=r"the copied config\.json or preprocessor_config\.json isn't the one that"):
        find_or_fetch_checkpoint(elsewhere, digest, lambda name: (changed / name).read_bytes())


def test_weights_with_another_digest_are_rejected(elsewhere: Checkpoint, checkpoint_folder: Path) -> None:
    with pytest.raises(SettingsError, match="expected 000000000000"):
        find_or_fetch_checkpoint(elsewhere, "0" * 64, lambda name: (checkpoint_folder / name).read_bytes())


def test_a_folder_that_others_can_write_to_is_not_trusted(elsewhere: Checkpoint, tmp_path: Path) -> None:
    (tmp_path / "temporary" / f"ast-ai-action-{os.getuid()}").mkdir(mode=0o777)
    (tmp_path / "temporary" / f"ast-ai-action-{os.getuid()}").chmod(0o777)
    with pytest.raises(SettingsError, match="others can write to it"):
        find_or_fetch_checkpoint(elsewhere, "0" * 64, lambda name: b"")


def test_a_link_to_another_folder_is_not_trusted(elsewhere: Checkpoint, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir(mode=0o700)
    (tmp_path / "temporary" / f"ast-ai-action-{os.getuid()}").symlink_to(tmp_path / "other")
    with pytest.raises(SettingsError, match="belongs to another user"):
        find_or_fetch_checkpoint(elsewhere, "0" * 64, lambda name: b"")


def test_a_full_disk_is_reported_in_one_line(elsewhere: Checkpoint) -> None:
    def ask(name: str) -> bytes:
        raise OSError(28, "No space left on device")

    with pytest.raises(SettingsError, match="can't copy the checkpoint to this machine: No space left on device"):
        find_or_fetch_checkpoint(elsewhere, "0" * 64, ask)


def test_a_worker_whose_block_computes_other_scores_ends_the_run(checkpoint_folder: Path) -> None:
    pytest.importorskip("ray")
    checkpoint = read_checkpoint(checkpoint_folder)
    key = Key(checkpoint.sha256(), WindowSettings(), "pad", "exact", "float32", scores="0.0.9")
    cluster_job = SimpleNamespace(
        connector=SimpleNamespace(check=lambda: None), versions={}, digest=checkpoint.sha256(), key=key,
        job=Job(
            checkpoint, WindowSettings(), DecisionSettings(parse_labels("Speech", checkpoint.class_names, 0.2)),
            ComputeSettings("cpu"), AuditSettings(),
        ),
    )  # fmt: skip
    worker = LabelRecordings(cluster_job, coordinator=None)  # type: ignore[arg-type]
    (report,) = worker._label(None)
    assert "this worker's block computes scores of version 0.1.0; expected 0.0.9" in report.end_reason
