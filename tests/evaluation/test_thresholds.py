"""Thresholds chosen on some clips and tested on others, and thresholds translated to the other score function."""

from __future__ import annotations

import numpy as np
import pytest

from block.evaluation.bootstrap import Resamples
from block.evaluation.strata import sample_range, weigh_verdicts
from block.evaluation.thresholds import (
    Goal,
    choose_threshold,
    fit_threshold,
    read_goal,
    shorten_threshold,
    translate_threshold,
)
from block.settings import SettingsError

RNG = np.random.default_rng(8)
F1 = Goal("f1")


def test_only_valid_goals_are_accepted() -> None:
    assert read_goal("f1") == F1
    assert read_goal("precision=0.9") == Goal("precision", 0.9)
    for text in ("recall=0.9", "precision", "precision=", "precision=2", "precision=0", "precision=nan", ""):
        with pytest.raises(SettingsError, match="expected f1, or precision="):
            read_goal(text)


def test_the_best_threshold_equals_that_of_an_exhaustive_search() -> None:
    for _ in range(50):
        truth = RNG.random(30) < 0.4
        truth[0] = True
        scores = np.clip(RNG.normal(0.4 + 0.2 * truth, 0.2), 0, 1).round(2)
        reached = []
        for threshold in np.unique(scores):
            kept = scores >= threshold
            right = (kept & truth).sum()
            reached.append((2 * right / (kept.sum() + truth.sum()), right / kept.sum(), right / truth.sum()))
        kept = scores >= choose_threshold(truth, scores, F1)
        assert 2 * (kept & truth).sum() / (kept.sum() + truth.sum()) == pytest.approx(max(f1 for f1, *_ in reached))
        threshold = choose_threshold(truth, scores, Goal("precision", 0.8))
        possible = [recall for _, precision, recall in reached if precision >= 0.8 and recall > 0]
        if threshold is None:
            assert not possible
        else:
            kept = scores >= threshold
            assert truth[kept].mean() >= 0.8
            assert (kept & truth).sum() / truth.sum() == pytest.approx(max(possible))


def test_a_threshold_lies_halfway_to_the_next_lower_score() -> None:
    truth = np.array([True, True, False, False])
    assert choose_threshold(truth, np.array([0.9, 0.8, 0.4, 0.1]), F1) == pytest.approx(0.6)
    assert choose_threshold(truth[:2], np.array([0.9, 0.8]), F1) == pytest.approx(0.4)


def test_a_threshold_has_only_as_many_digits_as_it_needs_to_split_the_clips_alike() -> None:
    assert shorten_threshold(0.6049, np.array([0.1, 0.9])) == 0.6
    assert shorten_threshold(0.6049, np.array([0.6048, 0.605])) == 0.6049
    for _ in range(100):
        scores = RNG.random(200)
        threshold = float(RNG.random())
        assert ((scores >= shorten_threshold(threshold, scores)) == (scores >= threshold)).all()


def test_expected_rates_come_from_clips_that_the_threshold_was_not_chosen_on() -> None:
    # On noise, a threshold always looks too good on the clips that it was chosen on.
    resamples = Resamples(40, 200)
    gains = []
    for _ in range(60):
        truth, scores = np.arange(40) < 20, RNG.random(40)
        found = fit_threshold(truth, scores, Goal("precision", 0.6), resamples)
        if found.threshold is not None and found.expected is not None and found.expected.precision.is_defined:
            gains.append(truth[scores >= found.threshold].mean() - found.expected.precision.value)
    assert len(gains) > 10
    assert np.mean(gains) > 0.05


def test_a_separable_label_gets_a_threshold_in_the_gap_and_the_same_one_every_time() -> None:
    truth = np.arange(60) < 20
    scores = np.where(truth, RNG.uniform(0.7, 0.9, 60), RNG.uniform(0, 0.3, 60))
    found = fit_threshold(truth, scores, F1, Resamples(60, 50, seed=4))
    assert found.threshold is not None
    assert 0.3 < found.threshold <= 0.7
    assert found.expected is not None
    assert found.expected.f1.value == found.expected.precision.value == found.expected.recall.low == 1
    assert fit_threshold(truth, scores, F1, Resamples(60, 50, seed=4)).threshold == found.threshold


