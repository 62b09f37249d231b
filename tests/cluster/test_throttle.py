from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from block.cluster.throttle import FIRST_PAUSE_S, LONGEST_PAUSE_S, LOST_AFTER_S, Lease, Throttle
from tests.cluster.throttle_state import ThrottleState, state_of


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def leases(count: int, worker: str = "w") -> list[Lease]:
    return [Lease(worker, number) for number in range(count)]


def request(throttle: Throttle, *asking: Lease) -> list[Lease]:
    """Enqueue `asking`, and return the requests that may be sent."""
    for lease in asking:
        throttle.enqueue(lease)
    return throttle.admit()


def test_a_limit_below_one_is_rejected() -> None:
    with pytest.raises(ValueError, match="the limit is 0 requests; expected at least 1"):
        Throttle(0)


def test_at_most_the_limit_is_open_and_the_next_follow_first_come_first_served(clock: Clock) -> None:
    throttle = Throttle(2, clock)
    a, b, c, d = (Lease(worker, 1) for worker in "abcd")
    assert request(throttle, b, a, d, c) == [b, a]
    assert throttle.admit() == []
    throttle.release(a, "good")
    assert throttle.admit() == [d]
    throttle.release(b, "failed")
    assert throttle.admit() == [c]
    assert state_of(throttle).under_way == 2


def test_asking_again_keeps_the_place_and_does_not_take_a_second_one(clock: Clock) -> None:
    throttle = Throttle(1, clock)
    a, b, c = leases(3)
    assert request(throttle, a, b, c, b, a) == [a]
    assert state_of(throttle).waiting == 2
    assert throttle.is_under_way(a)
    throttle.enqueue(a)
    assert state_of(throttle).waiting == 2, "what is under way does not wait"
    throttle.release(a, "good")
    assert request(throttle, c) == [b]


def test_a_request_that_is_given_up_leaves_the_line(clock: Clock) -> None:
    throttle = Throttle(1, clock)
    a, b, c = leases(3)
    request(throttle, a, b, c)
    throttle.release(b, "failed")
    throttle.release(a, "good")
    assert throttle.admit() == [c]


def test_a_slowdown_pauses_everyone_as_long_as_the_server_asked_and_halves_the_number_allowed(
    clock: Clock,
) -> None:
    throttle = Throttle(8, clock)
    asking = leases(20)
    first = request(throttle, *asking)
    throttle.release(first[0], "slowed", 7.0)
    for lease in first[1:]:
        throttle.release(lease, "good")
    assert throttle.admit() == []
    assert throttle.wait_s() == 7
    clock.now += 6.999
    assert throttle.admit() == []
    clock.now += 0.001
    assert throttle.admit() == asking[8:12]


def test_slowdowns_of_requests_that_were_open_together_count_once(clock: Clock) -> None:
    throttle = Throttle(16, clock)
    for lease in request(throttle, *leases(16)):
        throttle.release(lease, "slowed", 2.0)
    assert state_of(throttle).allowed == 8
    assert state_of(throttle).pause_s == 2


def test_the_longest_of_several_pauses_counts(clock: Clock) -> None:
    throttle = Throttle(4, clock)
    a, b, c, d = request(throttle, *leases(4))
    throttle.release(a, "slowed", 5.0)
    throttle.release(b, "slowed", 60.0)
    throttle.release(c, "slowed", 1.0)
    throttle.release(d, "slowed")
    assert state_of(throttle).pause_s == 60


def test_each_further_slowdown_halves_again_down_to_one(clock: Clock) -> None:
    throttle = Throttle(16, clock)
    allowed = []
    for number in range(6):
        clock.now += 100
        (lease,) = request(throttle, Lease("w", number))
        throttle.release(lease, "slowed", 1.0)
        allowed.append(state_of(throttle).allowed)
    assert allowed == [8, 4, 2, 1, 1, 1]


def test_if_the_server_names_no_pause_ours_doubles_until_an_answer_is_good(clock: Clock) -> None:
    throttle = Throttle(4, clock)
    pauses = []
    for number in range(8):
        (lease,) = request(throttle, Lease("w", number))
        throttle.release(lease, "slowed", [None, 0.0][number % 2])
        pauses.append(state_of(throttle).pause_s)
        clock.now += state_of(throttle).pause_s
    assert pauses == [min(FIRST_PAUSE_S * 2**k, LONGEST_PAUSE_S) for k in range(8)]
    assert pauses[-1] == LONGEST_PAUSE_S
    (lease,) = request(throttle, Lease("w", 100))
    throttle.release(lease, "good")
    (lease,) = request(throttle, Lease("w", 101))
    throttle.release(lease, "slowed")
    assert state_of(throttle).pause_s == FIRST_PAUSE_S


