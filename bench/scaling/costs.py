"""The costs of a run on a cluster, step by step: the constants of the simulation, each with its source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from bench.scaling.workload import WINDOW_S
from block.cluster.driver import REPORT_EVERY_S, REPORTERS_A_SECOND
from block.cluster.worker import PORTIONS_AT_ONCE
from block.folder.manifest import SAVE_SHARE
from block.runtime.limits import THREADS

CLASSES = 527
LOGITS_BYTES = 4 * CLASSES  # per window, as float32
MEASURED = "python -m bench scaling --measure"
RAY = "python -m tests.cluster.costs_of_ray"
ASSUMED = "assumed"
DRIVER = "block/cluster/driver.py"
START = f"{ASSUMED}, from 3 s for Ray and 7 s for torch, transformers and a small model, measured"
CPU_EXACT, CPU_FAST, GPU = "cpu-exact", "cpu-fast", "gpu"


def _of(default: float, unit: str, source: str) -> Any:
    return field(default=default, metadata={"unit": unit, "source": source})


@dataclass(frozen=True)
class Driver:
    """The costs of the driver's loop, and of what comes before and after it, in seconds of one core."""

    list_s: float = _of(
        1.2e-5, "s per recording",
        f"{ASSUMED}: an object store lists 1,000 names in 0.1 s, and at least eight folders are listed in parallel",
    )  # fmt: skip
    put_s: float = _of(5e-7, "s per recording, to update the manifest", MEASURED)
    save_s: float = _of(6.5e-6, "s per recording, each time the manifest is saved", MEASURED)
    save_share: float = _of(SAVE_SHARE, "share of the time for that, at most", "block/folder/manifest.py")
    portion_s: float = _of(3e-3, "s per portion, before the first is handed out", RAY)
    task_s: float = _of(5e-3, "s per portion, to hand it out and notice its end", RAY)
    report_s: float = _of(2e-3, "s per report", RAY)
    report_byte_s: float = _of(5e-10, "s per byte of a report", RAY)
    outcome_s: float = _of(1e-5, "s per recording, to unpack its result", MEASURED)
    outcome_byte_s: float = _of(3e-10, "s per byte of logits, to unpack it", MEASURED)
    store_add_s: float = _of(1e-5, "s per recording, to add it to the score store", MEASURED)
    store_window_s: float = _of(9e-6, "s per window, to write it to disk", MEASURED)
    decide_s: float = _of(2.5e-6, "s per recording at the end, if its labels came with its scores", MEASURED)
    decide_window_s: float = _of(0.0, "s per window, for the same", MEASURED)
    write_s: float = _of(1.2e-5, "s per recording, for labels.csv and info.labels", MEASURED)
    write_window_s: float = _of(1.5e-6, "s per window, for the same", MEASURED)
    connect_s: float = _of(4.0, "s, to join a cluster", RAY)


@dataclass(frozen=True)
class Paths:
    """Data transfer, for all workers together unless stated otherwise."""

    driver_bytes_s: float = _of(1e9, "bytes/s to the driver", f"{ASSUMED}: 10 Gbit/s, minus a fifth")
    delay_s: float = _of(2e-3, "s per message", f"{ASSUMED}: a single data center")
    source_bytes_s: float = _of(5e9, "bytes/s from the source, for all workers", f"{ASSUMED}: an object store")
    worker_bytes_s: float = _of(2e8, "bytes/s that one worker reads", f"{ASSUMED}: four connections of 50 MB/s")
    first_byte_s: float = _of(0.05, "s from a request to the first byte", f"{ASSUMED}: an object store")
    checkpoint_bytes: float = _of(346e6, "bytes that a machine gets before it starts", "the big model's size")


@dataclass(frozen=True)
class Workers:
    """A worker. `window_s` is its time per window; the spreads are standard deviations of logarithms."""

    window_s: float = _of(2.5, "s per window", "the scenario")
    portion_kind: str = "cpu"  # or cuda, as block/cluster/driver.py calls them
    a_machine: int = 8  # workers per machine, which gets the checkpoint once
    start_s: float = _of(15.0, "s from the request for a worker to its first forward pass", START)
    start_spread: float = _of(0.3, "between workers", ASSUMED)
    worker_spread: float = _of(0.05, "between workers", ASSUMED)
    portion_spread: float = _of(0.10, "between portions of a worker", ASSUMED)
    prepare_s: float = _of(8e-5, "s per second of audio, to read, hash and decode it", MEASURED)
    threads: int = THREADS  # that read a portion's recordings
    portions_at_once: int = PORTIONS_AT_ONCE
    portions_waiting: int = 0  # block/cluster/driver.py only hands out portions that are labeled at once
    report_every_s: float = _of(REPORT_EVERY_S, "s between reports of a portion, at least", "block/cluster/driver.py")
    reporters_a_second: float = _of(
        float(REPORTERS_A_SECOND), "workers that report per second, at most", "block/cluster/driver.py"
    )
    losses_an_hour: float = _of(0.0, "losses of a worker per hour", "none, unless set")
    noticed_s: float = _of(15.0, "s until the loss of a node is noticed", "measured: a node killed, Ray 2.60")


