"""What the simulation found, in numbers: efficiency, what limits, how far each shared part carries."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from bench.scaling.costs import LOGITS_BYTES, Costs, Scenario
from bench.scaling.simulation import AMID, DECIDING, LISTING, OUTCOME_BYTES, STARTING, TAIL, WRITING, Simulated
from bench.scaling.workload import Recordings, cut

BUSY = 0.9
LITTLE = 0.03
IN_WORDS = {
    LISTING: "listing, making chunks", STARTING: "workers' start", TAIL: "long recordings at the end",
    DECIDING: "deciding at the end", WRITING: "writing label files",
}  # fmt: skip


@dataclass(frozen=True)
class Walls:
    """Recordings a second that each shared part can take, and how many workers that feeds."""

    driver: float
    network: float
    source: float
    worker: float

    def workers(self) -> dict[str, float]:
        """How many workers each can feed."""
        return {name: rate / self.worker for name, rate in asdict(self).items() if name != "worker"}


@dataclass(frozen=True)
class Scaled:
    """A scenario with its runs, one a number of workers; the first is what the others are held to."""

    scenario: Scenario
    runs: tuple[Simulated, ...]
    walls: Walls

    def efficiency(self, run: Simulated) -> float:
        """How much of so many times the first run's speed is reached; 1 is all of it."""
        first = self.runs[0]
        return first.total_s * first.workers / (run.total_s * run.workers)

    def to_json(self) -> dict[str, Any]:
        """Everything; times are seconds."""
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
    """What became of the workers' time: the share that the model took, and what was lost why. They add up to 1."""
    paid = run.workers * run.total_s
    return {"model": run.useful_s / paid, **{why: lost / paid for why, lost in run.lost.items()}}


def limit(run: Simulated) -> str:
    """What took most of the time that workers did not compute, in words; nothing, if that is next to nothing."""
    lost = {why: share for why, share in shares(run).items() if why != "model"}
    if sum(lost.values()) < LITTLE:
        return "nothing"
    most = max(lost, key=lost.__getitem__)
    if most != AMID:
        return IN_WORDS[most]
    busy = {"the driver": run.driver_busy, "the network": run.network_busy, "the source": run.source_busy}
    name = max(busy, key=busy.__getitem__)
    return name if busy[name] >= BUSY else "reading"


def walls(recordings: Recordings, costs: Costs) -> Walls:
    """How far each shared part would carry, were there workers without end."""
    driver, paths, of = costs.driver, costs.paths, costs.workers
    windows = float(recordings.windows.mean())
    chunks = cut(recordings, 1, of.chunk_kind).count / recordings.count
    size = windows * LOGITS_BYTES + OUTCOME_BYTES
    loop = chunks * (driver.task_s + driver.report_s) + size * driver.report_byte_s
    loop += driver.outcome_s + driver.put_s + windows * LOGITS_BYTES * driver.outcome_byte_s
    loop += driver.store_add_s + windows * driver.store_window_s
    # Besides one at its end, a chunk is reported while it lasts, less often where there are more workers.
    reporting = min(1.0, of.reporters_a_second * of.chunks_at_once * driver.report_s)
    return Walls(
        (1 - driver.save_share) * (1 - reporting) / loop,
        paths.driver_bytes_s / size,
        paths.source_bytes_s / float(recordings.sizes.mean()),
        1 / (windows * of.window_s),
    )