def test_labels_with_too_few_clips_or_an_unreachable_goal_keep_their_threshold_with_a_reason() -> None:
    scores = RNG.random(60)
    few = fit_threshold(np.arange(60) < 9, scores, F1, Resamples(60, 10))
    assert few.threshold is None
    assert few.reason == "9 clips with it; at least 10 are needed"
    assert "0 clips without it" in fit_threshold(np.ones(60, bool), scores, F1, Resamples(60, 10)).reason
    worst = np.where(np.arange(60) < 20, 0.1, 0.9)
    assert "no threshold reaches a precision of 0.9" in fit_threshold(
        np.arange(60) < 20, worst, Goal("precision", 0.9), Resamples(60, 10)
    ).reason  # fmt: skip


def test_weights_make_a_threshold_from_judged_segments_and_its_expected_f1_fit_all_segments() -> None:
    # Most scores are low; those that were judged are spread evenly, so few of them stand for most segments.
    errors, reached = [], []
    for seed in range(6):
        random = np.random.default_rng(seed)
        scores = random.beta(1, 6, 4000)
        truth = random.random(4000) < 1 / (1 + np.exp(-15 * (scores - 0.45)))
        judged = sample_range(scores)[:400]
        for weights in (weigh_verdicts(scores, scores[judged]), None):
            found = fit_threshold(truth[judged], scores[judged], F1, Resamples(400, 20), weights, "segment")
            assert found.threshold is not None
            assert found.expected is not None
            detected = scores >= found.threshold
            reached.append(2 * (detected & truth).sum() / (detected.sum() + truth.sum()))
            errors.append(abs(found.expected.f1.value - reached[-1]))
    assert np.mean(errors[::2]) < 0.07 < 0.1 < np.mean(errors[1::2])
    assert np.mean(reached[::2]) > np.mean(reached[1::2])


def test_the_reason_says_what_was_counted() -> None:
    few = fit_threshold(np.arange(60) < 9, RNG.random(60), F1, Resamples(60, 10), item="segment")
    assert few.reason == "9 segments with it; at least 10 are needed"


def test_a_translated_threshold_agrees_on_as_many_windows_as_possible() -> None:
    for _ in range(60):
        kept = RNG.random(40) < 0.4
        scores = np.clip(0.4 * kept + RNG.random(40) * 0.6, 0, 1).round(2)
        found = translate_threshold(kept, scores)
        differ = [int((kept != (scores >= t)).sum()) for t in [0, *np.unique(scores), 1.01]]
        assert found.differ == ((scores >= found.threshold) != kept).sum() == min(differ)
        assert found.reached == kept.sum()


def test_a_translation_between_scores_in_the_same_order_keeps_every_window() -> None:
    logits = RNG.normal(0, 3, 500)
    kept = logits > 1.5
    found = translate_threshold(kept, 1 / (1 + np.exp(-logits)))
    assert (found.differ, found.is_determined) == (0, True)
    assert found.threshold == pytest.approx(1 / (1 + np.exp(-1.5)), abs=0.01)


def test_if_all_or_no_windows_reach_the_threshold_the_data_do_not_determine_a_translation() -> None:
    scores = np.array([0.2, 0.4, 1.0])
    nothing = translate_threshold(np.zeros(3, bool), scores[:2].repeat(2)[:3])
    assert (nothing.is_determined, nothing.differ) == (False, 0)
    assert nothing.threshold > 0.4
    everything = translate_threshold(np.ones(3, bool), scores)
    assert (everything.is_determined, everything.differ) == (False, 0)
    assert everything.threshold <= 0.2
    # No threshold can be above a score of 1, so one window must differ.
    assert translate_threshold(np.zeros(3, bool), scores).differ == 1
