"""Checkpoints from other people are data: nothing in them is ever run, and no name in them becomes a path."""

from __future__ import annotations

import io
import pickle
import shutil
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from block.model.checkpoint import FILES, WEIGHTS, CheckpointError, find_checkpoint
from block.model_store.fetch import FetchTarget, fetch
from block.model_store.store import ModelStore
from tests.conftest import ROOT
from tests.security.folder_commands import CANARY, CommandOutput, Payload
from tests.security.hostile import snapshot


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """Return a path at which a folder appears if code is run that must not be."""
    path = tmp_path / "canary"
    pickle.loads(pickle.dumps(Payload(path)))
    assert path.exists(), "the payload doesn't work"
    path.rmdir()
    return path


@pytest.fixture
def hostile(tmp_path: Path, checkpoint_folder: Path) -> Path:
    """Return a copy of a good checkpoint, for tests to damage."""
    return Path(shutil.copytree(checkpoint_folder, tmp_path / "hostile"))


def make_pickles(canary: Path) -> dict[str, bytes]:
    """Return the payload as a plain pickle and as a file of torch.save."""
    import torch

    saved = io.BytesIO()
    torch.save({"weights": Payload(canary)}, saved)
    return {"pickle": pickle.dumps(Payload(canary)), "torch": saved.getvalue()}


@pytest.mark.parametrize("kind", ["pickle", "torch"])
@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.ckpt", "training_args.bin"])
def test_pickled_weights_are_refused_unread(hostile: Path, canary: Path, kind: str, name: str) -> None:
    (hostile / WEIGHTS).unlink()
    (hostile / name).write_bytes(make_pickles(canary)[kind])
    with pytest.raises(CheckpointError):
        find_checkpoint(str(hostile))
    with pytest.raises(CheckpointError):
        fetch(ModelStore(canary.parent / "store", ()), FetchTarget("mine"), str(hostile), say=lambda text: None)
    assert not canary.exists()


@pytest.mark.parametrize("kind", ["pickle", "torch"])
def test_a_pickle_named_safetensors_is_refused_unread(hostile: Path, canary: Path, kind: str) -> None:
    (hostile / WEIGHTS).write_bytes(make_pickles(canary)[kind])
    with pytest.raises(CheckpointError):
        find_checkpoint(str(hostile))
    with pytest.raises(CheckpointError):
        fetch(ModelStore(canary.parent / "store", ()), FetchTarget("mine"), str(hostile), say=lambda text: None)
    assert not canary.exists()


def test_code_inside_a_checkpoint_is_never_run(command_output: CommandOutput) -> None:
    assert "is valid" in command_output.printed, "no command loaded the checkpoint"
    assert not (command_output.top / CANARY).exists()


def test_the_block_never_allows_remote_code_or_unpickles() -> None:
    forbidden = ("trust_remote_code", "torch.load", "weights_only", "pickle.load", "import pickle", "allow_pickle=True",
                 "eval(", "exec(", "os.system", "shell=True", "yaml.load", "joblib.load", "marshal")  # fmt: skip
    sources = {path.relative_to(ROOT).as_posix(): path.read_text() for path in (ROOT / "block").rglob("*.py")}
    # The driver and its workers send each other pickles, through a cluster that runs code for both of them anyway.
    for name in ("report", "driver", "worker"):
        text = sources[f"block/cluster/{name}.py"]
        sources[f"block/cluster/{name}.py"] = text.replace("import pickle\n", "").replace("pickle.loads(", "")
    assert len(sources) > 100
    found = [(path, word) for path, text in sources.items() for word in forbidden if word in text]
    # `.eval()` puts a model into eval mode; it doesn't evaluate text.
    assert [(path, word) for path, word in found if (word, ".eval()" in sources[path]) != ("eval(", True)] == []


