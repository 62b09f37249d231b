"""A cluster of three simulated machines, made with Ray's own utility, and the commands that label on it."""

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

# Every worker runs this first; the driver doesn't, and opens no recordings. One file kills the process, as a crashing
# decoder or a system without memory would, and files in one folder take long to open.
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
def ignore_unclosed() -> Iterator[None]:
    """Collect, in this block, the sockets and files that Ray's utility leaves to the garbage collector."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()


@dataclass
class Machines:
    """A head without cores, on which commands run, and machines with one core each that tests add and kill."""

    cluster: Any
    environment: dict[str, str]
    running: list[Any] = field(default_factory=list)

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def add(self) -> Any:
        with ignore_unclosed():
            self.running.append(self.cluster.add_node(num_cpus=1, env_vars=self.environment))
        return self.running[-1]

    def kill(self, node: Any) -> None:
        self.running.remove(node)
        with ignore_unclosed():
            self.cluster.remove_node(node, allow_graceful=False)

    def restore_two(self) -> None:
        """Add machines until there are two again, whatever the last test left."""
        while len(self.running) < 2:
            self.add()


@pytest.fixture(autouse=True)
def collect() -> Iterator[None]:
    """Collect what Ray leaves behind after each test, so that none is blamed for what another left."""
    with ignore_unclosed():
        yield


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    pytest.importorskip("ray")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    hooks = tmp_path_factory.mktemp("hooks")
    (hooks / "sitecustomize.py").write_text(HOOK)
    with ignore_unclosed():
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    made = Machines(cluster, {"PYTHONPATH": str(hooks)})
    try:
        yield made
    finally:
        with ignore_unclosed():
            cluster.shutdown()
            # Leave nothing behind that would make a later test fail.
            made.running.clear()
            del made.cluster, cluster


@pytest.fixture
def two(machines: Machines) -> Machines:
    machines.restore_two()
    return machines


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings of several lengths in folders: one exists twice, one is truncated, one is empty."""
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
    """The same recordings, which take long to read, so that tests can act during the run."""
    return Path(shutil.copytree(recordings, tmp_path / "slow" / "recordings"))


@pytest.fixture(scope="session")
def command(checkpoint_folder: Path) -> Callable[..., list[str]]:
    """Return a function that makes the arguments of `python -m block label`."""

    def made(folder: Path, out: Path, *options: str) -> list[str]:
        fixed = ["--model", str(checkpoint_folder), "--device", "cpu", "--audioset-labels", "speech, music (tune), dog"]
        return [sys.executable, "-m", "block", "label", str(folder), "--out", str(out), *fixed, *options]

    return made


@pytest.fixture(scope="session")
def label(command: Callable[..., list[str]]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs `python -m block label` to its end, with the one thread that a worker has."""
    # On some processors, the last bits of a matrix product depend on the number of threads.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def run(folder: Path, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(folder, out, *options), cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
        )

    return run


@pytest.fixture(scope="session")
def alone(
    tmp_path_factory: pytest.TempPathFactory,
    recordings: Path,
    label: Callable[..., subprocess.CompletedProcess[str]],
) -> Path:
    """The output folder of a run on a single machine over the recordings."""
    out = tmp_path_factory.mktemp("alone") / "out"
    done = label(recordings, out)
    assert done.returncode == 1, done.stdout + done.stderr  # two recordings are damaged
    return out
