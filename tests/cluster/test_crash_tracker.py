from __future__ import annotations

import random
from collections.abc import Collection, Iterator

from hypothesis import given
from hypothesis import strategies as st

from block.cluster.crash_tracker import CrashTracker, RetryPlan, describe_crashes


def begun(attempts: CrashTracker, times: int, ids: tuple[int, ...] = (1, 2, 3, 4), chunk: int = 0) -> RetryPlan:
    """The plan of the last of so many beginnings."""
    return [attempts.start_chunk(chunk, ids) for _ in range(times)][-1]


def tried(attempts: CrashTracker, *ids: int, chunk: int = 0) -> None:
    for one in ids:
        attempts.start_suspect(chunk, one)
        attempts.clear_suspect(chunk, one)


def test_the_first_and_second_time_a_chunk_is_labeled_all_together() -> None:
    attempts = CrashTracker()
    assert attempts.start_chunk(0, [1, 2]) == attempts.start_chunk(0, [1, 2]) == RetryPlan((), (1, 2), {})


def test_a_chunk_that_lost_its_worker_twice_is_tried_one_after_another() -> None:
    attempts = CrashTracker()
    assert begun(attempts, 3) == RetryPlan((1, 2, 3, 4), (), {})
    assert attempts.start_chunk(1, [5, 6]) == RetryPlan((), (5, 6), {}), "another chunk has lost none"


def test_a_recording_that_takes_its_worker_down_twice_while_it_is_alone_is_poisoned_wherever_it_is() -> None:
    attempts = CrashTracker()
    begun(attempts, 3)
    tried(attempts, 1)
    attempts.start_suspect(0, 2)
    assert attempts.start_chunk(0, [1, 2, 3, 4]) == RetryPlan((2, 3, 4), (1,), {})
    attempts.start_suspect(0, 2)
    plan = attempts.start_chunk(0, [1, 2, 3, 4])
    assert plan == RetryPlan((3, 4), (1,), {2: describe_crashes(2)})
    assert plan.failures[2].startswith("the worker process died 2 times while labeling this recording;")
    assert attempts.start_chunk(7, [2, 9]) == RetryPlan((), (9,), {2: describe_crashes(2)})


def test_what_was_finished_alone_is_not_tried_alone_again_but_comes_last_together() -> None:
    attempts = CrashTracker()
    begun(attempts, 3)
    tried(attempts, 1, 2)
    attempts.start_suspect(0, 3)
    assert attempts.start_chunk(0, [1, 2, 3, 4]) == RetryPlan((3, 4), (1, 2), {})
    tried(attempts, 3, 4)
    assert attempts.start_chunk(1, [1, 2, 3, 4]) == RetryPlan((), (1, 2, 3, 4), {})


def test_recordings_that_are_too_much_together_though_each_is_sound_are_tried_alone_again() -> None:
    attempts = CrashTracker()
    begun(attempts, 3)
    tried(attempts, 1, 2)
    attempts.start_suspect(0, 3)
    assert attempts.start_chunk(0, [1, 2, 3, 4]).rest == (1, 2)
    tried(attempts, 3, 4)
    # The worker is lost while 1 and 2 are labeled together.
    assert attempts.start_chunk(0, [1, 2, 3, 4]) == RetryPlan((1, 2), (3, 4), {})


def test_losses_while_nothing_is_tried_alone_are_held_against_nobody() -> None:
    attempts = CrashTracker()
    for _ in range(20):
        plan = attempts.start_chunk(0, [1, 2])
        assert plan.failures == {}
    assert plan == RetryPlan((1, 2), (), {})


def test_a_recording_whose_worker_was_lost_by_chance_is_cleared_once_it_is_finished() -> None:
    attempts = CrashTracker()
    begun(attempts, 3)
    for _ in range(5):
        attempts.start_suspect(0, 1)  # its machine vanishes
        plan = attempts.start_chunk(0, [1, 2, 3, 4])
        assert 1 in plan.suspects
        tried(attempts, 1)
        plan = attempts.start_chunk(0, [1, 2, 3, 4])  # and later another, nobody being tried
        assert 1 in plan.rest
        plan = attempts.start_chunk(0, [1, 2, 3, 4])
        assert 1 in plan.suspects, "together, it was lost with the others"


def test_an_older_word_does_not_end_a_newer_try() -> None:
    attempts = CrashTracker()
    begun(attempts, 3)
    attempts.start_suspect(0, 2)
    attempts.clear_suspect(0, 1)
    attempts.start_chunk(0, [1, 2, 3, 4])
    attempts.start_suspect(0, 2)
    assert attempts.start_chunk(0, [1, 2, 3, 4]).failures == {2: describe_crashes(2)}


class Lost(Exception):
    """The worker."""


class Workers:
    """Label a chunk after the rules, and are lost: to `poison`, or to fewer than `spare` accidents at any step."""

    def __init__(self, attempts: CrashTracker, poison: Collection[int], spare: int, chance: random.Random) -> None:
        self.attempts, self.poison, self.spare, self.chance = attempts, poison, spare, chance
        self.beginnings = 0

    def label(self, chunk: int, ids: list[int]) -> tuple[set[int], dict[int, str]]:
        """What was labeled in the end, and what was given up."""
        while True:
            try:
                return self._begin(chunk, ids)
            except Lost:
                assert self.beginnings < 1000, "it has no end"

    def _begin(self, chunk: int, ids: list[int]) -> tuple[set[int], dict[int, str]]:
        self.beginnings += 1
        plan = self.attempts.start_chunk(chunk, ids)
        assert sorted([*plan.suspects, *plan.rest, *plan.failures]) == sorted(ids)
        self._accident()
        for one in plan.suspects:
            self.attempts.start_suspect(chunk, one)
            if one in self.poison:
                raise Lost
            self.attempts.clear_suspect(chunk, one)
            self._accident()
        if any(one in self.poison for one in plan.rest):
            raise Lost
        self._accident()
        return {*plan.suspects, *plan.rest}, plan.failures

    def _accident(self) -> None:
        if self.spare and self.chance.random() < 0.3:
            self.spare -= 1
            raise Lost


def subsets() -> Iterator[set[int]]:
    for bits in range(16):
        yield {one for one in range(4) if bits >> one & 1}


def test_whichever_recordings_are_poisoned_these_fail_and_no_others_and_no_worker_is_lost_in_vain() -> None:
    for poison in subsets():
        workers = Workers(CrashTracker(), poison, 0, random.Random(0))
        assert workers.label(0, [0, 1, 2, 3]) == ({0, 1, 2, 3} - poison, dict.fromkeys(poison, describe_crashes(2)))
        # Twice together, then twice alone each.
        assert workers.beginnings == (1 + 2 + 2 * len(poison) if poison else 1)


@given(
    poison=st.sets(st.integers(0, 15), max_size=5), spare=st.integers(0, 40), seed=st.integers(0, 10**6)
)  # fmt: skip
def test_machines_that_vanish_between_recordings_make_no_good_recording_fail(
    poison: set[int], spare: int, seed: int
) -> None:
    workers = Workers(CrashTracker(), poison, spare, random.Random(seed))
    assert workers.label(0, list(range(16))) == (set(range(16)) - poison, dict.fromkeys(poison, describe_crashes(2)))
    assert workers.beginnings <= 1 + 2 + 2 * len(poison) + spare
