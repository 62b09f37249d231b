"""`python -m tests.cluster.costs_of_ray`: measure what Ray Data costs the driver, for the simulation's constants.

Portions and reports travel as in a run, but without a model: workers immediately yield reports of a given size. Only
the CPU time of the driver's process counts, because the workers share its cores on this machine. The costs per portion
and per report come from runs with different numbers of both.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

WORKERS = 2
PORTIONS, MANY_PORTIONS, REPORTS = 100, 300, 9
SMALL, LARGE = 20_000, 2_000_000


class FakeWorker:
    """A worker that yields `reports` reports of `size` bytes per portion."""

    def __init__(self, reports: int, size: int) -> None:
        self.reports, self.size = reports, size

    def __call__(self, batch: Any) -> Iterator[Any]:
        import pyarrow as pa

        for _ in range(self.reports):
            yield pa.table({"report": pa.array([os.urandom(self.size)], pa.large_binary())})


@dataclass(frozen=True)
class Took:
    """Seconds to make the dataset, CPU seconds of the driver's process during the run, and seconds of the run."""

    making_s: float
    driver_s: float
    whole_s: float


def measure(portions: int, reports: int, size: int) -> Took:
    """Run a dataset of `portions` portions through the workers."""
    import pyarrow as pa
    import ray
    from ray.data import ActorPoolStrategy

    tables = [pa.table({"portion": [number], "items": [os.urandom(3000)]}) for number in range(portions)]
    began = time.perf_counter()
    dataset = ray.data.from_arrow(tables)
    making_s = time.perf_counter() - began
    dataset = dataset.map_batches(
        FakeWorker, batch_size=None, batch_format="pyarrow", zero_copy_batch=True, num_cpus=1, max_concurrency=2,
        compute=ActorPoolStrategy(size=WORKERS, max_tasks_in_flight_per_actor=2),
        fn_constructor_kwargs={"reports": reports, "size": size}, max_restarts=-1, max_task_retries=-1,
    )  # fmt: skip
    first, began, processor, seen = True, 0.0, 0.0, 0
    for batch in dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
        if first:  # the workers have started: measure from here
            first, began, processor = False, time.perf_counter(), time.process_time()
        seen += sum(len(one) for one in batch.column("report").to_pylist())
    if seen != portions * reports * size:
        raise RuntimeError(f"got {seen} bytes; expected {portions * reports * size}")
    return Took(making_s, time.process_time() - processor, time.perf_counter() - began)


def main() -> int:
    """Measure, and print the constants by name, in seconds. Return the exit code."""
    import ray
    from ray.data import DataContext

    folder = tempfile.mkdtemp(prefix="ray-")
    began = time.perf_counter()
    ray.init(address="local", num_cpus=WORKERS, include_dashboard=False, log_to_driver=False, _temp_dir=folder,
             logging_level="ERROR")  # fmt: skip
    connect_s = time.perf_counter() - began
    try:
        context = DataContext.get_current()
        context.enable_progress_bars, context.target_max_block_size = False, 1
        measure(10, 1, SMALL)
        few, many = measure(PORTIONS, 1, SMALL), measure(MANY_PORTIONS, 1, SMALL)
        reporting, large = measure(PORTIONS, REPORTS, SMALL), measure(PORTIONS, REPORTS, LARGE)
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)
    a_report = (reporting.driver_s - few.driver_s) / (PORTIONS * (REPORTS - 1))
    found = {
        "connect_s": connect_s,
        "portion_s": many.making_s / MANY_PORTIONS,
        "task_s": (many.driver_s - few.driver_s) / (MANY_PORTIONS - PORTIONS) - a_report,
        "report_s": a_report,
        "report_byte_s": (large.driver_s - reporting.driver_s) / (PORTIONS * REPORTS * (LARGE - SMALL)),
        "whole_a_report_s": (reporting.whole_s - few.whole_s) / (PORTIONS * (REPORTS - 1)),
    }
    print(json.dumps({name: float(f"{seconds:.3g}") for name, seconds in found.items()}, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
