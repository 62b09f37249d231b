"""Conclusions from audited windows: bounds, draws, and the choice of a path."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from block.labeling.agreement import SHARE, Tally, Trial, choose_fastest, compute_lower_bound, draw_number
from block.settings import AuditSettings, SettingsError


@given(st.integers(1, 400), st.data())
def test_at_the_lower_bound_at_least_as_many_successes_have_a_probability_of_5_percent(
    trials: int, data: st.DataObject
) -> None:
    successes = data.draw(st.integers(0, trials))
    p = compute_lower_bound(successes, trials)
    if successes == 0:
        assert p == 0
        return
    at_least = sum(math.comb(trials, k) * p**k * (1 - p) ** (trials - k) for k in range(successes, trials + 1))
    assert at_least == pytest.approx(0.05, rel=1e-6)
    assert p < successes / trials


def test_bounds_that_can_be_worked_out_by_hand() -> None:
    assert compute_lower_bound(64, 64) == pytest.approx(0.05 ** (1 / 64))
    assert compute_lower_bound(1, 64) == pytest.approx(1 - 0.95 ** (1 / 64))
    assert Tally(64, 64).upper_bound == 1
    # With two different windows out of 64, 99 % agreement is possible; with three, it isn't.
    assert Tally(64, 62).upper_bound > 0.99 > Tally(64, 61).upper_bound
    with pytest.raises(ValueError, match="65 successes in 64 trials"):
        compute_lower_bound(65, 64)


def test_bounds_without_windows_are_0_and_1() -> None:
    assert (Tally().lower_bound, Tally().upper_bound) == (0, 1)


def test_windows_are_drawn_evenly_and_depend_only_on_recording_window_and_seed() -> None:
    draws = [draw_number(recording, window, 0) for recording in range(200) for window in range(100)]
    assert len(set(draws)) == len(draws)
    for share in (SHARE, 0.25, 0.5):
        found = sum(one < share for one in draws) / len(draws)
        assert abs(found - share) < 4 * math.sqrt(share * (1 - share) / len(draws))
    # Fixed values: every run on any machine audits the same windows.
    assert draw_number(1234, 5, 0) == pytest.approx(0.4947459957, abs=1e-9)
    assert draw_number(1234, 5, 1) != draw_number(1234, 5, 0) != draw_number(12345, 0, 0)


def test_a_tally_counts_what_agrees_and_what_was_heard() -> None:
    tally = Tally()
    for exact, fast, error in [("dog", "dog", 0.01), ("other", "other", 0.002), ("dog", "other", 0.2)]:
        tally = tally.add_window(exact, fast, "other", error)
    assert tally == Tally(windows=3, agreed=2, heard=2, heard_agreed=1, largest_error=0.2)
    assert "2 of 3 audited windows got the same label (1 of 2 with a label of interest)" in str(tally)
    assert "0.2000" in str(tally)


def test_the_cheapest_path_that_may_agree_is_chosen_including_the_cost_of_audits() -> None:
    good, poor = Tally(64, 64), Tally(64, 50)
    quick, slow = Trial("int8", good, 0.1, 0.0), Trial("merged", good, 0.3, 0.0)
    assert choose_fastest([slow, quick], 2.0, 0.99) == quick
    assert choose_fastest([slow, Trial("int8", poor, 0.1, 0.0)], 2.0, 0.99) == slow
    # Quick, but every seventh window would be recomputed.
    assert choose_fastest([slow, Trial("int8", good, 0.1, 0.15)], 2.0, 0.99) == slow
    assert choose_fastest([Trial("int8", poor, 0.1, 0.0)], 2.0, 0.99) is None
    assert choose_fastest([Trial("int8", good, 1.99, 0.0)], 2.0, 0.99) is None
    assert choose_fastest([], 2.0, 0.99) is None


def test_an_agreement_outside_0_to_1_is_refused() -> None:
    with pytest.raises(SettingsError, match="--min-agreement is 99; expected a number from 0 to 1"):
        AuditSettings(min_agreement=99)