def test_enough_good_answers_allow_one_more_up_to_the_limit(clock: Clock) -> None:
    throttle = Throttle(4, clock)
    (lease,) = request(throttle, Lease("w", 0))
    throttle.release(lease, "slowed", 1.0)
    clock.now += 1
    allowed = []
    for number in range(1, 12):
        (lease,) = request(throttle, Lease("w", number))
        throttle.release(lease, "good")
        allowed.append(state_of(throttle).allowed)
    assert allowed == [2, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4]


def test_failures_and_answers_to_requests_from_before_a_slowdown_do_not_count(clock: Clock) -> None:
    throttle = Throttle(8, clock)
    first = request(throttle, *leases(8))
    throttle.release(first[0], "slowed", 1.0)
    for lease in first[1:]:
        throttle.release(lease, "good")
    clock.now += 1
    for number in range(100, 120):
        (lease,) = request(throttle, Lease("w", number))
        throttle.release(lease, "failed")
    assert state_of(throttle).allowed == 4


def test_open_and_waiting_requests_of_a_lost_worker_are_freed(clock: Clock) -> None:
    throttle = Throttle(2, clock)
    lost, kept = leases(3, "lost"), leases(3, "kept")
    assert request(throttle, lost[0], kept[0], lost[1], kept[1], lost[2], kept[2]) == [lost[0], kept[0]]
    clock.now += LOST_AFTER_S / 2
    throttle.renew("kept")
    assert throttle.wait_s() == LOST_AFTER_S / 2
    clock.now += LOST_AFTER_S / 2 - 0.001
    assert throttle.admit() == []
    clock.now += 0.001
    assert throttle.admit() == [kept[1]]
    assert sorted(throttle.take_dropped()) == lost[1:]
    assert throttle.take_dropped() == []
    assert not throttle.is_under_way(lost[0])
    throttle.release(kept[0], "good")
    assert throttle.admit() == [kept[2]]
    assert throttle.wait_s() is None


@pytest.mark.parametrize("sign", ["ask", "give back", "renew"])
def test_a_worker_that_gives_any_sign_of_life_keeps_its_requests(clock: Clock, sign: str) -> None:
    throttle = Throttle(1, clock)
    held, other, further = leases(3)
    request(throttle, held, further)
    for _ in range(10):
        clock.now += LOST_AFTER_S * 0.7
        if sign == "ask":
            throttle.enqueue(further)
        elif sign == "give back":
            throttle.release(other, "failed")
        else:
            throttle.renew("w")
        throttle.admit()
    assert throttle.is_under_way(held)


def test_a_live_worker_keeps_only_the_requests_that_it_reports(clock: Clock) -> None:
    throttle = Throttle(2, clock)
    known, unknown, awaited, given_up, newer = leases(5)
    other = Lease("other", 1)
    request(throttle, known, unknown, given_up, awaited, newer, other)
    throttle.renew("w", [known.number, awaited.number], before=newer.number)
    assert throttle.take_dropped() == [given_up]
    assert throttle.admit() == [awaited]
    assert throttle.is_under_way(known)
    assert not throttle.is_under_way(unknown)
    for lease in (known, awaited):
        throttle.release(lease, "good")
    assert throttle.admit() == [newer, other]


def test_releasing_a_request_that_was_already_freed_does_not_free_a_second_place(clock: Clock) -> None:
    throttle = Throttle(1, clock)
    late, first, second = Lease("late", 0), Lease("a", 0), Lease("b", 0)
    request(throttle, late, first)
    clock.now += LOST_AFTER_S
    assert request(throttle, first, second) == [first]
    throttle.release(late, "good")
    assert throttle.admit() == []
    assert state_of(throttle) == ThrottleState(allowed=1, under_way=1, waiting=1, pause_s=0.0)


def test_a_late_report_that_the_server_asks_for_a_pause_still_counts(clock: Clock) -> None:
    throttle = Throttle(4, clock)
    late = Lease("late", 0)
    request(throttle, late)
    clock.now += LOST_AFTER_S
    throttle.admit()
    throttle.release(late, "slowed", 9.0)
    assert state_of(throttle).pause_s == 9
    assert state_of(throttle).allowed == 4


