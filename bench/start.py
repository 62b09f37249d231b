"""Measure how long `transform.py` takes to print its help or reject an argument, neither of which may import torch."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from bench.plan import BenchError

PROGRAM = Path(__file__).resolve().parents[1] / "transform.py"
CASES = {
    "transform.py --help": (["--help"], 0),
    "transform.py with an invalid argument": (["--data-ids-file", "ids.json", "--min-confidence", "7"], 2),
}
TIMES = 3
PATIENCE_S = 60


@dataclass(frozen=True)
class Start:
    """The median of several starts, in seconds of wall time."""

    what: str
    seconds: float


def measure() -> list[Start]:
    """Time the cases in turns. Raise BenchError if transform.py is missing or exits with an unexpected code."""
    if not PROGRAM.is_file():
        raise BenchError(f"{PROGRAM} doesn't exist; run the benchmark in a checkout of the repository")
    spent: dict[str, list[float]] = {what: [] for what in CASES}
    for _ in range(TIMES):
        for what, (arguments, expected) in CASES.items():
            start = time.perf_counter()
            ended = subprocess.run(  # noqa: S603
                [sys.executable, str(PROGRAM), *arguments], capture_output=True, check=False, timeout=PATIENCE_S
            )
            spent[what].append(time.perf_counter() - start)
            if ended.returncode != expected:
                raise BenchError(f"{what} exited with {ended.returncode}; expected {expected}")
    return [Start(what, statistics.median(seconds)) for what, seconds in spent.items()]
