"""A worker: one process of the cluster with one model, which labels chunks of recordings.

Ray Data makes an instance of `LabelRecordings` in each process of its pool and hands it a chunk at a time, two at once:
while one is with the model, the other reads and writes. What is done with a chunk is a `Run`, as on a single machine.
"""

from __future__ import annotations

import os
import pickle
import queue
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from block.cluster.coordinator import checkpoint_bytes, held_contents
from block.cluster.exclusive_lock import SharedLock
from block.cluster.report import Report
from block.cluster.task import ClusterJob, WorkItem
from block.cluster.versions import differences, here
from block.cluster.worker_setup import checkpoint_here
from block.settings import SettingsError

if TYPE_CHECKING:
    from block.cluster.chunk import Tools

CHUNKS_AT_ONCE = 2


class LabelRecordings:
    """Labels chunks of recordings with one model. The name is what Ray's dashboard shows."""

    def __init__(self, task: ClusterJob, coordinator: Any) -> None:
        """`coordinator` is the handle of the run's `Coordinator`. What goes wrong here ends the run, in words."""
        self._name = f"{socket.gethostname()}, process {os.getpid()}"
        self._task = task
        self._coordinator = coordinator
        self._problem = ""
        self._tools: Tools | None = None
        self._told = _ReportNotifier()
        try:
            self._tools = self._made()
        except Exception as error:
            self._problem = f"{type(error).__name__}: {error}" if not isinstance(error, SettingsError) else str(error)

    def __call__(self, batch: Any) -> Iterator[Any]:
        """Label the chunk in `batch`, an Arrow table of one row. Yields tables of one row with a `Report`."""
        import pyarrow as pa

        number: int = batch.column("chunk")[0].as_py()
        items: list[WorkItem] = pickle.loads(batch.column("items")[0].as_py())  # noqa: S301
        for report in self._reports(number, items):
            yield pa.table({"report": pa.array([report.packed()], pa.large_binary())})

    def _made(self) -> Tools:
        """All that chunks have in common. Raises SettingsError, or whatever a broken machine raises."""
        # Torch is for workers: the driver, which imports this module too, may be a machine without it.
        import ray

        from block.cluster.chunk import Tools
        from block.labeling.engine import Engine
        from block.model.device import choose_device

        task = self._task
        task.site.check()
        if differing := differences(dict(task.versions), here()):
            self._told.warn_once(f"a worker runs other software than this machine, so scores may differ: {differing}")
        checkpoint = checkpoint_here(task.job.checkpoint, task.digest, self._asked)
        job = replace(task.job, checkpoint=checkpoint)
        device = choose_device(job.compute)
        if device.dtype_name != task.key.dtype:
            raise SettingsError(f"a worker would compute in {device.dtype_name}, the others in {task.key.dtype}")
        engine = Engine(job, device, task.digest)
        labeler = engine.load_labeler(self._told, stored=task.keeps, explain=task.explain)
        held = held_contents(self._coordinator) if task.keeps else set()
        key = ray.get(self._coordinator.access.remote()) if task.site.needs_key else ""
        gate = None
        if task.site.needs_key:
            from block.cluster.throttle_client import ThrottleClient

            gate = ThrottleClient(self._coordinator, self._name)
        return Tools(task, labeler, threading.Lock(), SharedLock(), held, self._scored, key, gate)

    def _asked(self, name: str) -> bytes:
        return checkpoint_bytes(self._coordinator, name)

    def _scored(self, content: str) -> Any:
        import ray

        return ray.get(self._coordinator.scored.remote(content))

    def _reports(self, number: int, items: list[WorkItem]) -> Iterator[Report]:
        """What becomes of a chunk, as it becomes known."""
        from block.cluster.chunk import Chunk

        if self._tools is None:
            yield Report(self._name, ended=f"on {self._name}: {self._problem}")
            return
        chunk = Chunk(self._tools, self._coordinator, number, items)
        outcomes: queue.SimpleQueue[Any] = queue.SimpleQueue()
        thread = threading.Thread(target=chunk.label, args=(outcomes.put,), name=f"chunk {number}", daemon=True)
        thread.start()
        report, since = Report(self._name), time.monotonic()
        over = False
        while not over:
            one = outcomes.get()
            over = one is None
            if not over:
                report.outcomes.append(one)
            if over or time.monotonic() - since >= self._task.report_every_s:
                chunk.finish(report)
                self._told.finish(report)
                yield report
                report, since = Report(self._name), time.monotonic()


class _ReportNotifier:
    """What is to be told to the user with the next report."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._said: list[str] = []
        self._warned: dict[str, bool] = {}

    def say(self, line: str) -> None:
        with self._lock:
            self._said.append(line)

    def warn_once(self, text: str) -> None:
        with self._lock:
            self._warned.setdefault(text, False)

    def finish(self, report: Report) -> None:
        """Hand over what has not been handed over yet."""
        with self._lock:
            report.said += self._said
            self._said = []
            report.warnings += [text for text, told in self._warned.items() if not told]
            self._warned = dict.fromkeys(self._warned, True)
