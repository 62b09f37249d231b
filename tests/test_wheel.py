"""The sdist makes a wheel, and the wheel labels the demo's recordings beside an environment that has torch."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from block import __version__
from block.model.checkpoint import EMBEDDED, FILES
from demo.run import read_expected
from tests.conftest import ROOT

BUILD = "import sys; from setuptools import build_meta; print(getattr(build_meta, sys.argv[1])(sys.argv[2]))"


def build(what: str, source: Path, target: Path) -> Path:
    """Build `what` (build_sdist or build_wheel) of the package in `source`. Return its path."""
    target.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-c", BUILD, what, str(target)], cwd=source, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Package would be ignored" not in done.stdout + done.stderr
    return target / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the repository's files."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("the list of files comes from git")
    folder = tmp_path_factory.mktemp("source")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file() and not name.startswith("tests/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a wheel that was built from the sdist."""
    work = tmp_path_factory.mktemp("dist")
    sdist = build("build_sdist", source, work)
    with tarfile.open(sdist) as tar:
        tar.extractall(work / "unpacked", filter="data")
    (unpacked,) = (work / "unpacked").iterdir()
    return build("build_wheel", unpacked, work)


@pytest.mark.slow
def test_the_wheel_has_all_of_the_package_and_nothing_else(source: Path, wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        metadata = archive.read(f"ast_ai_action-{__version__}.dist-info/METADATA").decode()
        licenses = [name for name in archive.namelist() if ".dist-info/licenses/" in name]
    package = {path.relative_to(source).as_posix() for path in (source / "block").rglob("*") if path.is_file()}
    action = {"block/action/transform.py", "block/action/parameters.json"}
    embedded = {name for name in names if name.startswith(f"block/embedded/{EMBEDDED}/")}
    assert {f"block/embedded/{EMBEDDED}/{name}" for name in (*FILES, "SHA256SUMS", "ATTRIBUTION.md")} <= embedded
    assert not any("recipe" in name for name in embedded)
    assert names - embedded == package | action
    assert "License-Expression: BSD-3-Clause AND CC-BY-SA-4.0" in metadata
    assert sorted(Path(name).name for name in licenses) == ["CC-BY-SA-4.0.txt", "LICENSE"]


@pytest.mark.slow
def test_the_installed_command_labels_the_demos_recordings_and_finds_its_action(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    purelib = Path(sysconfig.get_path("purelib", vars={"base": str(tmp_path / "venv")}))
    (purelib / "with_torch.pth").write_text(sysconfig.get_path("purelib"))
    command = tmp_path / "venv" / "bin" / "ast-label"
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}

    def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    pip = run(command.with_name("pip"), "install", "--no-index", "--no-deps", "--quiet", wheel)
    assert pip.returncode == 0, pip.stderr
    shutil.copytree(ROOT / "demo" / "recordings", tmp_path / "recordings")

    missing = run(command, "label", "recordings")
    assert missing.returncode == 2
    first, *lines = missing.stderr.splitlines()
    assert first.startswith(f"ast-label: error: no checkpoint 'ast-finetuned-audioset-10-10-0.4593': {tmp_path}/home/")
    assert [line.partition("#")[0].strip() for line in lines] == [
        "venv/bin/ast-label models fetch", f"--model {EMBEDDED}"
    ]  # fmt: skip

    done = run(command, "label", "recordings", "--model", EMBEDDED)
    assert done.returncode == 0, done.stderr
    found: dict[str, list[tuple[float, float, str]]] = {}
    with (tmp_path / "labels" / "labels.csv").open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["file"], []).append((float(row["start_s"]), float(row["end_s"]), row["label"]))
    assert found == read_expected()

    code = """
import json
from block.local_studio.jobs.block import read_block
from block.runtime.places import find_action
print(json.dumps([str(find_action()), read_block(find_action()).entry]))
"""
    action = run(command.with_name("python"), "-c", code)
    assert json.loads(action.stdout) == [str(purelib / "block" / "action"), ["transform.py"]]
    helped = run(command.with_name("python"), purelib / "block" / "action" / "transform.py", "--help")
    assert "--data-ids-file" in helped.stdout
