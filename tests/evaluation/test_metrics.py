"""Compare every metric with scikit-learn, and every weighting with clips that are really drawn."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

from block.evaluation.bootstrap import Resamples, estimate
from block.evaluation.ranking import ClipRanking, d_prime
from block.evaluation.rates import LabelCounts, compute_clip_rates, compute_rates, count_confusion

sklearn = pytest.importorskip("sklearn.metrics")

RNG = np.random.default_rng(5)


def clips(count: int = 60, labels: int = 3, decimals: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return a ground truth and scores that depend on it; rounded scores have many ties."""
    truth = RNG.random((count, labels)) < 0.3
    scores = np.clip(RNG.normal(0.3 + 0.25 * truth, 0.2), 0, 1)
    return truth, scores if decimals is None else scores.round(decimals)


@pytest.mark.parametrize("decimals", [None, 1])
def test_weighted_rankings_equal_scikit_learns_with_the_same_weights(decimals: int | None) -> None:
    truth, scores = clips(decimals=decimals)
    weights = RNG.multinomial(60, np.full(60, 1 / 60), size=25).astype(float)
    ranked = ClipRanking(truth[:, 0], scores[:, 0])
    for draw, ap, auc in zip(weights, ranked.average_precision(weights), ranked.roc_auc(weights), strict=True):
        assert ap == pytest.approx(sklearn.average_precision_score(truth[:, 0], scores[:, 0], sample_weight=draw))
        assert auc == pytest.approx(sklearn.roc_auc_score(truth[:, 0], scores[:, 0], sample_weight=draw))


def test_equal_weights_give_the_metrics_of_the_clips_themselves() -> None:
    truth, scores = clips(decimals=1)
    there, values = truth[:, 1], scores[:, 1]
    ranked, once = ClipRanking(there, values), np.ones((1, 60))
    expected = sklearn.average_precision_score(there, values), sklearn.roc_auc_score(there, values)
    assert ranked.average_precision(once)[0] == pytest.approx(expected[0], abs=1e-12)
    assert ranked.roc_auc(once)[0] == pytest.approx(expected[1], abs=1e-12)


def test_undefined_metrics_are_nan() -> None:
    scores, once = np.linspace(0, 1, 5), np.ones((1, 5))
    none, every = ClipRanking(np.zeros(5, bool), scores), ClipRanking(np.ones(5, bool), scores)
    assert math.isnan(none.average_precision(once)[0])
    assert math.isnan(none.roc_auc(once)[0])
    assert math.isnan(every.roc_auc(once)[0])
    assert every.average_precision(once)[0] == 1
    # Draws without any clip that has the label, or with only such clips.
    some = ClipRanking(np.array([True, False, False, False, True]), scores)
    assert np.isnan(some.average_precision(np.array([[0.0, 2, 1, 2, 0]]))).all()
    assert np.isnan(some.roc_auc(np.array([[3.0, 0, 0, 0, 2]]))).all()


def test_d_prime_is_the_distance_between_two_normal_distributions() -> None:
    assert d_prime(0.5) == 0
    # Two normal distributions of width 1, a distance of 1 apart: AUC = Φ(1/√2).
    assert d_prime(0.5 * (1 + math.erf(0.5))) == pytest.approx(1)
    assert d_prime(1.0) == math.inf
    assert d_prime(0.0) == -math.inf
    assert math.isnan(d_prime(math.nan))


def test_rates_of_whole_clips_equal_scikit_learns() -> None:
    truth, scores = clips(labels=4)
    truth[:, 3] = False
    given = scores > 0.5
    given[:, 2] = False
    found = compute_clip_rates(given, truth, Resamples(60, 20))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for average, rates in ((None, found.labels), ("micro", [found.micro])):
            parts = sklearn.precision_recall_fscore_support(truth, given, average=average, zero_division=np.nan)
            for part, name in enumerate(("precision", "recall", "f1")):
                expected = np.atleast_1d(parts[part])
                values = [getattr(one, name).value for one in rates]
                assert values == pytest.approx(expected.tolist(), nan_ok=True), name
    assert math.isnan(found.labels[2].precision.value)  # nothing was detected
    assert found.labels[2].recall.value == 0
    assert math.isnan(found.labels[3].recall.value)  # nothing is annotated
    # The mean over labels covers the three annotated ones; one of them has no precision.
    assert found.macro.recall.value == pytest.approx(np.mean([found.labels[at].recall.value for at in range(3)]))
    assert found.macro.precision.value == pytest.approx(np.mean([found.labels[at].precision.value for at in range(2)]))


def test_a_bootstrap_draw_gives_the_metric_of_the_drawn_clips() -> None:
    truth, scores = clips(labels=2)
    given = scores > 0.4
    resamples = Resamples(60, 8, seed=3)
    draws = compute_clip_rates(given, truth, resamples).f1.values[1:]
    for weights, draw in zip(np.concatenate(list(resamples.weights())), draws, strict=True):
        taken = np.repeat(np.arange(60), weights.astype(int))
        assert len(taken) == 60
        assert draw.tolist() == pytest.approx(sklearn.f1_score(truth[taken], given[taken], average=None).tolist())


def test_the_same_seed_gives_the_same_draws_and_another_seed_gives_others() -> None:
    first, again, other = (np.concatenate(list(Resamples(9, 5, seed).weights())) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_the_interval_of_a_mean_is_as_wide_as_theory_predicts() -> None:
    values = RNG.normal(0, 1, 400)
    found = estimate(Resamples(400, 2000).apply(lambda weights: weights @ values / 400))
    assert found.value == pytest.approx(values.mean())
    half = 1.96 * values.std() / math.sqrt(400)
    assert found.low == pytest.approx(values.mean() - half, abs=0.02)
    assert found.high == pytest.approx(values.mean() + half, abs=0.02)


def test_there_is_no_interval_if_most_draws_are_undefined() -> None:
    draws = np.full(100, np.nan)
    draws[:49] = 0.5
    assert math.isnan(estimate(np.append(0.5, draws)).low)
    draws[49:60] = 0.6
    assert estimate(np.append(0.5, draws)).high == 0.6
    assert estimate(np.array([math.inf, 2.0, math.inf, math.inf])).high == math.inf


def test_counts_are_summed_over_clips_before_they_are_divided() -> None:
    right, found, there = np.array([[3.0], [0.0]]), np.array([[4.0], [1.0]]), np.array([[3.0], [2.0]])
    rates = compute_rates(LabelCounts(right, found, there), Resamples(2, 10)).labels[0]
    assert (rates.precision.value, rates.recall.value, rates.f1.value) == (3 / 5, 3 / 5, 6 / 10)


def test_confusion_counts_a_clip_in_the_row_of_each_of_its_labels() -> None:
    truth = np.array([[1, 0], [1, 1], [0, 0], [0, 0], [0, 1]], bool)
    found = count_confusion(truth, np.array([0, 0, -1, 1, 2]), 3)
    assert found.tolist() == [[2, 0, 0, 0], [1, 0, 1, 0], [0, 1, 0, 1]]
    assert count_confusion(truth[:0], np.array([], int), 3).tolist() == [[0] * 4] * 3


def test_an_interval_leaves_out_2_5_percent_of_the_draws_on_each_side() -> None:
    draws = np.random.default_rng(0).permutation(np.arange(1001.0))
    found = estimate(np.concatenate([[500.0], draws]))
    assert (found.low, found.high) == (25.0, 975.0)
