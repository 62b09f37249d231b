"""The one place in a cluster that knows about all workers of a run: an actor beside the driver, without a core.

It hands out what the driver alone has (the API key, the checkpoint's files, stored scores), keeps count of recordings
that take workers down, and is the limit on requests that are under way at once. Everything in it is lost with it, and
the run ends then; nothing of it is written anywhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from block.cluster.crash_tracker import CrashTracker, RetryPlan
from block.cluster.throttle import Lease, Throttle, ThrottleState
from block.edge_impulse.retries import RequestOutcome

if TYPE_CHECKING:
    from block.score_store import Key, Scored, ScoreStore

NAME = "ast-coordinator"
FILES = ("config.json", "preprocessor_config.json", "model.safetensors")
# A worker that waits asks again after so long: what waits for nobody any more does not stay for ever.
WAIT_S = 60.0
CALLS_AT_ONCE = 100_000  # those that wait their turn count: some ten for each worker


@dataclass(frozen=True)
class CoordinatorInputs:
    """What the driver gives a coordinator; the parameters of `start`."""

    checkpoint: Path | None = None
    held: Path | None = None
    key: Key | None = None
    api_key: str = field(default="", repr=False)
    requests: int = 1


class Coordinator:
    """The actor's code. Workers call the methods of a handle by `.remote`; they all are coroutines of one thread.

    What is passed to a constructor is kept by Ray for as long as a cluster runs, and shown by its tools: so what the
    driver gives, a secret among it, comes by `configure`, once, before anything else.
    """

    def __init__(self) -> None:
        self._given = CoordinatorInputs()
        self._attempts = CrashTracker()
        self._throttle = Throttle(1)
        self._askers: dict[Lease, asyncio.Future[None]] = {}
        self._alarm: asyncio.TimerHandle | None = None
        self._store: ScoreStore | None = None
        self._store_opened = False
        self._shared: dict[str, Any] = {}
        self._lock = asyncio.Lock()

    def __repr__(self) -> str:
        return NAME  # Ray puts it before lines of the log and of tracebacks

    async def configure(self, given: CoordinatorInputs) -> None:
        """Raises ValueError for a limit below 1."""
        self._throttle = Throttle(given.requests)
        self._given = given

    async def access(self) -> str:
        """The API key. Raises LookupError where the driver gave none."""
        if not self._given.api_key:
            raise LookupError("the driver gave no API key")
        return self._given.api_key

    async def checkpoint_file(self, name: str) -> list[Any]:
        """A reference, in a list, to the bytes of one of `FILES`; see `checkpoint_bytes`. Raises LookupError, OSError.

        All get the same one: Ray brings what it stands for to each machine once, and from one machine to the next.
        """
        folder = self._given.checkpoint
        if folder is None or name not in FILES:
            raise LookupError(f"the driver gave no file {name!r}")
        return await self._share(name, (folder / name).read_bytes)

    async def contents(self) -> list[Any]:
        """A reference, in a list, to the contents that scores are held of; see `held_contents`. Raises SettingsError.

        They are those that were held when first asked.
        """

        def read() -> set[str]:
            store = self._stored()
            return set() if store is None else store.contents()

        return await self._share("contents", read)

    async def scored(self, content: str) -> Scored | None:
        """What was held of the file with that SHA-256 when first asked. Raises SettingsError."""
        async with self._lock:
            store = await asyncio.to_thread(self._stored)
        return None if store is None else await asyncio.to_thread(store.find, content)

    async def begin(self, chunk: int, ids: Sequence[int]) -> RetryPlan:
        """As `CrashTracker.begin`."""
        return self._attempts.begin(chunk, ids)

    async def trying(self, chunk: int, recording_id: int) -> None:
        """As `CrashTracker.trying`. Wait for the answer before going on."""
        self._attempts.trying(chunk, recording_id)

    async def finished(self, chunk: int, recording_id: int) -> None:
        """As `CrashTracker.finished`. Wait for the answer before going on."""
        self._attempts.finished(chunk, recording_id)

    async def ask(self, worker: str, number: int) -> bool:
        """Wait until that worker's request with that number may be sent. False: not yet, ask again."""
        lease = Lease(worker, number)
        self._throttle.ask(lease)
        self._turn()
        if self._throttle.has(lease):
            return True
        future = self._askers[lease] = asyncio.get_running_loop().create_future()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(future, WAIT_S)
        if self._askers.get(lease) is future:
            del self._askers[lease]
        return self._throttle.has(lease)

    async def give_back(self, worker: str, number: int, outcome: RequestOutcome, asked_s: float | None = None) -> None:
        """As `Throttle.give_back`."""
        lease = Lease(worker, number)
        self._throttle.give_back(lease, outcome, asked_s)
        self._answer(lease)
        self._turn()

    async def renew(self, worker: str, numbers: Sequence[int], before: int) -> None:
        """As `Throttle.renew`."""
        self._throttle.renew(worker, numbers, before)
        self._turn()

    async def requests(self) -> ThrottleState:
        """How it stands with requests now."""
        return self._throttle.state

    def _turn(self) -> None:
        """Tell those who may send, and come back when time alone lets somebody through."""
        for lease in self._throttle.turn():
            self._answer(lease)
        for lease in self._throttle.dropped():
            self._answer(lease)  # it may live after all, and asks again
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if (wait_s := self._throttle.wait_s()) is not None:
            # Timers may go off a little early.
            self._alarm = asyncio.get_running_loop().call_later(wait_s + 0.001, self._turn)

    def _answer(self, lease: Lease) -> None:
        """Whoever waits for that need not wait any longer."""
        future = self._askers.pop(lease, None)
        if future is not None and not future.done():
            future.set_result(None)

    def _stored(self) -> ScoreStore | None:
        """The driver's score store, read once it is asked for; None where it holds nothing for this run."""
        folder, key = self._given.held, self._given.key
        if not self._store_opened and folder is not None and key is not None:
            from block.score_store import ScoreStore

            if key in ScoreStore.list_keys(folder):
                self._store = ScoreStore.open_read_only(folder, key)
        self._store_opened = True
        return self._store

    async def _share(self, name: str, read: Callable[[], object]) -> list[Any]:
        """A reference to what `read` gives, which is read once."""

        def put() -> Any:
            import ray

            return ray.put(read())

        async with self._lock:
            if name not in self._shared:
                self._shared[name] = await asyncio.to_thread(put)
        return [self._shared[name]]


