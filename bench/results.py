"""The results of a benchmark run, and how they are written as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.audit import FORMULA, LongRun
from bench.contenders import TRANSFORMERS
from bench.flops import Flops
from bench.gemm import Peak
from bench.memory import Memory
from bench.plan import MODEL_WINDOW_MS
from bench.stages import EndToEnd
from bench.start import Start
from bench.timing import Spread


@dataclass(frozen=True)
class Rate:
    """How fast one contender is at one window length.

    `seconds` are per window, one value per round. `flops` is its arithmetic per window, most of it in `dtype`.
    `measured_ms` is the window length of the measurement, which may differ from `window_ms` if the contender does the
    same work at any length.
    """

    kind: str
    batch: int
    includes: str
    window_ms: int
    measured_ms: int
    seconds: Spread
    flops: int
    dtype: str

    @property
    def windows_s(self) -> float:
        """Windows per second."""
        return 1 / self.seconds.median


@dataclass
class OnCheckpoint:
    """The results on one checkpoint. `flops` are those of a padded window as transformers computes it."""

    name: str
    weights: int
    tokens: int
    flops: Flops
    dtype: str
    rates: list[Rate] = field(default_factory=list)
    runs: list[EndToEnd] = field(default_factory=list)
    memory: list[Memory] = field(default_factory=list)
    long_runs: list[LongRun] = field(default_factory=list)

    def rate(self, kind: str, window_ms: int = MODEL_WINDOW_MS) -> Rate | None:
        """Return the fastest rate of that kind at that window length; None if there is none."""
        found = [rate for rate in self.rates if rate.kind == kind and rate.window_ms == window_ms]
        return min(found, key=lambda rate: rate.seconds.median, default=None)

    def ratio(self, rate: Rate) -> float | None:
        """Return the speed relative to transformers' pipeline at its best batch size."""
        peer = self.rate(TRANSFORMERS, rate.window_ms)
        return None if peer is None else peer.seconds.median / rate.seconds.median


@dataclass
class Results:
    """All results of one run. `left_out` says what was not measured, and why.

    `others_share` is the share of all cores' time that other processes took during the run, if known.
    """

    version: str
    plan: str
    machine: dict[str, object]
    audio: str
    peaks: dict[str, Peak] = field(default_factory=dict)
    starts: list[Start] = field(default_factory=list)
    checkpoints: list[OnCheckpoint] = field(default_factory=list)
    long_recording: list[Memory] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    took_s: float = 0.0
    others_share: float | None = None

    def peak_share(self, rate: Rate) -> float | None:
        """Return the share of the machine's peak in its dtype that a contender reached; None if unknown."""
        peak = self.peaks.get(rate.dtype)
        return None if peak is None else rate.flops / rate.seconds.median / peak.flops_s

    def bound_share(self, on: OnCheckpoint, run: EndToEnd) -> float | None:
        """Return the share of wall time that computing padded windows takes at the machine's peak; None if unknown."""
        peak = self.peaks.get(on.dtype)
        return None if peak is None else run.windows * on.flops.total / peak.flops_s / run.wall_s

    def to_json(self) -> dict[str, Any]:
        """Return the results and what follows from them, ready for JSON."""
        content = asdict(self)
        content["audit_formula"] = FORMULA
        for on, written in zip(self.checkpoints, content["checkpoints"], strict=True):
            written["gflop_a_window"] = on.flops.total / 1e9
            for rate, entry in zip(on.rates, written["rates"], strict=True):
                spread = rate.seconds
                entry["seconds"] = {
                    "median": spread.median, "min": spread.least, "max": spread.most, "rounds": list(spread.seconds),
                }  # fmt: skip
                entry["windows_s"] = rate.windows_s
                entry["ratio_to_transformers"] = on.ratio(rate)
                entry["peak_share"] = self.peak_share(rate)
            for run, entry in zip(on.runs, written["runs"], strict=True):
                entry["windows_s"] = run.windows_s
                entry["outside_forward_share"] = run.outside_share
                entry["gemm_bound_share"] = self.bound_share(on, run)
        return content


def write_json(results: Results, path: Path) -> None:
    """Write the results as JSON. Raise OSError if the file can't be written."""
    path.write_text(json.dumps(results.to_json(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
