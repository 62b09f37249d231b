"""Simulate a run on a cluster, portion by portion.

The driver is one server with a queue: it hands out portions, processes reports and saves. So are the network to it and
the source of the recordings. A worker has a few portions, which are read in parallel, but only one at a time uses the
model. It gets another portion when the driver notices that one is done, so workers wait for a busy driver, as in a real
run.
"""

from __future__ import annotations

import heapq
import math
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench.scaling.costs import LOGITS_BYTES, Costs
from bench.scaling.workload import Portions, Recordings, split

OUTCOME_BYTES = 700  # per recording in a report, without its logits


@dataclass
class Server:
    """Something that does one thing after another. `busy` has its seconds of work, by kind."""

    free_at: float = 0.0
    busy: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def serve(self, now: float, seconds: float, kind: str) -> float:
        """Return when work that arrives at `now` is done."""
        self.free_at = max(now, self.free_at) + seconds
        self.busy[kind] += seconds
        return self.free_at


@dataclass
class _Worker:
    """A worker. `life` counts its restarts: events of an earlier life are ignored."""

    speed: float
    ready_at: float = math.inf
    ended_at: float = 0.0
    life: int = 0
    here: list[int] = field(default_factory=list)
    running: set[int] = field(default_factory=set)
    model: Server = field(default_factory=Server)


@dataclass(frozen=True)
class Simulated:
    """The result of a simulated run.

    `total_s` is the command's time, `labeling_s` that from handing out the first portion to processing the last report.
    `lost` has the worker-seconds in which the model did nothing, by reason; with `useful_s`, they add up to workers ×
    total. LISTING: the driver lists recordings and makes portions. STARTING: the worker starts. AMID: it waits for a
    portion or its recordings. TAIL: it has nothing left to do while others still work. DECIDING, WRITING: the driver
    does this at the end.
    """

    workers: int
    recordings: int
    hours: float
    windows: int
    portions: int
    total_s: float
    labeling_s: float
    useful_s: float
    lost: dict[str, float]
    driver_s: dict[str, float]
    driver_busy: float
    network_busy: float
    source_busy: float
    losses: int

    @property
    def recordings_s(self) -> float:
        """Recordings per second."""
        return self.recordings / self.total_s


LISTING, STARTING, AMID, TAIL = "listing", "starting", "waiting", "tail"
DECIDING, WRITING = "deciding", "writing"