class Cluster(RuleBasedStateMachine):
    """Workers that send requests, get answers, are slowed down, live and die in any order."""

    @initialize(limit=st.integers(1, 6))
    def begin(self, limit: int) -> None:
        self.clock = Clock()
        self.throttle = Throttle(limit, self.clock)
        self.line: list[Lease] = []
        self.sent: list[Lease] = []
        self.alive = set("abc")
        self.count = 0
        self.closed_until = 0.0

    def look(self) -> None:
        for lease in self.throttle.admit():
            assert self.clock.now >= self.closed_until, "sent during a pause that the server asked for"
            assert lease == self.line.pop(0), "first come, first served"
            self.sent.append(lease)

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def ask(self, data: st.DataObject) -> None:
        self.count += 1
        lease = Lease(data.draw(st.sampled_from(sorted(self.alive))), self.count)
        self.throttle.enqueue(lease)
        self.line.append(lease)
        self.look()

    @precondition(lambda self: any(one.worker in self.alive for one in self.sent))
    @rule(data=st.data(), outcome=st.sampled_from(["good", "slowed", "failed"]), asked_s=st.sampled_from([None, 0, 3]))
    def answer(self, data: st.DataObject, outcome: str, asked_s: float | None) -> None:
        lease = data.draw(st.sampled_from([one for one in self.sent if one.worker in self.alive]))
        self.sent.remove(lease)
        self.throttle.release(lease, outcome, asked_s if outcome == "slowed" else None)
        if outcome == "slowed":
            self.closed_until = max(self.closed_until, self.clock.now + (asked_s or 0))
        self.look()

    @rule(seconds=st.sampled_from([0.5, 2.0, 9.0]))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds
        for worker in self.alive:
            self.throttle.renew(worker)
        self.look()

    @precondition(lambda self: len(self.alive) > 1)
    @rule(data=st.data())
    def die(self, data: st.DataObject) -> None:
        dead = data.draw(st.sampled_from(sorted(self.alive)))
        self.alive.remove(dead)
        for _ in range(4):
            self.clock.now += LOST_AFTER_S / 4
            for worker in self.alive:
                self.throttle.renew(worker)
        self.line = [one for one in self.line if one.worker != dead]
        self.sent = [one for one in self.sent if one.worker != dead]
        self.look()

    @invariant()
    def never_more_than_the_limit(self) -> None:
        if hasattr(self, "throttle"):
            state = state_of(self.throttle)
            assert state.under_way == len(self.sent) <= self.throttle.limit
            assert 1 <= state.allowed <= self.throttle.limit
            assert state.waiting == len(self.line)
            assert all(map(self.throttle.is_under_way, self.sent))

    def teardown(self) -> None:
        """Check that once answers are good, all waiting requests are admitted when `wait_s` says so."""
        for _ in range(len(self.line) + len(self.sent) + 10 if hasattr(self, "line") else 0):
            while self.sent:
                lease = self.sent.pop(0)
                self.throttle.release(lease, "good")
            self.clock.now += self.throttle.wait_s() or 0.0
            for worker in self.alive:
                self.throttle.renew(worker)
            self.look()
            self.never_more_than_the_limit()
        assert getattr(self, "line", []) == []


TestCluster = Cluster.TestCase


@given(capacity=st.integers(1, 20), seed=st.integers(0, 1000))
def test_the_number_allowed_settles_around_what_the_server_can_handle(capacity: int, seed: int) -> None:
    chance, clock = random.Random(seed), Clock()
    throttle = Throttle(32, clock)
    number, most_at_once, under_way = 0, [], []
    for _ in range(2000):
        while state_of(throttle).waiting < 40:
            number += 1
            throttle.enqueue(Lease("w", number))
        under_way += throttle.admit()
        most_at_once.append(len(under_way))
        slowed = len(under_way) > capacity
        if under_way:
            lease = under_way.pop(chance.randrange(len(under_way)))
            throttle.release(lease, "slowed" if slowed else "good")
        clock.now += 0.1 if under_way else throttle.wait_s() or 0.1
        throttle.renew("w")
    later = most_at_once[1000:]
    assert max(later) <= capacity + 1
    assert max(later) >= min(capacity, 32)
