"""A cluster of three machines on this one, by Ray's own utility, and the commands that label on it."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.conftest import ROOT
from tests.folder.conftest import tones

# What runs in every worker before anything else, and not in the driver, which opens no recordings: one file kills the
# process, as a decoder that crashes or a system that runs out of memory would, and those of one folder take their time.
HOOK = """
import os, signal, time
opened = os.open
def hooked(path, *others, **more):
    if str(path).endswith("deadly.wav"):
        os.kill(os.getpid(), signal.SIGKILL)
    if "/slow/" in str(path):
        time.sleep(3)
    return opened(path, *others, **more)
os.open = hooked
"""


@contextmanager
def unclosed() -> Iterator[None]:
    """Ray's utility leaves sockets and files to the garbage collector; in here they are collected, and nowhere else."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()


@dataclass
class Machines:
    """A head without cores, on which commands run, and machines of one core each that come and go."""

    cluster: Any
    environment: dict[str, str]
    running: list[Any] = field(default_factory=list)

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def add(self) -> Any:
        with unclosed():
            self.running.append(self.cluster.add_node(num_cpus=1, env_vars=self.environment))
        return self.running[-1]

    def kill(self, node: Any) -> None:
        self.running.remove(node)
        with unclosed():
            self.cluster.remove_node(node, allow_graceful=False)

    def two(self) -> None:
        """Two machines again, whatever a test has left."""
        while len(self.running) < 2:
            self.add()


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    pytest.importorskip("ray")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    hooks = tmp_path_factory.mktemp("hooks")
    (hooks / "sitecustomize.py").write_text(HOOK)
    with unclosed():
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    made = Machines(cluster, {"PYTHONPATH": str(hooks)})
    try:
        yield made
    finally:
        with unclosed():
            cluster.shutdown()
            # Nothing may be left that some later test would be blamed for.
            made.running.clear()
            del made.cluster, cluster


@pytest.fixture
def two(machines: Machines) -> Machines:
    machines.two()
    return machines


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings of several lengths in folders, one of them twice, one cut off, one empty."""
    folder = tmp_path_factory.mktemp("recordings")
    for number in range(24):
        below = folder / ("dogs" if number % 3 else ".") / f"{number:02}.wav"
        below.parent.mkdir(exist_ok=True)
        soundfile.write(below, tones(3 + number % 5, 16000, number), 16000)
    soundfile.write(folder / "other rate.flac", np.stack([tones(4, 44100, 99)] * 2, axis=1), 44100)
    (folder / "again.wav").write_bytes((folder / "00.wav").read_bytes())
    (folder / "cut.wav").write_bytes((folder / "03.wav").read_bytes()[:4000])
    (folder / "empty.wav").write_bytes(b"")
    return folder


@pytest.fixture
def slow(recordings: Path, tmp_path: Path) -> Path:
    """The same recordings, which take their time to be read, so that something can happen meanwhile."""
    return Path(shutil.copytree(recordings, tmp_path / "slow" / "recordings"))


@pytest.fixture(scope="session")
def command(checkpoint_folder: Path) -> Callable[..., list[str]]:
    """The arguments of `python -m block label`."""

    def made(folder: Path, out: Path, *options: str) -> list[str]:
        fixed = ["--model", str(checkpoint_folder), "--device", "cpu", "--audioset-labels", "speech, music (tune), dog"]
        return [sys.executable, "-m", "block", "label", str(folder), "--out", str(out), *fixed, *options]

    return made


@pytest.fixture(scope="session")
def label(command: Callable[..., list[str]]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`python -m block label`, run to its end."""

    def run(folder: Path, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command(folder, out, *options), cwd=ROOT, capture_output=True, text=True, timeout=300)

    return run


@pytest.fixture(scope="session")
def alone(
    tmp_path_factory: pytest.TempPathFactory,
    recordings: Path,
    label: Callable[..., subprocess.CompletedProcess[str]],
) -> Path:
    """What a run on a single machine makes of the recordings."""
    out = tmp_path_factory.mktemp("alone") / "out"
    done = label(recordings, out)
    assert done.returncode == 1, done.stdout + done.stderr  # two recordings are damaged
    return out