class Simulation:
    """One run of `recordings` on `workers` workers. The same seed gives the same run."""

    def __init__(self, recordings: Recordings, workers: int, costs: Costs, seed: int = 0) -> None:
        self.costs = costs
        self._recordings = recordings
        self._portions: Portions = split(
            recordings, workers * costs.workers.portions_at_once, costs.workers.portion_kind
        )
        self._driver, self._network, self._source = Server(), Server(), Server()
        self._events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._number = 0
        chance = np.random.default_rng((seed, workers))
        of = costs.workers
        self._starts = (of.start_s * np.exp(chance.normal(0, of.start_spread, workers))).tolist()
        self._noise = np.exp(
            chance.normal(-(of.portion_spread**2) / 2, of.portion_spread, self._portions.count)
        ).tolist()
        # Their total speed is that of equal workers. Otherwise, efficiency would depend on one worker's luck.
        slowness = np.exp(chance.normal(0, of.worker_spread, workers))
        self._workers = [_Worker(float(one)) for one in slowness * (1 / slowness).mean()]
        self._report_every_s = max(of.report_every_s, workers / of.reporters_a_second)
        self._chance = chance
        self._left = deque(range(self._portions.count))
        self._undone = self._portions.count
        self._saved_at = self._done_at = 0.0
        self._losses = 0

    def run(self) -> Simulated:
        """Simulate the run and return its result."""
        driver, count = self.costs.driver, self._recordings.count
        began = (
            driver.connect_s + count * driver.list_s + count * driver.save_s + self._portions.count * driver.portion_s
        )
        self._driver.free_at = self._saved_at = began
        nodes = math.ceil(len(self._workers) / self.costs.workers.a_machine)
        all_brought = nodes * self.costs.paths.checkpoint_bytes / self.costs.paths.driver_bytes_s
        for at, seconds in enumerate(self._starts):
            brought = all_brought * (at + 1) / len(self._workers)
            self._at(began + seconds + brought, self._ready, at)
        while self._events and self._undone:
            now, _, happens, arguments = heapq.heappop(self._events)
            happens(now, *arguments)
        return self._make_result(began)

    def _at(self, when: float, happens: Callable[..., None], *arguments: Any) -> None:
        self._number += 1
        heapq.heappush(self._events, (when, self._number, happens, arguments))

    def _ready(self, now: float, at: int) -> None:
        worker, of = self._workers[at], self.costs.workers
        worker.ready_at = min(worker.ready_at, now)
        worker.ended_at = max(worker.ended_at, now)
        if of.losses_an_hour:
            self._at(now + float(self._chance.exponential(3600 / of.losses_an_hour)), self._lost, at)
        for _ in range(of.portions_at_once + of.portions_waiting):
            self._hand_out(now, at)

    def _hand_out(self, now: float, at: int) -> None:
        if not self._left:
            return
        worker, portion = self._workers[at], self._left.popleft()
        worker.here.append(portion)
        sent = self._driver.serve(now, self.costs.driver.task_s, "handing out portions")
        self._at(sent + self.costs.paths.delay_s, self._arrives, at, worker.life)

    def _arrives(self, now: float, at: int, life: int) -> None:
        if self._workers[at].life == life:
            self._begin(now, at)

    def _begin(self, now: float, at: int) -> None:
        """Start the worker's next portion, if there is one and room for it."""
        worker, of, paths = self._workers[at], self.costs.workers, self.costs.paths
        if len(worker.running) >= of.portions_at_once:
            return
        portion = next((one for one in worker.here if one not in worker.running), None)
        if portion is None:
            return
        worker.running.add(portion)
        many, size = int(self._portions.recordings[portion]), int(self._portions.bytes[portion])
        prepare = float(self._portions.seconds[portion]) * of.prepare_s
        asked = now + 2 * paths.delay_s  # it first tells the coordinator and waits for the answer
        own = math.ceil(many / of.threads) * paths.first_byte_s + size / paths.worker_bytes_s + prepare
        read = max(asked + own, self._source.serve(asked, size / paths.source_bytes_s, "reading"))
        first = asked + (read - asked) / math.ceil(many / of.threads)
        work = int(self._portions.windows[portion]) * of.window_s * worker.speed * self._noise[portion]
        begins = max(first, worker.model.free_at)
        ends = max(worker.model.serve(first, work, "model"), read)
        reports = max(1, min(many, math.ceil(work * of.portions_at_once / self._report_every_s)))
        for number in range(1, reports + 1):
            when = begins + (ends - begins) * number / reports
            self._at(when, self._reports, at, worker.life, portion, number == reports, 1 / reports)

    def _reports(self, now: float, at: int, life: int, portion: int, is_last: bool, share: float) -> None:
        """Send a report from the worker."""
        worker = self._workers[at]
        if worker.life != life:
            return
        paths, driver = self.costs.paths, self.costs.driver
        recordings, windows = (
            share * int(self._portions.recordings[portion]),
            share * int(self._portions.windows[portion]),
        )
        size = windows * LOGITS_BYTES + recordings * OUTCOME_BYTES
        here = self._network.serve(now, size / paths.driver_bytes_s, "reports") + paths.delay_s
        if is_last:
            worker.here.remove(portion)
            worker.running.remove(portion)
            worker.ended_at = now
            self._begin(now, at)
        took = driver.report_s + size * driver.report_byte_s
        took += recordings * (driver.outcome_s + driver.put_s) + windows * LOGITS_BYTES * driver.outcome_byte_s
        self._at(here, self._taken_in, at, life, is_last, took, recordings, windows)

    def _taken_in(
        self, now: float, at: int, life: int, is_last: bool, took: float, recordings: float, windows: float
    ) -> None:
        """Process a report at the driver."""
        driver = self.costs.driver
        self._driver.serve(now, took, "taking in reports")
        stored = recordings * driver.store_add_s + windows * driver.store_window_s
        done = self._driver.serve(now, stored, "storing scores")
        saving = self._recordings.count * driver.save_s
        if done - self._saved_at > max(5.0, saving / driver.save_share):
            self._saved_at = done = self._driver.serve(now, saving, "saving the manifest")
        if is_last:
            self._undone -= 1
            self._at(done, self._hand_out_if_alive, at, life)
        self._done_at = max(self._done_at, done)

    def _hand_out_if_alive(self, now: float, at: int, life: int) -> None:
        if self._workers[at].life == life:
            self._hand_out(now, at)

    def _lost(self, now: float, at: int) -> None:
        """Lose a worker and its portions, which are the next to be handed out; another worker replaces it."""
        worker, of = self._workers[at], self.costs.workers
        self._losses += 1
        worker.life += 1
        again, worker.here, worker.running = worker.here, [], set()
        worker.model.free_at = now
        noticed = now + of.noticed_s
        self._at(noticed, self._again, again)
        self._at(noticed + self._starts[at], self._ready, at)

    def _again(self, now: float, portions: list[int]) -> None:
        self._left.extendleft(reversed(portions))
        # The live workers with the fewest portions get them.
        alive = [at for at, worker in enumerate(self._workers) if worker.ready_at <= now]
        for _ in portions:
            self._hand_out(now, min(alive, key=lambda at: len(self._workers[at].here)))

    def _make_result(self, began: float) -> Simulated:
        driver, count = self.costs.driver, self._recordings.count
        windows = int(self._recordings.windows.sum())
        decided = count * driver.decide_s + windows * driver.decide_window_s
        written = count * (driver.write_s + driver.save_s) + windows * driver.write_window_s
        after = {"deciding all labels": decided, "writing label files": written}
        total, labeling = self._done_at + sum(after.values()), self._done_at - began
        busy = sum(self._driver.busy.values())
        useful = [worker.model.busy["model"] for worker in self._workers]
        many = len(self._workers)
        lost = {
            LISTING: many * began,
            STARTING: 0.0,
            AMID: 0.0,
            TAIL: 0.0,
            DECIDING: many * decided,
            WRITING: many * written,
        }
        for worker, worked in zip(self._workers, useful, strict=True):
            ready, ended = min(worker.ready_at, self._done_at), min(worker.ended_at, self._done_at)
            lost[STARTING] += ready - began
            lost[AMID] += max(0.0, ended - ready - worked)
            lost[TAIL] += self._done_at - max(ended, ready)
        before = {"listing": count * driver.list_s, "making portions": self._portions.count * driver.portion_s}
        return Simulated(
            len(self._workers), count, self._recordings.hours, windows, self._portions.count, total, labeling,
            sum(useful), lost, {**before, **self._driver.busy, **after}, busy / labeling,
            self._network.busy["reports"] / labeling, self._source.busy["reading"] / labeling, self._losses,
        )  # fmt: skip


def simulate(recordings: Recordings, workers: int, costs: Costs, seed: int = 0) -> Simulated:
    """Return the result of a run of `recordings` on `workers` workers."""
    return Simulation(recordings, workers, costs, seed).run()
