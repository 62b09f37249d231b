"""A cluster of several nodes on this machine, made with Ray's own utility, and runs of the block's command on it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.conftest import ROOT

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
# By default, Ray's workers have low priority and a plain run doesn't, so on a busy machine they couldn't be compared.
os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112

LIMIT_S = 1800.0
LABELED = re.compile(r"^\d+ .* \([0-9.]+ s\): ")
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass
class Nodes:
    """A head without CPUs, and its nodes. `cluster` is Ray's `Cluster`."""

    cluster: Any
    workers: list[Any]

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def kill(self, at: int) -> None:
        """Kill a node's processes, as if its machine had lost power."""
        self.cluster.remove_node(self.workers[at], allow_graceful=False)


@contextmanager
def nodes(count: int, cpus: int = 1) -> Iterator[Nodes]:
    """Run a cluster of a head and `count` nodes with `cpus` CPUs each, which other Ray programs don't find."""
    from ray.cluster_utils import Cluster

    # Not in another temporary folder: socket names can have at most 107 characters.
    folder = tempfile.mkdtemp(prefix="ray-")
    # Otherwise, the utility would overwrite the address that every Ray program on this machine uses.
    os.environ["RAY_TMPDIR"] = folder
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        yield Nodes(cluster, [cluster.add_node(num_cpus=cpus) for _ in range(count)])
    finally:
        cluster.shutdown()
        del os.environ["RAY_TMPDIR"]
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Ended:
    """A command that has ended. `lines` is its output, each line with the seconds since the start."""

    seconds: float
    code: int
    lines: list[tuple[float, str]] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "\n".join(line for _, line in self.lines)

    def labeled_at(self) -> list[float]:
        """Return when each recording was reported as labeled. The command must have run with --verbose."""
        return [at for at, line in self.lines if LABELED.match(line)]


def run(arguments: Sequence[str], tell: Callable[[str], None] = lambda line: None, /, **environment: str) -> Ended:
    """Run `python -m block …`, and pass each line of its output to `tell` as it comes."""
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "block", *arguments], cwd=ROOT, text=True, errors="replace",
        env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    lines: list[tuple[float, str]] = []
    timer = threading.Timer(LIMIT_S, process.kill)
    timer.start()
    try:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append((time.monotonic() - began, line.rstrip("\n")))
            tell(line)
        code = process.wait()
    finally:
        timer.cancel()
        process.kill()
    return Ended(time.monotonic() - began, code, lines)


def label_command(folder: Path, out: Path, model: str, *others: str) -> list[str]:
    """Return the arguments to label a folder, with a line of output per recording."""
    labels = "Speech, Music (tune), Dog (0.4)"
    return [
        "label",
        str(folder),
        "--out",
        str(out),
        "--model",
        model,
        "--audioset-labels",
        labels,
        "--verbose",
        *others,
    ]
