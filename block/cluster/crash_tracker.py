"""Find the recordings that crash their worker: chunks that keep losing workers are tried one recording at a time."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

# A machine may vanish for reasons of its own, and trying one recording at a time is slow.
BATCH_ATTEMPTS = 2
MAX_CRASHES = 2


@dataclass(frozen=True)
class RetryPlan:
    """How to label a chunk; each id is in exactly one of the three.

    First `suspects`, one at a time in this order, with nothing else going on in the worker's process. Then `rest`, all
    at once as usual. `failures` are given up, each with the reason.
    """

    suspects: tuple[int, ...]
    rest: tuple[int, ...]
    failures: dict[int, str]


@dataclass
class _ChunkState:
    """How often a chunk was started, the suspect that is being tried, and the `rest` of its latest plan."""

    starts: int = 0
    suspect: int | None = None
    rest: tuple[int, ...] = ()


class CrashTracker:
    """The starts of a run's chunks, each with a number of its own. For one thread.

    A chunk that starts again has lost its worker, or its machine. The first `BATCH_ATTEMPTS` times it is labeled as
    usual. From then on one recording is tried at a time, and a loss counts against a recording only if it was the one
    being tried: machines that vanish often make no recording fail. After `MAX_CRASHES` it fails, in whatever chunk.

    A suspect that finishes is cleared. Its labels are lost all the same if its worker crashes later, so it comes again,
    last, together with others that were cleared. If a worker is lost there, they were too much at once and are suspects
    again.
    """

    def __init__(self) -> None:
        self._chunks: defaultdict[int, _ChunkState] = defaultdict(_ChunkState)
        self._crashes: Counter[int] = Counter()
        self._innocent: set[int] = set()

    def start_chunk(self, chunk: int, ids: Sequence[int]) -> RetryPlan:
        """Plan how a worker labels the recordings `ids` of `chunk`; it has lost the worker before, if any."""
        state = self._chunks[chunk]
        if state.suspect is not None:
            self._crashes[state.suspect] += 1
        else:
            self._innocent.difference_update(state.rest)
        state.starts += 1
        state.suspect, state.rest = None, ()
        failures = {id_: describe_crashes(self._crashes[id_]) for id_ in ids if self._crashes[id_] >= MAX_CRASHES}
        left = tuple(id_ for id_ in ids if id_ not in failures)
        if state.starts <= BATCH_ATTEMPTS:
            return RetryPlan((), left, failures)
        state.rest = tuple(id_ for id_ in left if id_ in self._innocent)
        return RetryPlan(tuple(id_ for id_ in left if id_ not in self._innocent), state.rest, failures)

    def start_suspect(self, chunk: int, recording_id: int) -> None:
        """Note that the worker of `chunk` is now busy with that recording alone."""
        self._chunks[chunk].suspect = recording_id

    def clear_suspect(self, chunk: int, recording_id: int) -> None:
        """Note that the worker survived that recording, labeled or not."""
        state = self._chunks[chunk]
        if state.suspect == recording_id:
            state.suspect = None
        del self._crashes[recording_id]  # it was the machine's fault
        self._innocent.add(recording_id)


def describe_crashes(count: int) -> str:
    """Return why a recording failed whose worker was lost `count` times."""
    return (
        f"the worker process was lost {count} times while it labeled this recording; it may need more memory than a "
        f"worker has, or make a library crash"
    )