def start(checkpoint: Path | None, held: Path | None, key: Key | None, api_key: str, requests: int) -> Any:
    """The handle of a new coordinator on this machine, which ends with this process. Ray must have been started.

    `checkpoint` and `held` are folders of this machine: a checkpoint's, and a score store's, of which the scores of
    `key` are handed out. `api_key` is empty where none is needed. At most `requests` are under way at once. Raises
    ValueError.
    """
    given = CoordinatorInputs(checkpoint, held, key, api_key, requests)
    Throttle(requests)  # here, what is wrong is told without Ray's traceback
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    # For the dashboard. A cluster may have several, and one that is over keeps its name for a moment.
    name = f"{NAME}-{secrets.token_hex(3)}"
    here = NodeAffinitySchedulingStrategy(node_id=ray.get_runtime_context().get_node_id(), soft=False)
    handle = (
        ray.remote(Coordinator)
        .options(name=name, num_cpus=0, max_concurrency=CALLS_AT_ONCE, scheduling_strategy=here)
        .remote()
    )
    ray.get(handle.configure.remote(given))
    return handle


def checkpoint_bytes(handle: Any, name: str) -> bytes:
    """One of the checkpoint's `FILES`, from the coordinator. Called in a worker. Raises what Ray raises."""
    import ray

    (reference,) = ray.get(handle.checkpoint_file.remote(name))
    content: bytes = ray.get(reference)
    return content


def held_contents(handle: Any) -> set[str]:
    """The SHA-256 of every file that the driver's score store holds scores of. As `checkpoint_bytes`."""
    import ray

    (reference,) = ray.get(handle.contents.remote())
    contents: set[str] = ray.get(reference)
    return contents
