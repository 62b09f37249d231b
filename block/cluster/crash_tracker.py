"""Find recordings that crash their worker, by labeling portions that keep losing workers one recording at a time."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

# A machine may vanish for unrelated reasons, and labeling one recording at a time is slow.
BATCH_ATTEMPTS = 2
MAX_CRASHES = 2


@dataclass(frozen=True)
class RetryPlan:
    """How to label a portion; each id is in exactly one of the fields.

    Label `suspects` first, one at a time in this order, with nothing else running in the worker's process. Then label
    `rest` together, as usual. Give up on `failures`, each for the reason given.
    """

    suspects: tuple[int, ...]
    rest: tuple[int, ...]
    failures: dict[int, str]


@dataclass
class _PortionState:
    """How often a portion was started, the suspect being labeled now, and the `rest` of its latest plan."""

    starts: int = 0
    suspect: int | None = None
    rest: tuple[int, ...] = ()


class CrashTracker:
    """Track how often each portion of a run starts. Portions have distinct numbers. Not thread-safe.

    A portion that starts again has lost its worker or its machine. It is labeled as usual `BATCH_ATTEMPTS` times, then
    one recording at a time. A loss then counts only against the recording being labeled, so machines that vanish often
    don't make good recordings fail. After `MAX_CRASHES` losses a recording fails, in any portion.

    A suspect that finishes is cleared. Its labels are still lost if its worker crashes later, so it is labeled again,
    last, together with other cleared ones. If their worker is lost, they were too much together and become suspects.
    """

    def __init__(self) -> None:
        self._portions: defaultdict[int, _PortionState] = defaultdict(_PortionState)
        self._crashes: Counter[int] = Counter()
        self._cleared: set[int] = set()

    def start_portion(self, portion: int, ids: Sequence[int]) -> RetryPlan:
        """Return the plan for the recordings `ids` of `portion`. If it started before, count its worker as lost."""
        state = self._portions[portion]
        if state.suspect is not None:
            self._crashes[state.suspect] += 1
        else:
            self._cleared.difference_update(state.rest)
        state.starts += 1
        state.suspect, state.rest = None, ()
        failures = {id_: describe_crashes(self._crashes[id_]) for id_ in ids if self._crashes[id_] >= MAX_CRASHES}
        left = tuple(id_ for id_ in ids if id_ not in failures)
        if state.starts <= BATCH_ATTEMPTS:
            return RetryPlan((), left, failures)
        state.rest = tuple(id_ for id_ in left if id_ in self._cleared)
        return RetryPlan(tuple(id_ for id_ in left if id_ not in self._cleared), state.rest, failures)

    def start_suspect(self, portion: int, recording_id: int) -> None:
        """Note that the worker of `portion` is now labeling only this recording."""
        self._portions[portion].suspect = recording_id

    def clear_suspect(self, portion: int, recording_id: int) -> None:
        """Note that the worker survived this recording, whether labeled or failed."""
        state = self._portions[portion]
        if state.suspect == recording_id:
            state.suspect = None
        del self._crashes[recording_id]  # earlier losses were the machine's fault
        self._cleared.add(recording_id)


def describe_crashes(count: int) -> str:
    """Return the reason for a recording that fails because its worker died `count` times."""
    return (
        f"the worker process died {count} times while labeling this recording; it may need more memory than a worker "
        f"has, or crash a library"
    )
