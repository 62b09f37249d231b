"""Similar windows are found as brute force finds them, and the same ones every time."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from block.local_studio.data.similarity import (
    SHARPNESS,
    Vectors,
    choose_best,
    estimate_likeness,
    estimate_precision,
    estimate_share,
    has_probe,
    mix_uncertain,
    normalize,
    score_windows,
)


def make_cloud(count: int, at: int, size: int = 8, seed: int = 0) -> Vectors:
    """Return vectors around the axis `at`."""
    found = np.random.default_rng(seed + at).normal(0, 0.2, (count, size))
    found[:, at] += 1
    return normalize(found)


@given(st.integers(1, 40), st.integers(1, 4), st.integers(0, 4), st.integers(0, 2**32 - 1))
def test_without_a_regression_scores_are_those_of_brute_force(windows: int, like: int, unlike: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    vectors, yes, no = (normalize(rng.normal(0, 1, (count, 6))) for count in (windows, like, unlike))
    expected = []
    for vector in vectors:
        closest = max(float(vector @ one) for one in yes)
        expected.append(SHARPNESS * (closest - max(float(vector @ one) for one in no)) if unlike else closest)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "sklearn.linear_model", None)
        scores = score_windows(vectors, yes, no)
    assert scores == pytest.approx(np.array(expected), abs=1e-5)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.booleans()), max_size=40))
def test_the_best_window_of_each_group_counts_and_of_equal_ones_the_first(rows: list[tuple[int, int, bool]]) -> None:
    groups = np.array([row[0] for row in rows], np.int64)
    scores = np.array([row[1] for row in rows], np.float32)
    usable = np.array([row[2] for row in rows], bool)
    best: dict[int, int] = {}
    for at, (group, score, is_usable) in enumerate(rows):
        if is_usable and (group not in best or score > rows[best[group]][1]):
            best[group] = at
    expected = sorted(best.values(), key=lambda at: (-rows[at][1], at))
    assert choose_best(groups, scores, usable) == expected


@given(st.lists(st.floats(-1, 1, width=32), max_size=30), st.integers(0, 40), st.integers(1, 4))
def test_every_candidate_comes_once_whatever_is_mixed_in(values: list[float], count: int, every: int) -> None:
    scores = np.array(values, np.float32)
    ranked = np.argsort(-scores, kind="stable").tolist()
    mixed = mix_uncertain(ranked, scores, count, every)
    assert len(mixed) == len(set(mixed)) == min(count, len(ranked))
    if every > 1 and mixed:
        assert mixed[0] == ranked[0]


def test_every_third_candidate_is_the_most_doubtful_one() -> None:
    scores = np.array([0.9, 0.8, 0.7, 0.1, -0.05, -0.9], np.float32)
    assert mix_uncertain([0, 1, 2, 3, 4, 5], scores, 6, 3) == [0, 1, 4, 2, 3, 5]


def test_windows_that_were_asked_about_before_count_for_whose_turn_it_is() -> None:
    scores = np.array([0.9, 0.8, 0.7, 0.1, -0.05, -0.9], np.float32)
    assert mix_uncertain(range(6), scores, 1, 3, before=2) == [4]
    assert mix_uncertain(range(6), scores, 3, 3, before=4) == [0, 4, 1]


@given(st.floats(-1e6, 1e6, width=32))
def test_likeness_is_the_probability_that_log_odds_mean(score: float) -> None:
    (likeness,) = estimate_likeness(np.array([score], np.float32))
    assert likeness == pytest.approx(1 / (1 + np.exp(-np.float64(np.clip(score, -700, 700)))), abs=1e-6)
    assert (likeness > 0.5) <= (score > 0)


def test_vectors_without_a_direction_are_similar_to_nothing() -> None:
    odd = normalize(np.array([[0, 0], [np.inf, 1], [np.nan, 1], [3, 4]], np.float16))
    assert odd.tolist() == [[0, 0], [0, 0], [0, 0], [pytest.approx(0.6), pytest.approx(0.8)]]
    assert score_windows(odd, odd[3:], odd[:0]) == pytest.approx([0, 0, 0, 1])


@pytest.mark.parametrize("examples", [1, 2, 5])
def test_windows_of_the_same_kind_as_the_examples_score_above_zero(examples: int) -> None:
    like, unlike = make_cloud(20, 0), make_cloud(20, 1)
    scores = score_windows(np.concatenate([like, unlike]), like[:examples], unlike[:examples])
    assert (scores[:20] > 0).all()
    assert (scores[20:] < 0).all()


@pytest.mark.parametrize("examples", [1, 5])
def test_a_regression_is_fitted_from_the_first_pair_on_if_there_is_scikit_learn(
    examples: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    like, unlike = make_cloud(examples, 0), make_cloud(examples, 1)
    fitted = score_windows(like, like, unlike)
    assert has_probe()
    for name in ("sklearn", "sklearn.linear_model"):
        monkeypatch.setitem(sys.modules, name, None)
    assert not has_probe()
    assert not np.allclose(fitted, score_windows(like, like, unlike))


def test_precision_comes_from_verdicts_that_the_score_did_not_know() -> None:
    like, unlike = make_cloud(4, 0), make_cloud(4, 1)
    apart = estimate_precision(like[:1], like[1:], unlike)
    assert apart is not None
    assert (apart.share, apart.trials, apart.high) == (1.0, 3, pytest.approx(1.0))
    # Each example alone says only what it is itself, which a held-out verdict must not know.
    mixed = estimate_precision(like[:1], np.concatenate([like[:2], unlike[:2]]), np.concatenate([like[2:], unlike[2:]]))
    assert mixed is not None
    assert mixed.share < 1
    assert estimate_precision(like[:1], like[:1], unlike) is None
    assert estimate_precision(like[:1], like, unlike[:1]) is None


def test_the_interval_is_wilsons() -> None:
    # statsmodels.stats.proportion.proportion_confint(8, 10, method="wilson")
    interval = estimate_share(8, 10)
    assert (interval.low, interval.high) == (pytest.approx(0.490162, abs=1e-5), pytest.approx(0.943318, abs=1e-5))
    assert estimate_share(0, 3).low == 0
