"""Strata of scores: segments sampled over their range, and precision from verdicts that are not a random sample."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from block.evaluation.bootstrap import Floats
from block.evaluation.strata import (
    STRATA,
    compute_interval,
    estimate_precision,
    find_strata,
    sample_range,
    weigh_verdicts,
)

scores_of_segments = st.lists(st.floats(0, 1), min_size=1, max_size=80).map(np.array)


@given(scores_of_segments)
def test_every_beginning_of_the_sampled_range_is_divided_evenly_among_the_strata(scores: Floats) -> None:
    order = sample_range(scores)
    assert sorted(order) == list(range(len(scores)))
    strata = find_strata(scores, scores.min(), scores.max())
    sizes = np.bincount(strata, minlength=STRATA)
    for k in range(1, len(scores) + 1):
        taken = np.bincount(strata[order[:k]], minlength=STRATA)
        left = taken < sizes
        # Strata that have segments left got equally many, up to one, and no exhausted one got more.
        assert not left.any() or taken[left].max() - taken[left].min() <= 1
        assert not left.any() or (taken[~left] <= taken[left].min() + 1).all()


@given(scores_of_segments, st.integers(0, 80))
def test_what_is_left_to_sample_keeps_its_order(scores: Floats, k: int) -> None:
    # The queue is the same order without those that have a verdict; it must not depend on the order of the segments.
    values = np.unique(scores)
    shuffled = values[::-1]
    assert list(values[sample_range(values)]) == list(shuffled[sample_range(shuffled)])


def test_the_sampled_range_reaches_both_ends_and_the_middle_of_skewed_scores_at_once() -> None:
    scores = np.concatenate((np.linspace(0.2, 0.9, 8), np.full(992, 0.99)))
    first = scores[sample_range(scores)[:STRATA]]
    assert sorted(find_strata(first, 0.2, 0.99)) == list(range(STRATA))
    assert (scores[sample_range(scores)[:20]] < 0.9).sum() >= 6  # by rank, it would be none


@pytest.mark.parametrize(("share", "trials", "low", "high"), [(0.5, 10, 0.2366, 0.7634), (1, 10, 0.7225, 1)])
def test_the_interval_is_that_of_wilson(share: float, trials: float, low: float, high: float) -> None:
    assert compute_interval(share, trials) == pytest.approx((low, high), abs=1e-4)


def test_weights_are_those_of_the_strata_and_add_up_to_the_share_of_segments_that_verdicts_stand_for() -> None:
    scores = np.array([0.0] * 90 + [1.0] * 10)
    weights = weigh_verdicts(scores, np.array([0.0, 1.0, 1.0]))
    assert weights == pytest.approx([0.9, 0.05, 0.05])
    assert weigh_verdicts(scores, np.array([1.0])).sum() == pytest.approx(0.1)
    assert len(weigh_verdicts(np.zeros(0), np.zeros(0))) == 0


def test_precision_counts_segments_and_not_verdicts() -> None:
    # Ten verdicts on the ten certain segments, two on the ninety doubtful ones: one of these is wrong.
    scores = np.array([0.2] * 90 + [1.0] * 10)
    found = estimate_precision(scores, np.array([1.0] * 10 + [0.2] * 2), np.arange(12) < 11)
    assert found.estimate.value == pytest.approx(0.1 + 0.9 / 2)
    assert (found.judged, found.unjudged) == (12, 0)


def test_segments_in_strata_without_a_verdict_may_be_right_or_wrong() -> None:
    scores = np.array([0.2] * 60 + [1.0] * 40)
    found = estimate_precision(scores, np.full(40, 1.0), np.ones(40, bool))
    assert found.unjudged == pytest.approx(0.6)
    assert found.estimate.low < 0.4
    assert found.estimate.high == pytest.approx(1)
    assert not found.is_enough
    assert estimate_precision(scores, np.full(5, 0.2), np.ones(5, bool)).is_enough


def test_without_verdicts_nothing_is_estimated() -> None:
    found = estimate_precision(np.array([0.4]), np.zeros(0), np.zeros(0, bool))
    assert not found.estimate.is_defined
    assert (found.is_enough, found.unjudged) == (False, 1)
    assert not estimate_precision(np.zeros(0), np.zeros(0), np.zeros(0, bool)).estimate.is_defined


def test_the_interval_narrows_with_verdicts_and_contains_its_value() -> None:
    random = np.random.default_rng(3)
    scores = random.uniform(0.2, 1, 500)
    right = random.random(500) < scores
    widths = []
    for k in (5, 20, 80, 320):
        judged = sample_range(scores)[:k]
        found = estimate_precision(scores, scores[judged], right[judged]).estimate
        assert found.low <= found.value <= found.high
        widths.append(found.high - found.low)
    assert widths == sorted(widths, reverse=True)


SHAPES = {
    "flat": lambda random: random.uniform(0.2, 1, 300),
    "certain": lambda random: 0.2 + 0.8 * random.beta(5, 1, 300),
    "doubtful": lambda random: 0.2 + 0.8 * random.beta(1, 4, 300),
}
TRUTHS = {
    "steep": lambda scores: 1 / (1 + np.exp(-12 * (scores - 0.5))),
    "good": lambda scores: 0.85 + 0.14 * scores,
    "poor": lambda scores: 0.1 + 0.5 * scores,
}


@pytest.mark.parametrize("verdicts", [10, 25, 50])
def test_intervals_contain_the_precision_of_all_segments_at_the_stated_rate(verdicts: int) -> None:
    """In 95 % of projects on average, and never far below for one kind of project."""
    rates = []
    for draw in SHAPES.values():
        for believe in TRUTHS.values():
            random = np.random.default_rng(11)
            hits = 0
            for _ in range(300):
                scores = draw(random)
                right = random.random(len(scores)) < believe(scores)
                judged = sample_range(scores)[:verdicts]
                found = estimate_precision(scores, scores[judged], right[judged]).estimate
                hits += found.low <= right.mean() <= found.high
            rates.append(hits / 300)
    assert np.mean(rates) >= 0.95
    assert min(rates) >= 0.91


def test_intervals_also_contain_it_if_people_judge_the_most_certain_segments_first() -> None:
    random = np.random.default_rng(12)
    hits, naive = 0, 0
    for _ in range(300):
        scores = SHAPES["flat"](random)
        right = random.random(len(scores)) < TRUTHS["steep"](scores)
        judged = np.argsort(-scores)[:60]
        found = estimate_precision(scores, scores[judged], right[judged]).estimate
        low, high = compute_interval(right[judged].mean(), len(judged))
        hits += found.low <= right.mean() <= found.high
        naive += low <= right.mean() <= high
    assert hits / 300 >= 0.95
    assert naive / 300 < 0.05
