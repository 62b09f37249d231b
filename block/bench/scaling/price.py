"""What a thousand hours of audio cost, from the time that they take and the price of an hour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from block.bench.scaling.costs import Scenario
from block.bench.scaling.workload import WINDOW_S

HOURS = 1000
EXAMPLE_CORE_HOUR, EXAMPLE_GPU_HOUR = 0.05, 2.00
FORMULA = (
    "windows = hours × 3600 / stride in seconds; worker-hours = windows × seconds a window / 3600 / efficiency; "
    "cost = worker-hours × price of an hour"
)


@dataclass(frozen=True)
class Price:
    """What `HOURS` hours of audio take and cost. A worker is a core, or a GPU with its machine."""

    title: str
    windows: float
    window_s: float
    efficiency: float
    hour: float

    @property
    def worker_hours(self) -> float:
        """Hours that are paid for."""
        return self.windows * self.window_s / 3600 / self.efficiency

    @property
    def cost(self) -> float:
        """In the currency of `hour`."""
        return self.worker_hours * self.hour


def price(scenario: Scenario, hour: float, efficiency: float = 1.0, stride_s: float = WINDOW_S) -> Price:
    """The cost at `hour` for an hour of a worker. Raises ValueError for an efficiency outside 0…1."""
    if not 0 < efficiency <= 1:
        raise ValueError(f"an efficiency of {efficiency}")
    return Price(scenario.title, HOURS * 3600 / stride_s, scenario.costs.workers.window_s, efficiency, hour)


def prices(scenarios: Sequence[Scenario], core_hour: float, gpu_hour: float) -> list[Price]:
    """All of them, at efficiency 1."""
    return [price(one, gpu_hour if one.costs.workers.chunk_kind == "cuda" else core_hour) for one in scenarios]
