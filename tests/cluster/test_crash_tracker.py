from __future__ import annotations

import random
from collections.abc import Collection, Iterator

from hypothesis import given
from hypothesis import strategies as st

from block.cluster.crash_tracker import CrashTracker, RetryPlan, describe_crashes


def start_repeatedly(
    tracker: CrashTracker, times: int, ids: tuple[int, ...] = (1, 2, 3, 4), portion: int = 0
) -> RetryPlan:
    """Start the portion `times` times, and return the last plan."""
    return [tracker.start_portion(portion, ids) for _ in range(times)][-1]


def survive(tracker: CrashTracker, *ids: int, portion: int = 0) -> None:
    for one in ids:
        tracker.start_suspect(portion, one)
        tracker.clear_suspect(portion, one)


def test_the_first_two_times_a_portion_is_labeled_together() -> None:
    tracker = CrashTracker()
    assert tracker.start_portion(0, [1, 2]) == tracker.start_portion(0, [1, 2]) == RetryPlan((), (1, 2), {})


def test_a_portion_that_lost_its_worker_twice_is_labeled_one_recording_at_a_time() -> None:
    tracker = CrashTracker()
    assert start_repeatedly(tracker, 3) == RetryPlan((1, 2, 3, 4), (), {})
    assert tracker.start_portion(1, [5, 6]) == RetryPlan((), (5, 6), {}), "another portion has lost none"


def test_a_recording_that_crashes_its_worker_twice_on_its_own_fails_in_any_portion() -> None:
    tracker = CrashTracker()
    start_repeatedly(tracker, 3)
    survive(tracker, 1)
    tracker.start_suspect(0, 2)
    assert tracker.start_portion(0, [1, 2, 3, 4]) == RetryPlan((2, 3, 4), (1,), {})
    tracker.start_suspect(0, 2)
    plan = tracker.start_portion(0, [1, 2, 3, 4])
    assert plan == RetryPlan((3, 4), (1,), {2: describe_crashes(2)})
    assert plan.failures[2].startswith("the worker process died 2 times while labeling this recording;")
    assert tracker.start_portion(7, [2, 9]) == RetryPlan((), (9,), {2: describe_crashes(2)})


def test_recordings_that_finished_on_their_own_are_next_labeled_last_and_together() -> None:
    tracker = CrashTracker()
    start_repeatedly(tracker, 3)
    survive(tracker, 1, 2)
    tracker.start_suspect(0, 3)
    assert tracker.start_portion(0, [1, 2, 3, 4]) == RetryPlan((3, 4), (1, 2), {})
    survive(tracker, 3, 4)
    assert tracker.start_portion(1, [1, 2, 3, 4]) == RetryPlan((), (1, 2, 3, 4), {})


def test_recordings_that_are_too_much_together_become_suspects_again() -> None:
    tracker = CrashTracker()
    start_repeatedly(tracker, 3)
    survive(tracker, 1, 2)
    tracker.start_suspect(0, 3)
    assert tracker.start_portion(0, [1, 2, 3, 4]).rest == (1, 2)
    survive(tracker, 3, 4)
    # The worker is lost while 1 and 2 are labeled together.
    assert tracker.start_portion(0, [1, 2, 3, 4]) == RetryPlan((1, 2), (3, 4), {})


def test_losses_while_no_suspect_is_labeled_count_against_no_recording() -> None:
    tracker = CrashTracker()
    for _ in range(20):
        plan = tracker.start_portion(0, [1, 2])
        assert plan.failures == {}
    assert plan == RetryPlan((1, 2), (), {})


def test_a_recording_whose_worker_died_for_another_reason_is_cleared_once_it_finishes() -> None:
    tracker = CrashTracker()
    start_repeatedly(tracker, 3)
    for _ in range(5):
        tracker.start_suspect(0, 1)  # its machine vanishes
        plan = tracker.start_portion(0, [1, 2, 3, 4])
        assert 1 in plan.suspects
        survive(tracker, 1)
        plan = tracker.start_portion(0, [1, 2, 3, 4])  # later another vanishes, with no suspect
        assert 1 in plan.rest
        plan = tracker.start_portion(0, [1, 2, 3, 4])
        assert 1 in plan.suspects, "together, it was lost with the others"


def test_clearing_another_suspect_does_not_clear_the_current_one() -> None:
    tracker = CrashTracker()
    start_repeatedly(tracker, 3)
    tracker.start_suspect(0, 2)
    tracker.clear_suspect(0, 1)
    tracker.start_portion(0, [1, 2, 3, 4])
    tracker.start_suspect(0, 2)
    assert tracker.start_portion(0, [1, 2, 3, 4]).failures == {2: describe_crashes(2)}


class Lost(Exception):
    """The worker is lost."""


class Workers:
    """Workers that follow the plans, and are lost to `poison` recordings or to at most `spare` random accidents."""

    def __init__(self, tracker: CrashTracker, poison: Collection[int], spare: int, chance: random.Random) -> None:
        self.tracker, self.poison, self.spare, self.chance = tracker, poison, spare, chance
        self.beginnings = 0

    def label(self, portion: int, ids: list[int]) -> tuple[set[int], dict[int, str]]:
        """Return what was labeled in the end, and what failed."""
        while True:
            try:
                return self._begin(portion, ids)
            except Lost:
                assert self.beginnings < 1000, "it has no end"

    def _begin(self, portion: int, ids: list[int]) -> tuple[set[int], dict[int, str]]:
        self.beginnings += 1
        plan = self.tracker.start_portion(portion, ids)
        assert sorted([*plan.suspects, *plan.rest, *plan.failures]) == sorted(ids)
        self._accident()
        for one in plan.suspects:
            self.tracker.start_suspect(portion, one)
            if one in self.poison:
                raise Lost
            self.tracker.clear_suspect(portion, one)
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


def test_exactly_the_poisoned_recordings_fail_without_needless_losses() -> None:
    for poison in subsets():
        workers = Workers(CrashTracker(), poison, 0, random.Random(0))
        assert workers.label(0, [0, 1, 2, 3]) == ({0, 1, 2, 3} - poison, dict.fromkeys(poison, describe_crashes(2)))
        # Two losses together, then two for each on its own.
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
