"""An actor on the driver's machine that coordinates all workers of a run. It doesn't reserve a core.

It hands out what only the driver has (the API key, the checkpoint's files, stored scores), counts worker crashes, and
limits how many requests are open at once. It writes nothing to disk: if it is lost, the run ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from block.cluster.crash_tracker import CrashTracker, RetryPlan
from block.cluster.throttle import Lease, Throttle
from block.edge_impulse.retries import RequestOutcome
from block.model.checkpoint import FILES
from block.score_store import Key, Scored, ScoreStore

NAME = "ast-coordinator"
WAIT_S = 60.0  # after this, a waiting worker has to ask again, so that dead workers don't stay in line
MAX_CALLS = 100_000  # concurrent calls, including those waiting in line: about ten per worker


@dataclass(frozen=True)
class CoordinatorInputs:
    """What a coordinator gets from the driver; fields that aren't needed are empty.

    `checkpoint` is the checkpoint's folder. `store` is the folder of a score store; the coordinator hands out its
    scores of `key`. At most `requests` requests are open at once.
    """

    checkpoint: Path | None = None
    store: Path | None = None
    key: Key | None = None
    api_key: str = field(default="", repr=False)
    requests: int = 1


class Coordinator:
    """The actor's code. Workers call its methods with `.remote`; all are coroutines in one thread.

    Methods without a docstring pass a call on to the method of that name of `CrashTracker` or `Throttle`.

    Ray stores a constructor's arguments while the cluster runs, and its tools show them. One of the inputs is a secret,
    so they come with `configure`, which must be called first.
    """

    def __init__(self) -> None:
        self._inputs = CoordinatorInputs()
        self._crash_tracker = CrashTracker()
        self._throttle = Throttle(1)
        self._waiters: dict[Lease, asyncio.Future[None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._references: dict[str, Any] = {}
        self._lock = asyncio.Lock()

    def __repr__(self) -> str:
        return NAME  # Ray prefixes log lines and tracebacks with it

    async def configure(self, inputs: CoordinatorInputs) -> None:
        """Set the inputs. Raise ValueError for a limit below 1."""
        self._throttle = Throttle(inputs.requests)
        self._inputs = inputs

    async def read_api_key(self) -> str:
        """Return the API key. Raise LookupError if the driver gave none."""
        if not self._inputs.api_key:
            raise LookupError("the driver gave no API key")
        return self._inputs.api_key

    async def share_file(self, name: str) -> list[Any]:
        """Return a reference, in a list, to the bytes of one of `FILES`.

        All workers get the same reference, so Ray copies the bytes to each machine once, also between machines. Raise
        LookupError for any other name, OSError if the file can't be read.
        """
        folder = self._inputs.checkpoint
        if folder is None or name not in FILES:
            raise LookupError(f"the driver gave no file {name!r}")
        return await self._share(name, (folder / name).read_bytes)

    async def share_contents(self) -> list[Any]:
        """Return a reference, in a list, to the SHA-256 of each file with scores in the store at the first call.

        Raise SettingsError if the store can't be read.
        """
        return await self._share("contents", lambda: set() if self._store is None else self._store.contents())

    async def find_scores(self, content: str) -> Scored | None:
        """Return the stored scores of the file with SHA-256 `content`. Raise SettingsError if they can't be read."""
        async with self._lock:
            store = await asyncio.to_thread(lambda: self._store)
        return None if store is None else await asyncio.to_thread(store.find, content)

    async def start_portion(self, portion: int, ids: Sequence[int]) -> RetryPlan:
        return self._crash_tracker.start_portion(portion, ids)

    async def start_suspect(self, portion: int, recording_id: int) -> None:
        self._crash_tracker.start_suspect(portion, recording_id)

    async def clear_suspect(self, portion: int, recording_id: int) -> None:
        self._crash_tracker.clear_suspect(portion, recording_id)

    async def acquire(self, worker: str, number: int) -> bool:
        """Wait until the request may be sent. Return False if the caller has to ask again."""
        lease = Lease(worker, number)
        self._throttle.enqueue(lease)
        self._admit()
        if self._throttle.is_under_way(lease):
            return True
        future = self._waiters[lease] = asyncio.get_running_loop().create_future()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(future, WAIT_S)
        if self._waiters.get(lease) is future:
            del self._waiters[lease]
        return self._throttle.is_under_way(lease)

    async def release(self, worker: str, number: int, outcome: RequestOutcome, asked_s: float | None = None) -> None:
        lease = Lease(worker, number)
        self._throttle.release(lease, outcome, asked_s)
        self._wake(lease)
        self._admit()

    async def renew(self, worker: str, numbers: Sequence[int], before: int) -> None:
        self._throttle.renew(worker, numbers, before)
        self._admit()

    def _admit(self) -> None:
        """Wake the callers that may send now. If the next one only has to wait for a while, set a timer for it."""
        for lease in self._throttle.admit():
            self._wake(lease)
        for lease in self._throttle.take_dropped():
            self._wake(lease)  # if its worker is alive after all, it asks again
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if (wait_s := self._throttle.wait_s()) is not None:
            # Timers may fire slightly early.
            self._timer = asyncio.get_running_loop().call_later(wait_s + 0.001, self._admit)

    def _wake(self, lease: Lease) -> None:
        future = self._waiters.pop(lease, None)
        if future is not None and not future.done():
            future.set_result(None)

    @cached_property
    def _store(self) -> ScoreStore | None:
        """The driver's score store; None if it has nothing for this run's key. Opened at first use, under the lock."""
        folder, key = self._inputs.store, self._inputs.key
        if folder is None or key is None or key not in ScoreStore.list_keys(folder):
            return None
        return ScoreStore.open_read_only(folder, key)

    async def _share(self, name: str, read: Callable[[], object]) -> list[Any]:
        """Return a reference, in a list, to the result of `read`, which is called only once per name."""

        def put() -> Any:
            import ray

            return ray.put(read())

        async with self._lock:
            if name not in self._references:
                self._references[name] = await asyncio.to_thread(put)
        return [self._references[name]]


def start_coordinator(inputs: CoordinatorInputs) -> Any:
    """Start a coordinator on this machine, which ends with this process, and return its handle. Ray must be running.

    Raise ValueError for a limit below 1.
    """
    Throttle(inputs.requests)  # raise the error here, without Ray's traceback
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    # The name is for the dashboard. It is unique: a cluster may have several, and names are freed with a delay.
    name = f"{NAME}-{secrets.token_hex(3)}"
    here = NodeAffinitySchedulingStrategy(node_id=ray.get_runtime_context().get_node_id(), soft=False)
    actor = ray.remote(Coordinator).options(name=name, num_cpus=0, max_concurrency=MAX_CALLS, scheduling_strategy=here)
    handle = actor.remote()
    ray.get(handle.configure.remote(inputs))
    return handle


def fetch_shared(answer: Any) -> Any:
    """Return, in a worker, the object behind the answer to a `share_…` call. Ray's errors pass through."""
    import ray

    (reference,) = ray.get(answer)
    return ray.get(reference)
