"""Label many recordings through the local Studio; measure memory, the times of calls, and the length of the log.

    python -m tests.soak.recordings [--count N] [--out FILE]

The local Studio and the block run in separate processes, as usual; the model is the stub.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from block.local_studio.data.project import LocalProject
from tests.conftest import EMBEDDED, ROOT
from tests.soak.check import Check, at_most
from tests.soak.faults import environment

COUNT = 10_000
RATE_HZ = 16000
SHORTEST_S, LONGEST_S = 0.3, 3.0
ARGUMENTS = ("--model", str(EMBEDDED), "--win-size-ms", "500", "--win-stride-ms", "500")
TENTHS = 10
SAMPLE_EVERY_S = 0.2
GROWTH_MB, SLOWER, LOG_LINES = 5.0, 1.5, 1000
# In shorter runs, threads start and pools fill most of the time, and a tenth of the calls is too few for a median.
ENOUGH = 2000
START_S, LIMIT_S = 300.0, 1800.0
NAMES = ("dog", "room 2", "Straße", "街の音", "rec,1", "a'b", "x" * 100, "#1")


@dataclass(frozen=True)
class Memory:
    """Memory of the process at one time: seconds since its start, and resident bytes."""

    at_s: float
    bytes: int


@dataclass(frozen=True)
class Tenth:
    """The times of a tenth of the calls, ordered by their ends, in milliseconds."""

    median_ms: float
    p99_ms: float
    calls_per_s: float


@dataclass(frozen=True)
class Soaked:
    """The figures of a run over `count` recordings."""

    count: int
    seconds: float
    audio_s: float
    code: int
    log_lines: int
    labeled: int
    doubled: int
    peak_mb: float
    growth_mb: float
    halves_mb: float
    tenths: tuple[Tenth, ...]

    def checks(self) -> list[Check]:
        """Check the figures against what is promised."""
        found = [
            Check("exit code", self.code == 0, str(self.code)),
            Check("labeled in Studio", self.labeled == self.count, f"{self.labeled:,} of {self.count:,}"),
            Check("written more than once", self.doubled == 0, str(self.doubled)),
            at_most("log lines", self.log_lines, LOG_LINES, digits=0),
        ]
        if self.count >= ENOUGH:
            slower = self.tenths[-1].median_ms / self.tenths[1].median_ms
            found += [
                at_most("memory growth over the last 80 % of the run", self.growth_mb, GROWTH_MB, "MB"),
                at_most("peak memory of the second half minus that of the first", self.halves_mb, GROWTH_MB, "MB"),
                at_most(
                    "median call in the last tenth of the run, relative to the second tenth", slower, SLOWER, digits=2
                ),
            ]
        return found

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def main(count: int = COUNT) -> Soaked:
    """Label `count` recordings of 0.3 to 3 s; return the figures."""
    with tempfile.TemporaryDirectory(prefix="soak-recordings-") as scratch:
        folder, calls, log = Path(scratch) / "audio", Path(scratch) / "calls.txt", Path(scratch) / "log.txt"
        audio_s = make_recordings(folder, count)
        ids = Path(scratch) / "ids.json"
        with _studio(folder, ids) as (endpoint, key):
            began = time.monotonic()
            with log.open("wb") as file:
                block = subprocess.Popen(
                    [sys.executable, "-m", "tests.soak.timed", *ARGUMENTS, "--data-ids-file", str(ids)],
                    cwd=ROOT, env={**environment(endpoint, key), "SOAK_CALLS": str(calls)},
                    stdout=file, stderr=subprocess.STDOUT,
                )  # fmt: skip
                memory = _watch_memory(block, began)
            seconds = time.monotonic() - began
        ended, made = _read_calls(calls)
        writes = Counter(path for path in made if path.endswith("/structured-labels"))
        if not writes:
            raise RuntimeError(f"{calls.name} has no call that writes labels; its first line: {made[:1]}")
        project = LocalProject(folder)
        try:
            labeled = sum(bool(one.structured_labels and one.metadata) for one in project.samples())
        finally:
            project.close()
        growth, halves = _growth_mb([one for one in memory if began + one.at_s > ended[0][0]])
        return Soaked(
            count, seconds, audio_s, block.returncode, len(log.read_bytes().splitlines()), labeled,
            sum(many > 1 for many in writes.values()),
            max(one.bytes for one in memory) / 1e6, growth, halves, _tenths(ended),
        )  # fmt: skip


def make_recordings(folder: Path, count: int) -> float:
    """Make recordings with various lengths and names, in folders of 100; return their total length in seconds."""
    random_ = random.Random(7)
    time_s = np.arange(round(10 * LONGEST_S * RATE_HZ)) / RATE_HZ
    sound = 0.2 * np.sin(2 * np.pi * 220 * time_s * (1 + time_s / 30))
    values = (32767 * sound).astype(np.int16)
    total = 0
    for number in range(count):
        length = round(random_.uniform(SHORTEST_S, LONGEST_S) * RATE_HZ)
        start = random_.randrange(len(values) - length)
        place = folder / f"{number // 100:03}"
        place.mkdir(parents=True, exist_ok=True)
        name = f"{random_.choice(NAMES)} {number}.wav"
        soundfile.write(place / name, values[start : start + length], RATE_HZ, "PCM_16")
        total += length
    return total / RATE_HZ


@contextmanager
def _studio(folder: Path, ids: Path) -> Iterator[tuple[str, str]]:
    """Run a local Studio in its own process; yield its endpoint and its key."""
    studio = subprocess.Popen(
        [sys.executable, "-u", "-m", "block", "studio", str(folder), "--port", "0", "--ids-file", str(ids)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert studio.stdout is not None
        said = {}
        for line in studio.stdout:  # ends when the process ends
            if found := re.fullmatch(r"export (EI_\w+)=(\S+)\s*", line):
                said[found.group(1)] = found.group(2).strip("'")
            if len(said) == 2:
                break
        yield said["EI_API_ENDPOINT"], said["EI_PROJECT_API_KEY"]
    finally:
        studio.terminate()
        studio.wait(30)
        if studio.stdout is not None:
            studio.stdout.close()


def _watch_memory(block: subprocess.Popen[bytes], began: float) -> list[Memory]:
    """Wait for the process to end; return its memory over time."""
    page = os.sysconf("SC_PAGE_SIZE")
    seen = []
    try:
        while block.poll() is None:
            at_s = time.monotonic() - began
            if at_s > LIMIT_S:
                raise TimeoutError(f"the block is still running after {LIMIT_S:.0f} s")
            try:
                resident = int(Path(f"/proc/{block.pid}/statm").read_text().split()[1])
            except (OSError, IndexError):
                break  # the process has just ended
            if resident:
                seen.append(Memory(at_s, resident * page))
            time.sleep(SAMPLE_EVERY_S)
    finally:
        if block.poll() is None:
            block.terminate()
        block.wait(30)
    return seen


def _read_calls(path: Path) -> tuple[list[tuple[float, float]], list[str]]:
    """Return the end and the duration of each call in seconds, ordered by the ends; and the paths of the calls."""
    lines = [line.split(" ", 3) for line in path.read_text().splitlines()]
    return sorted((float(ended), float(took)) for ended, took, _, _ in lines), [line[3] for line in lines]


def _tenths(calls: Sequence[tuple[float, float]]) -> tuple[Tenth, ...]:
    found = []
    for part in np.array_split(np.array(calls), TENTHS):
        took = part[:, 1] * 1000
        span = part[-1, 0] - part[0, 0]
        found.append(Tenth(float(np.median(took)), float(np.percentile(took, 99)), len(part) / max(span, 1e-9)))
    return tuple(found)


def _growth_mb(memory: Sequence[Memory]) -> tuple[float, float]:
    """Return the growth of a linear fit to the last 80 % of a run, and the peak of their second half minus the first's.

    Both leave out the first 20 %, in which threads start and pools fill.
    """
    at = np.array([one.at_s for one in memory])
    held = np.array([one.bytes for one in memory]) / 1e6
    if len(at) < 3:
        return 0.0, 0.0
    last = at >= at[0] + (at[-1] - at[0]) / 5
    at, held = at[last], held[last]
    slope = np.polyfit(at, held, 1)[0]
    middle = len(held) // 2
    halves = float(held[middle:].max() - held[:middle].max())
    return float(slope * (at[-1] - at[0])), halves


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description="Label many recordings through the local Studio; measure memory and times."
    )
    parser.add_argument("--count", type=int, default=COUNT, help="default: %(default)s")
    parser.add_argument("--out", type=Path, metavar="FILE", help="file for the figures, as JSON")
    options = parser.parse_args()
    soaked = main(options.count)
    if options.out:
        options.out.write_text(json.dumps(soaked.as_json(), indent=1))
    print(json.dumps(soaked.as_json(), indent=1))
    for check in soaked.checks():
        print(check)
    raise SystemExit(not all(check.kept for check in soaked.checks()))
