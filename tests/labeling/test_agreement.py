"""Conclusions from audited windows: counts and bounds."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from block.labeling.agreement import Tally, compute_lower_bound
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


def test_a_tally_counts_what_agrees_and_what_was_heard() -> None:
    tally = Tally()
    for exact, fast, error in [("dog", "dog", 0.01), ("other", "other", 0.002), ("dog", "other", 0.2)]:
        tally = tally.add_window(exact, fast, "other", error)
    assert tally == Tally(windows=3, agreed=2, heard=2, heard_agreed=1, largest_error=0.2)
    assert "2 of 3 windows got the same label (1 of 2 with a label of interest)" in str(tally)
    assert "0.2000" in str(tally)


def test_an_agreement_outside_0_to_1_is_refused() -> None:
    with pytest.raises(SettingsError, match="--min-agreement is 99; expected a number from 0 to 1"):
        AuditSettings(min_agreement=99)
