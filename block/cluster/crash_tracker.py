"""Which recordings take their worker down with them. Chunks that lose their workers are looked through one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

TOGETHER_TWICE = 2  # a machine may go for reasons of its own; only then is a chunk slow for sure, one after another
LOST_ENOUGH = 2


@dataclass(frozen=True)
class RetryPlan:
    """How a chunk is to be labelled now; each id is in exactly one of the three.

    `alone` are to be tried first, one at a time in this order, with nothing else going on in the worker's process. Then
    `together`, at once as usual. `poisoned` are given up, each with the reason to tell.
    """

    alone: tuple[int, ...]
    together: tuple[int, ...]
    poisoned: dict[int, str]


@dataclass
class _Chunk:
    """How often it was begun; what is being tried alone; whether others were to follow together."""

    begun: int = 0
    trying: int | None = None
    sound: tuple[int, ...] = ()


@dataclass
class CrashTracker:
    """Beginnings of the chunks of a run, each of which has a number that no other has. For one thread.

    A chunk that is begun again has lost its worker, or its machine. Twice it is labelled as usual, all together. From
    then on one recording is tried at a time, and a loss is held against a recording only if it alone was being tried:
    other losses say nothing, so that machines which vanish often make no recording fail. After `LOST_ENOUGH` of these
    it is poisoned, in whatever chunk it is.

    What was finished alone has shown that it takes down nobody. Its labels went down all the same if its worker did
    later, but it need not be alone for them again: it comes last, together with the others like it. Should a worker be
    lost there, then it was too much at once, and these are tried alone again.
    """

    _chunks: dict[int, _Chunk] = field(default_factory=dict)
    _lost: dict[int, int] = field(default_factory=dict)
    _sound: set[int] = field(default_factory=set)

    def begin(self, chunk: int, ids: Sequence[int]) -> RetryPlan:
        """A worker begins with `chunk`, which holds `ids`; it has lost the one before, if any."""
        known = self._chunks.setdefault(chunk, _Chunk())
        if known.trying is not None:
            self._lost[known.trying] = self._lost.get(known.trying, 0) + 1
        else:
            self._sound.difference_update(known.sound)
        known.begun += 1
        known.trying = None
        known.sound = ()
        poisoned = {id_: reason(self._lost[id_]) for id_ in ids if self._lost.get(id_, 0) >= LOST_ENOUGH}
        left = tuple(id_ for id_ in ids if id_ not in poisoned)
        if known.begun <= TOGETHER_TWICE:
            return RetryPlan((), left, poisoned)
        known.sound = tuple(id_ for id_ in left if id_ in self._sound)
        return RetryPlan(tuple(id_ for id_ in left if id_ not in self._sound), known.sound, poisoned)

    def trying(self, chunk: int, recording_id: int) -> None:
        """From now on its worker is busy with that recording of `chunk`, and with nothing else."""
        self._chunks.setdefault(chunk, _Chunk()).trying = recording_id

    def finished(self, chunk: int, recording_id: int) -> None:
        """That recording was tried alone, and its worker is still there. Whether it has labels does not matter."""
        known = self._chunks.setdefault(chunk, _Chunk())
        if known.trying == recording_id:
            known.trying = None
        self._lost.pop(recording_id, None)  # it was the machine's fault
        self._sound.add(recording_id)


def reason(times: int) -> str:
    """Why a recording was given up whose worker was lost `times` times."""
    return (
        f"the worker process was lost {times} times while it labelled this recording; it may need more memory than a "
        f"worker has, or make a library crash"
    )