def member(name: str, content: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


STRANGE = {
    "above": member("../escaped", b"x"),
    "far above": member("a/../../../escaped", b"x"),
    "absolute": member("/tmp/escaped-from-an-archive", b"x"),
    "a Windows path": member("C:\\escaped", b"x"),
    "a link out of the archive": member("link", type=tarfile.SYMTYPE, linkname="/etc"),
    "a file through a link": member("link/escaped", b"x"),
    "a hard link": member("hard", type=tarfile.LNKTYPE, linkname="/etc/passwd"),
    "a device": member("device", type=tarfile.CHRTYPE, devmajor=1, devminor=3),
    "a pipe": member("pipe", type=tarfile.FIFOTYPE),
    "a long name": member("x" * 5000, b"x"),
}


@pytest.mark.parametrize("kind", STRANGE)
def test_no_archive_member_is_written_outside_the_store(kind: str, tmp_path: Path, checkpoint_folder: Path) -> None:
    archive = tmp_path / "a.tar"
    with tarfile.open(archive, "w") as tar:
        info, content = STRANGE[kind]
        tar.addfile(info, io.BytesIO(content))
        for name in FILES:
            tar.add(checkpoint_folder / name, name)
    before = snapshot(tmp_path)
    fetch(
        ModelStore(tmp_path / "store", ()),
        FetchTarget("mine"),
        str(archive),
        say=lambda text: None,
    )
    new = snapshot(tmp_path) - before
    assert {path for path in new if not path.startswith("store/.store/")} == {f"store/mine/{name}" for name in FILES}
    assert not Path("/tmp/escaped-from-an-archive").exists()


REPLACED = {
    "a link": lambda name: member(name, type=tarfile.SYMTYPE, linkname="/etc/passwd"),
    "a hard link": lambda name: member(name, type=tarfile.LNKTYPE, linkname="/etc/passwd"),
    "a device": lambda name: member(name, type=tarfile.CHRTYPE, devmajor=1, devminor=5),
    "a pipe": lambda name: member(name, type=tarfile.FIFOTYPE),
    "a folder": lambda name: member(name, type=tarfile.DIRTYPE),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", REPLACED)
def test_a_checkpoint_file_that_is_not_a_plain_file_in_the_archive_is_refused(
    kind: str, name: str, tmp_path: Path, checkpoint_folder: Path
) -> None:
    archive = tmp_path / "a.tar"
    with tarfile.open(archive, "w") as tar:
        for one in FILES:
            if one == name:
                tar.addfile(*make(REPLACED[kind], one))
            else:
                tar.add(checkpoint_folder / one, one)
    with pytest.raises(CheckpointError):
        fetch(ModelStore(tmp_path / "store", ()), FetchTarget("mine"), str(archive), say=lambda text: None)
    assert not (tmp_path / "store" / "mine").exists()


def make(of: Callable[[str], tuple[tarfile.TarInfo, bytes]], name: str) -> tuple[tarfile.TarInfo, io.BytesIO]:
    info, content = of(name)
    return info, io.BytesIO(content)


def test_an_archive_that_would_fill_the_disk_is_refused_by_its_headers(tmp_path: Path, checkpoint_folder: Path) -> None:
    for name, size in ((WEIGHTS, 1 << 40), ("config.json", 1 << 30), ("SHA256SUMS", 1 << 30)):
        archive = tmp_path / f"{name}.tar"
        with tarfile.open(archive, "w") as tar:
            for one in FILES:
                if one != name:
                    tar.add(checkpoint_folder / one, one)
            info = tarfile.TarInfo(name)
            info.size = size
            tar.fileobj.write(info.tobuf(tarfile.GNU_FORMAT))  # type: ignore[union-attr]
        with archive.open("r+b") as file:
            file.truncate(archive.stat().st_size + size)  # sparse: the announced size, but no disk space
        with pytest.raises(CheckpointError, match="at most"):
            fetch(ModelStore(tmp_path / "store", ()), FetchTarget("mine"), str(archive), say=lambda text: None)
        archive.unlink()


def test_a_compressed_archive_is_not_unpacked(tmp_path: Path, checkpoint_folder: Path) -> None:
    archive = tmp_path / "a.tar"
    with tarfile.open(archive, "w:gz") as tar:
        for name in FILES:
            tar.add(checkpoint_folder / name, name)
    with pytest.raises(CheckpointError, match="compressed"):
        fetch(ModelStore(tmp_path / "store", ()), FetchTarget("mine"), str(archive), say=lambda text: None)


def test_a_weights_header_that_claims_all_memory_is_refused(hostile: Path) -> None:
    weights = (hostile / WEIGHTS).read_bytes()
    for length in (1 << 62, 1 << 33, len(weights)):
        (hostile / WEIGHTS).write_bytes(struct.pack("<Q", length) + weights[8:])
        with pytest.raises(CheckpointError):
            find_checkpoint(str(hostile))


@pytest.mark.parametrize("name", ["../mine", "/tmp/mine", ".", "..", ".store", "a/b/c", "", "x\0y", "x" * 300])
def test_the_name_of_a_checkpoint_stays_in_the_store(name: str, tmp_path: Path, checkpoint_folder: Path) -> None:
    store = tmp_path / "below" / "store"
    with pytest.raises((CheckpointError, OSError, ValueError)):
        fetch(ModelStore(store, ()), FetchTarget(name), str(checkpoint_folder), say=lambda text: None)
    assert {path for path in snapshot(tmp_path) if not path.startswith("below/store/.store/")} == set()
