"""`python -m tests.cluster.sleeping`: compare the simulation with real runs, on workers whose model sleeps.

Everything else is as in a run of `label --ray`. The model sleeps for each window and returns made-up logits, so more
workers than cores don't overload the machine. What is compared is the time from when the workers were ready (on
average) to the last label: how long many processes take to start on few cores has nothing to do with scaling.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any
from unittest.mock import patch

import numpy as np
import soundfile

from bench.scaling.costs import Costs
from bench.scaling.simulation import simulate
from bench.scaling.workload import WINDOW_S, Recordings
from block.cluster.worker import LabelRecordings
from tests.cluster.nodes import LABELED, nodes
from tests.conftest import EMBEDDED, ROOT

RATE_HZ, WINDOW_MS = 16000, 200
WINDOWS = 30  # per recording
SLEEPS = "SLEEP_S_A_WINDOW"
READY = re.compile(r"ready at ([0-9.]+)")
WORKERS = (1, 2, 4, 8)


class SleepingWorker(LabelRecordings):
    """A worker whose model sleeps. It reports when it is ready."""

    def _load(self) -> Any:
        from block.labeling.labeler import ExactLabeler
        from tests.cluster.sleeping_labeler import SleepingLabeler

        resources = super()._load()
        real = resources.labeler
        if not isinstance(real, ExactLabeler):
            raise TypeError(f"the labeler is a {type(real).__name__}; expected an ExactLabeler: use exact mode")
        labeler = SleepingLabeler(**{each.name: getattr(real, each.name) for each in dataclasses.fields(real)})
        self._notices.say(f"ready at {time.time():.3f}")
        return dataclasses.replace(resources, labeler=labeler)


def command(argv: Sequence[str]) -> int:
    """Run `label` with sleeping workers."""
    import block.cluster.driver
    from block.commands import label

    with patch.object(block.cluster.driver, "LabelRecordings", SleepingWorker):
        return label.main(argv)


@dataclass(frozen=True)
class Compared:
    """A run and its simulation, in seconds from ready to labeled."""

    workers: int
    measured_s: float
    simulated_s: float

    @property
    def deviation(self) -> float:
        """The deviation of the simulation from the run, relative to the run."""
        return self.simulated_s / self.measured_s - 1


def main() -> int:
    """Run, simulate and print the comparison. Return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.sleeping", description="See docs/ray.md.")
    parser.add_argument("--recordings", type=int, default=320, metavar="N", help="default: %(default)s")
    parser.add_argument("--sleep", type=float, default=0.02, metavar="S", help="per window; default: %(default)s")
    parser.add_argument("--workers", default=",".join(map(str, WORKERS)), metavar="N,N", help="default: %(default)s")
    parser.add_argument("--out", type=Path, default=Path("build/cluster"), metavar="DIR", help="default: %(default)s")
    options = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory(prefix="asleep-") as scratch:
        made = Path(scratch) / "recordings"
        made.mkdir()
        chance = np.random.default_rng(0)
        for number in range(options.recordings):
            audio = chance.normal(0, 0.1, WINDOWS * WINDOW_MS * RATE_HZ // 1000).astype(np.float32)
            soundfile.write(made / f"{number:05d}.wav", audio, RATE_HZ, subtype="PCM_16")
        for workers in map(int, options.workers.split(",")):
            measured_s = _measure(made, Path(scratch) / f"out-{workers}", workers, options.sleep)
            found.append(Compared(workers, measured_s, simulated_s(options.recordings, workers, options.sleep)))
            print(f"{workers} workers: {measured_s:.1f} s, simulated {found[-1].simulated_s:.1f} s", flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "sleeping.json").write_text(json.dumps([dataclasses.asdict(one) for one in found], indent=1) + "\n")
    print(format_table(found))
    return 0


def simulated_s(recordings: int, workers: int, sleep_s: float) -> float:
    """Return the time of the same run in the simulation, from when all workers are ready."""
    costs = Costs().replace(
        window_s=sleep_s, start_s=0.0, start_spread=0.0, worker_spread=0.0, portion_spread=0.0, checkpoint_bytes=0.0,
        connect_s=0.0, list_s=0.0, portion_s=0.0, first_byte_s=0.0, source_bytes_s=1e12, worker_bytes_s=1e12,
        prepare_s=Costs().workers.prepare_s * WINDOW_MS / 1000 / WINDOW_S,
    )  # fmt: skip
    return simulate(Recordings(np.full(recordings, WINDOWS * WINDOW_S)), workers, costs).labeling_s


def _measure(folder: Path, out: Path, workers: int, sleep_s: float) -> float:
    os.environ[SLEEPS] = str(sleep_s)
    os.environ["PYTHONPATH"] = str(ROOT)
    with nodes(1, cpus=workers) as there:
        arguments = [
            str(folder), "--out", str(out), "--model", str(EMBEDDED), "--audioset-labels", "Speech", "--verbose",
            "--win-size-ms", str(WINDOW_MS), "--win-stride-ms", str(WINDOW_MS), "--formats", "csv",
            "--ray", there.address, "--ray-workers", str(workers),
        ]  # fmt: skip
        process = subprocess.Popen(
            [sys.executable, "-u", "-m", "tests.cluster.sleeping", "label", *arguments], cwd=ROOT, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert process.stdout is not None
        lines = [(time.time(), line) for line in process.stdout]
        code = process.wait()
    text = "".join(line for _, line in lines)
    labeled = [at for at, line in lines if LABELED.match(line)]
    ready = [float(at) for at in READY.findall(text)]
    if code or not labeled or len(ready) != workers:
        raise RuntimeError(f"exit code {code}, {len(ready)} of {workers} workers reported ready\n{text[-3000:]}")
    return max(labeled) - mean(ready)


def format_table(found: Sequence[Compared]) -> str:
    """Return the comparison in Markdown."""
    lines = ["| workers | measured, s | simulated, s | deviation |", "|---|---|---|---|"]
    lines += [
        f"| {one.workers} | {one.measured_s:.1f} | {one.simulated_s:.1f} | {one.deviation:+.1%} |" for one in found
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    if sys.argv[1:2] == ["label"]:
        from tests.cluster import sleeping  # workers look the class up by this name

        raise SystemExit(sleeping.command(sys.argv[2:]))
    raise SystemExit(main())
