"""The goals of speed on a CPU, at 2 s, and what of them a run of the benchmark reached."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench.plan import SMALL_FLOPS
from bench.results import OnCheckpoint
from block.model.classifier import MERGED, MERGED_INT8
from block.settings import EXACT

# Relative to transformers' pipeline at its best batch size.
LARGE_GOALS = {EXACT: 1.2, MERGED: 5.0, MERGED_INT8: 15.0}
SMALL_GOALS = {MERGED_INT8: 8.0}
PEERS = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}  # exact must not be slower than these
RUN_GOAL, RUN_RECOMPUTED = 10.0, 0.01


@dataclass(frozen=True)
class Goal:
    """What should be at least `least` times as fast as its peer, and is `reached` times; None if not measured."""

    what: str
    least: float
    reached: float | None

    @property
    def verdict(self) -> str:
        if self.reached is None:
            return "not measured"
        return "met" if self.reached >= self.least else "not met"


def list_goals(on: OnCheckpoint) -> Iterator[Goal]:
    """Yield the goals for a checkpoint of its size."""
    is_large = on.flops.total >= SMALL_FLOPS
    for kind, least in (LARGE_GOALS if is_large else SMALL_GOALS).items():
        rate = on.rate(kind)
        yield Goal(kind, least, None if rate is None else on.ratio(rate))
    if not is_large:
        return
    exact = on.rate(EXACT)
    for kind, name in PEERS.items():
        peer = on.rate(kind)
        reached = peer.seconds.median / exact.seconds.median if exact is not None and peer is not None else None
        yield Goal(f"{EXACT} beside {name}", 1.0, reached)
    runs = [run for run in on.long_runs if (run.path, run.recomputed_share) == (MERGED_INT8, RUN_RECOMPUTED)]
    yield Goal(f"run of {MERGED_INT8}, 1% recomputed", RUN_GOAL, runs[0].ratio if runs else None)
