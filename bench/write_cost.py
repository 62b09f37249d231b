"""Measure what writing labels adds to a run against a slow API: python -m bench.write_cost [--latency-ms 20]

The embedded model labels recordings of a local Studio whose calls take as long as given. A run that writes is compared
with a dry run of the same command, which reads the same audio and writes nothing. Both run in turns; a ratio of 1.05
means that writing adds 5 %.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import soundfile

from block.local_studio.data.project import LocalProject
from block.local_studio.server import running

ROOT = Path(__file__).resolve().parents[1]
RATE_HZ, SECONDS, TURNS = 16000, 10, 5
DELAYED = ("sample", "set_structured_labels", "add_metadata")
COMMAND = (
    "transform.py", "--model", "ast-tiny-audioset", "--audioset-labels", "Speech, Music", "--win-size-ms", "2000",
    "--win-stride-ms", "2000", "--device", "cpu",
)  # fmt: skip


class SlowStore:
    """A store whose calls take `latency_s` longer. They don't keep each other waiting."""

    def __init__(self, store: Any, latency_s: float) -> None:
        self._store, self._latency_s = store, latency_s

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._store, name)
        if name not in DELAYED:
            return call

        def delayed(*arguments: Any) -> Any:
            time.sleep(self._latency_s)
            return call(*arguments)

        return delayed


def main() -> None:
    """Print the time of each kind of run and their ratio."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--latency-ms", type=float, default=20)
    parser.add_argument("--recordings", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ids = make_recordings(Path(folder, "audio"), options.recordings)
        (Path(folder) / "ids.json").write_text(json.dumps(ids))
        times: dict[str, list[float]] = {"dry run": [], "run": []}
        for turn in range(TURNS + 1):
            for kind in times:
                # Other settings each turn, so that the samples aren't done already.
                took = run(Path(folder), options.latency_ms / 1000, f"other {turn}", is_dry=kind == "dry run")
                if turn:  # the first turn warms up caches
                    times[kind].append(took)
    dry, real = (median(one) for one in times.values())
    print(f"{options.recordings} recordings of {SECONDS} s, {options.latency_ms:g} ms a call, median of {TURNS} turns")
    print(f"dry run {dry:.2f} s, run {real:.2f} s, ratio {real / dry:.3f}")


def make_recordings(audio: Path, count: int) -> list[int]:
    """Write noise of different loudness into a folder; return the ids of its samples."""
    audio.mkdir()
    noise = np.random.default_rng(0)
    for number in range(count):
        soundfile.write(audio / f"{number:04d}.wav", noise.normal(0, 0.02 + 0.001 * number, SECONDS * RATE_HZ), RATE_HZ)
    project = LocalProject(audio)
    project.scan()
    ids = [sample.id for sample in project.store.samples()]
    project.close()
    return ids


def run(folder: Path, latency_s: float, other_label: str, is_dry: bool) -> float:
    """Label everything, and return the seconds this took. Raise if anything fails."""
    project = LocalProject(folder / "audio")
    project.store = SlowStore(project.store, latency_s)  # type: ignore[assignment]
    with running(project) as address:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("EI_")}
        secret = {"EI_PROJECT_API_KEY": address.key, "EI_API_ENDPOINT": address.endpoint}
        command = [sys.executable, str(ROOT / COMMAND[0]), *COMMAND[1:], "--other-label", other_label]
        command += ["--data-ids-file", "ids.json", *(["--dry-run"] if is_dry else [])]
        began = time.perf_counter()
        subprocess.run(command, cwd=folder, env={**kept, **secret}, check=True, capture_output=True)  # noqa: S603
        took = time.perf_counter() - began
    project.close()
    return took


if __name__ == "__main__":
    main()
