"""Search all interleavings of jobs, a person and late calls on one sample: a model without I/O.

A state holds what the server stores, how far each job is, and calls that were sent and may still be carried out. Every
request of a job is one step. Jobs may be killed before or after any step, and a call may be carried out a second time,
any time later (its answer got lost, and the client sent it again).
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

from block.edge_impulse.label_owner import ANNOUNCED, JOB, SEGMENTS, LabelOwner, find_owner, fingerprint
from block.edge_impulse.sample import Sample
from block.edge_impulse.write_protocol import (
    DONE,
    NewLabels,
    Pause,
    Read,
    Step,
    WriteLabels,
    WriteMetadata,
    write_labels,
)
from block.labeling.job import LABELED_BY
from block.recording import RecordingDone, RecordingError, RecordingSkipped

Metadata = frozenset[tuple[str, str]]
Results = tuple["Stored | None", ...]
Outcome = Literal["succeeded", "failed", "skipped", "killed"]
PERSON = "person"
_same_state: dict[tuple[str, str, str], Results] = {}


@dataclass(frozen=True)
class Stored:
    """What the server has: labels by the name of the job or person (empty: none), and metadata."""

    labels: str = ""
    metadata: Metadata = frozenset()


@dataclass(frozen=True)
class Late:
    """A call that may be carried out once more, at any time."""

    labels: str | None = None
    metadata: Metadata | None = None


@dataclass(frozen=True)
class Player:
    """A job: its name, which is its run id too, what its reads returned so far (None: another step), how it ended.

    `age`: how many calls of others were carried out since it last read the sample.
    """

    name: str
    results: Results = ()
    outcome: Outcome | None = None
    age: int = 0


@dataclass(frozen=True)
class State:
    """One moment. `has_lost_update`: a job removed the announcement of another, which it hadn't read yet.

    `is_edit_at_risk`: when the person changed the labels, a job had already read the sample to replace them.
    """

    stored: Stored
    players: tuple[Player, ...]
    late: tuple[Late, ...] = ()
    kills_left: int = 0
    repeats_left: int = 0
    edits_left: int = 0
    has_lost_update: bool = False
    is_edit_at_risk: bool = False

    @property
    def has_ended(self) -> bool:
        return not self.late and all(one.outcome for one in self.players)


def make_labels(name: str) -> list[dict[str, Any]]:
    """Return the labels that `name` gives the sample."""
    return [{"startIndex": 0, "endIndex": 9, "label": name}] if name else []


def make_sample(stored: Stored) -> Sample:
    """Return the sample as the API describes it."""
    fields = {"structuredLabels": make_labels(stored.labels), "metadata": dict(stored.metadata), "valuesCount": 10}
    return Sample.from_answer({"sample": fields}, 1)


def describe(name: str) -> dict[str, str]:
    """Return the metadata with which job `name` describes its labels, without their fingerprint."""
    return {"labeled_by": LABELED_BY, JOB: name}


def finished(name: str, announced: bool = True) -> Stored:
    """Return what job `name` leaves. Block 0.1.0 left no announcement."""
    digest = fingerprint(make_labels(name))
    announcements = {ANNOUNCED + digest: name + DONE} if announced else {}
    return Stored(name, frozenset({**describe(name), SEGMENTS: digest, **announcements}.items()))


@cache
def find_owner_of(stored: Stored) -> LabelOwner:
    """Return who set the labels of the sample."""
    return find_owner(make_sample(stored), "")


@cache
def is_whole(stored: Stored) -> bool:
    """Return whether labels and metadata are those of one job."""
    metadata = dict(stored.metadata)
    return metadata.get(SEGMENTS) == fingerprint(make_labels(stored.labels)) and metadata.get(JOB) == stored.labels


@cache
def advance(name: str, results: Results) -> tuple[Step | Outcome, Results]:
    """Return the next step of job `name` after its steps had these results, or how it ends.

    Also return results that lead to the same state of the job, always the same ones, so that states can be compared.
    """

    def compose(sample: Sample) -> NewLabels:
        owner = find_owner(sample, name)
        if owner is LabelOwner.PERSON:
            raise RecordingSkipped("by hand")
        if owner is LabelOwner.THIS_JOB:
            raise RecordingDone("already labeled")
        return NewLabels(make_labels(name), describe(name))

    steps = write_labels(name, compose)
    try:
        step = next(steps)
        for result in results:
            step = steps.send(make_sample(result) if result is not None else None)
    except StopIteration:
        return "succeeded", ()
    except RecordingSkipped:
        return "skipped", ()
    except RecordingError:
        return "failed", ()
    variables = {key: value for key, value in inspect.getgeneratorlocals(steps).items() if key != "compose"}
    return step, _same_state.setdefault((name, repr(step), repr(variables)), results)


def start(stored: Stored, *names: str, kills: int = 0, repeats: int = 0, edits: int = 0) -> State:
    """Return the state before jobs with these names start."""
    return State(stored, tuple(Player(name) for name in names), (), kills, repeats, edits)


def search(first: State, merges: bool, max_age: int | None = None, is_pause_long: bool = True) -> Iterator[State]:
    """Yield every state in which all has ended. With `merges`, the server keeps metadata that isn't sent again.

    If `is_pause_long`, a pause lasts until the other jobs have ended or pause as well.
    """
    seen, waiting = {first}, [first]
    while waiting:
        state = waiting.pop()
        if state.has_ended:
            yield state
        for following in _find_next(state, merges, max_age, is_pause_long):
            if following not in seen:
                seen.add(following)
                waiting.append(following)


def _find_next(state: State, merges: bool, max_age: int | None, is_pause_long: bool) -> Iterator[State]:
    running = [at for at, player in enumerate(state.players) if player.outcome is None]
    pausing = [at for at in running if isinstance(_next_step(state.players[at]), Pause)]
    must_wait = pausing if is_pause_long and len(pausing) < len(running) else []
    for at in running:
        yield from _find_moves(state, at, merges, max_age, may_continue=at not in must_wait)
    for late in set(state.late):
        left = list(state.late)
        left.remove(late)
        yield _carry_out(replace(state, late=tuple(left)), late, merges)
    if state.edits_left:
        at_risk = any(one.labels for one in state.late) or any(map(_is_replacing, state.players))
        stored = replace(state.stored, labels=PERSON)
        yield replace(state, stored=stored, edits_left=state.edits_left - 1, is_edit_at_risk=at_risk)


def _find_moves(state: State, at: int, merges: bool, max_age: int | None, may_continue: bool) -> Iterator[State]:
    player = state.players[at]
    step = _next_step(player)
    killed = Player(player.name, outcome="killed")
    if state.kills_left:
        yield replace(_put(state, at, killed), kills_left=state.kills_left - 1)
    if not may_continue or (max_age is not None and isinstance(step, WriteMetadata) and player.age > max_age):
        return
    result = state.stored if isinstance(step, Read) else None
    following, results = advance(player.name, (*player.results, result))
    outcome = following if isinstance(following, str) else None
    age = 0 if outcome or max_age is None or isinstance(step, Read) else player.age
    moved = _put(state, at, Player(player.name, results, outcome, age), max_age)
    if isinstance(step, Read | Pause):
        yield moved
        return
    call = (
        Late(labels=player.name) if isinstance(step, WriteLabels) else Late(metadata=frozenset(step.metadata.items()))
    )
    yield _carry_out(moved, call, merges)
    if state.repeats_left:
        late = tuple(sorted((*state.late, call), key=repr))
        repeated = replace(moved, late=late, repeats_left=state.repeats_left - 1)
        yield _carry_out(repeated, call, merges)
        if state.kills_left:  # killed while its call was under way
            yield replace(_put(repeated, at, killed), kills_left=state.kills_left - 1)


def _next_step(player: Player) -> Any:
    return advance(player.name, player.results)[0]


def _put(state: State, at: int, player: Player, max_age: int | None = None) -> State:
    """Return the state after `player` took a step; if it carried out a call, the others' reads are older by one."""
    players = [
        replace(one, age=min(one.age + 1, max_age + 1))
        if max_age is not None and other != at and not one.outcome
        else one
        for other, one in enumerate(state.players)
    ]
    players[at] = player
    return replace(state, players=tuple(players))


def _carry_out(state: State, call: Late, merges: bool) -> State:
    if call.metadata is None:
        return replace(state, stored=replace(state.stored, labels=call.labels or ""))
    before, after = dict(state.stored.metadata), dict(call.metadata)
    if merges:
        after = {**before, **after}
    lost = any(name.startswith(ANNOUNCED) and name not in after for name in before)
    stored = replace(state.stored, metadata=frozenset(after.items()))
    return replace(state, stored=stored, has_lost_update=state.has_lost_update or lost)


def _is_replacing(player: Player) -> bool:
    """Return whether the job has read the sample in order to replace its labels, and hasn't replaced them yet."""
    step = None if player.outcome else _next_step(player)
    if isinstance(step, WriteMetadata):
        return step.metadata[ANNOUNCED + fingerprint(make_labels(player.name))] == player.name  # not described yet
    return isinstance(step, WriteLabels)
