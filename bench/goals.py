"""The goals of speed on a CPU, at 2 s, and what of them a run of the benchmark reached."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench.plan import SMALL_FLOPS
from bench.results import OnCheckpoint
from block.model.classifier import FEWER_GROUPS, MERGED, MERGED_INT8
from block.settings import EXACT

# Relative to transformers' pipeline at its best batch size. Of paths that differ only in groups, the fastest counts.
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
        rates = [rate for one in _list_variants(kind) if (rate := on.rate(one)) is not None]
        rate = min(rates, key=lambda rate: rate.seconds.median, default=None)
        yield Goal(_name(kind), least, None if rate is None else on.ratio(rate))
    if not is_large:
        return
    exact = on.rate(EXACT)
    for kind, name in PEERS.items():
        peer = on.rate(kind)
        reached = peer.seconds.median / exact.seconds.median if exact is not None and peer is not None else None
        yield Goal(f"{EXACT} beside {name}", 1.0, reached)
    paths = _list_variants(MERGED_INT8)
    runs = [run.ratio for run in on.long_runs if run.path in paths and run.recomputed_share == RUN_RECOMPUTED]
    yield Goal(f"run of {_name(MERGED_INT8)}, 1% recomputed", RUN_GOAL, max(runs, default=None))


def _list_variants(kind: str) -> list[str]:
    """Return a contender and the paths that differ from it only in their number of groups."""
    return [kind, *(path for path, other in FEWER_GROUPS.items() if other == kind)]


def _name(kind: str) -> str:
    return " or ".join(_list_variants(kind))
