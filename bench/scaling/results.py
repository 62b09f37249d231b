"""The results of the simulation: efficiency, the bottleneck, and how many workers each shared resource can feed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from bench.scaling.costs import LOGITS_BYTES, Costs, Scenario
from bench.scaling.simulation import AMID, DECIDING, LISTING, OUTCOME_BYTES, STARTING, TAIL, WRITING, Simulated
from bench.scaling.workload import Recordings, split

BUSY = 0.9
LITTLE = 0.03
LIMIT_TEXTS = {
    LISTING: "listing, making portions", STARTING: "workers' start", TAIL: "long recordings at the end",
    DECIDING: "deciding at the end", WRITING: "writing label files",
}  # fmt: skip


@dataclass(frozen=True)
class Walls:
    """Recordings per second that each shared resource, and a worker, can process."""

    driver: float
    network: float
    source: float
    worker: float

    def workers(self) -> dict[str, float]:
        """Return how many workers each shared resource can feed."""
        return {name: rate / self.worker for name, rate in asdict(self).items() if name != "worker"}


@dataclass(frozen=True)
class Scaled:
    """A scenario with its runs, one per number of workers; the others are compared with the first."""

    scenario: Scenario
    runs: tuple[Simulated, ...]
    walls: Walls

    def efficiency(self, run: Simulated) -> float:
        """Return the speed per worker relative to the first run; 1 is perfect scaling."""
        first = self.runs[0]
        return first.total_s * first.workers / (run.total_s * run.workers)

    def to_json(self) -> dict[str, Any]:
        """Return everything; times are in seconds."""
        return {
            "name": self.scenario.name,
            "window_s_source": self.scenario.source,
            "constants": self.scenario.costs.to_json(),
            "recordings_s_at_most": asdict(self.walls),
            "workers_at_most": self.walls.workers(),
            "runs": [
                {
                    **asdict(run), "recordings_s": run.recordings_s, "efficiency": self.efficiency(run),
                    "shares": shares(run), "limit": limit(run),
                }
                for run in self.runs
            ],
        }  # fmt: skip


def shares(run: Simulated) -> dict[str, float]:
    """Return how the workers' time was spent: the model's share, and the shares lost, by reason. They add up to 1."""
    paid = run.workers * run.total_s
    return {"model": run.useful_s / paid, **{why: lost / paid for why, lost in run.lost.items()}}


def limit(run: Simulated) -> str:
    """Return what took most of the time in which workers didn't compute; "nothing" if they lost little time."""
    lost = {why: share for why, share in shares(run).items() if why != "model"}
    if sum(lost.values()) < LITTLE:
        return "nothing"
    most = max(lost, key=lost.__getitem__)
    if most != AMID:
        return LIMIT_TEXTS[most]
    busy = {"the driver": run.driver_busy, "the network": run.network_busy, "the source": run.source_busy}
    name = max(busy, key=busy.__getitem__)
    return name if busy[name] >= BUSY else "reading"


def walls(recordings: Recordings, costs: Costs) -> Walls:
    """Return how many recordings per second each shared resource could process with unlimited workers."""
    driver, paths, of = costs.driver, costs.paths, costs.workers
    windows = float(recordings.windows.mean())
    portions = split(recordings, 1, of.portion_kind).count / recordings.count
    size = windows * LOGITS_BYTES + OUTCOME_BYTES
    loop = portions * (driver.task_s + driver.report_s) + size * driver.report_byte_s
    loop += driver.outcome_s + driver.put_s + windows * LOGITS_BYTES * driver.outcome_byte_s
    loop += driver.store_add_s + windows * driver.store_window_s
    # A portion reports at its end, and before that at intervals that get longer with more workers.
    reporting = min(1.0, of.reporters_a_second * of.portions_at_once * driver.report_s)
    return Walls(
        (1 - driver.save_share) * (1 - reporting) / loop,
        paths.driver_bytes_s / size,
        paths.source_bytes_s / float(recordings.sizes.mean()),
        1 / (windows * of.window_s),
    )