@dataclass(frozen=True)
class Costs:
    """All constants of the simulation."""

    driver: Driver = field(default_factory=Driver)
    paths: Paths = field(default_factory=Paths)
    workers: Workers = field(default_factory=Workers)

    def replace(self, **values: Any) -> Costs:
        """Return the same costs with other values for some constants. Raise ValueError for an unknown name."""
        parts = {part.name: getattr(self, part.name) for part in fields(self)}
        for name, value in values.items():
            owners = [part for part, content in parts.items() if hasattr(content, name)]
            if not owners:
                raise ValueError(f"{name!r} isn't a constant of the simulation; scaling.json lists all names")
            parts[owners[0]] = replace(parts[owners[0]], **{name: value})
        return Costs(**parts)

    def to_json(self) -> dict[str, Any]:
        """Return the value, unit and source of each constant."""
        constants: dict[str, Any] = {}
        for part in fields(self):
            content = getattr(self, part.name)
            for one, value in asdict(content).items():
                metadata = {each.name: each.metadata for each in fields(content)}[one]
                constants[one] = {"value": value, **metadata}
        return constants


@dataclass(frozen=True)
class Scenario:
    """A kind of worker. `source` says where its speed comes from."""

    name: str
    title: str
    costs: Costs
    source: str


def scenarios(driver: Driver | None = None) -> list[Scenario]:
    """Return the three scenarios: workers of one core, in exact and in fast mode, and workers of one GPU."""
    costs = Costs(driver or Driver())
    return [
        Scenario(
            CPU_EXACT, "CPU, exact", costs.replace(window_s=2.5),
            "2.5 s per window and core: the padded forward pass of 260 GFLOP at about 100 GFLOP/s",
        ),
        Scenario(
            # More than an opening audit takes: it computes 40 windows, in exact mode and on four fast paths.
            CPU_FAST, "CPU, fast", costs.replace(window_s=0.25, start_s=15 + 64 * (2.5 + 0.5 + 0.21)),
            "0.21 s per window and core, measured on one thread in 8 bits, and 2.5 s for every hundredth window, which "
            "is also computed exactly; windows near a threshold, a few percent, cost as much and are left out",
        ),
        Scenario(
            GPU, "GPU", costs.replace(window_s=1 / 500, portion_kind="cuda", start_s=25.0),
            "about 500 windows/s: transformers' documentation gives 570 for AST on an A100 in float32",
        ),
    ]  # fmt: skip


HOURS = 1000
EXAMPLE_CORE_HOUR, EXAMPLE_GPU_HOUR = 0.05, 2.00
FORMULA = (
    "windows = hours × 3600 / stride in seconds; worker-hours = windows × seconds per window / 3600 / efficiency; "
    "cost = worker-hours × price per hour"
)


@dataclass(frozen=True)
class Price:
    """The time and price of `HOURS` hours of audio. A worker is a core, or a GPU with its machine."""

    title: str
    windows: float
    window_s: float
    efficiency: float
    hour: float

    @property
    def worker_hours(self) -> float:
        """Worker-hours to pay for."""
        return self.windows * self.window_s / 3600 / self.efficiency

    @property
    def cost(self) -> float:
        """The cost in the currency of `hour`."""
        return self.worker_hours * self.hour


def price(scenario: Scenario, hour: float, efficiency: float = 1.0, stride_s: float = WINDOW_S) -> Price:
    """Return the price if a worker costs `hour` per hour. Raise ValueError for an efficiency outside 0…1."""
    if not 0 < efficiency <= 1:
        raise ValueError(f"the efficiency is {efficiency}; expected more than 0 and at most 1")
    return Price(scenario.title, HOURS * 3600 / stride_s, scenario.costs.workers.window_s, efficiency, hour)


def prices(scenarios: Sequence[Scenario], core_hour: float, gpu_hour: float) -> list[Price]:
    """Return the price of each scenario at efficiency 1."""
    return [price(one, gpu_hour if one.costs.workers.portion_kind == "cuda" else core_hour) for one in scenarios]
