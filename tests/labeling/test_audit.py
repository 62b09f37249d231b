"""The audit: which windows it draws from a block, when it draws more, and when it says that the path has failed."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from block.labeling.audit import (
    LARGER_DRAW,
    LIMIT,
    SHARE,
    UNIFORM_SHARE,
    Audit,
    AuditBlock,
    Bools,
    Windows,
    draw_number,
    weigh,
)


def block(windows: int = 500, seed: int = 0, **arrays: object) -> AuditBlock:
    """Return windows in random order; about every hundredth is in the uniform share."""
    random = np.random.default_rng(seed)
    usual: dict[str, object] = {
        "numbers": random.random(windows),
        "margins": random.random(windows),
        "heard": np.full(windows, -1),
        "is_settled": np.zeros(windows, dtype=bool),
    }
    return AuditBlock(**{**usual, **arrays})  # type: ignore[arg-type]


def agree(windows: Windows) -> Bools:
    return np.ones(len(windows), dtype=bool)


def disagree(*wrong: int) -> Callable[[Windows], Bools]:
    return lambda windows: ~np.isin(windows, wrong)


def test_windows_are_drawn_evenly_and_depend_only_on_recording_window_and_seed() -> None:
    draws = [draw_number(recording, window, 0) for recording in range(200) for window in range(100)]
    assert len(set(draws)) == len(draws)
    for share in (UNIFORM_SHARE, 0.25, 0.5):
        found = sum(one < share for one in draws) / len(draws)
        assert abs(found - share) < 4 * math.sqrt(share * (1 - share) / len(draws))
    # Fixed values: every run on any machine audits the same windows.
    assert draw_number(1234, 5, 0) == pytest.approx(0.4947459957, abs=1e-9)
    assert draw_number(1234, 5, 1) != draw_number(1234, 5, 0) != draw_number(12345, 0, 0)


def test_every_block_has_its_uniform_share_and_strata() -> None:
    audit = Audit(0.99)
    for number in range(10):
        made = block(seed=number)
        sample = audit.hold(made, agree)
        assert sample.windows[: sample.uniform].tolist() == np.flatnonzero(made.numbers < UNIFORM_SHARE).tolist()
        assert len(set(sample.windows.tolist())) == len(sample.windows)
    assert audit.drawn == round(SHARE * 5000)
    assert audit.level == 0
    assert not audit.has_failed


def test_small_blocks_have_the_same_share_as_large_ones() -> None:
    audit = Audit(0.99)
    samples = [audit.hold(block(20, seed, numbers=np.full(20, 0.5)), agree) for seed in range(100)]
    assert sum(len(one.windows) for one in samples) == SHARE * 2000
    assert max(len(one.windows) for one in samples) == 1


def test_strata_are_the_windows_closest_to_another_label_and_those_with_the_least_audited_labels() -> None:
    heard = np.full(500, -1)
    heard[100:200], heard[300] = 1, 2
    margins = np.linspace(0.1, 1, 500)
    made = block(numbers=np.full(500, 0.5), heard=heard, margins=margins)
    audit = Audit(0.99)
    first = audit.hold(made, agree)
    # By turns: a label without draws (of two, the closer window), the closest to another label, the other label, …
    assert first.windows.tolist()[:4] == [100, 0, 300, 1]
    assert audit.drawn_by_label[1] > audit.drawn_by_label[2] == 1


def test_windows_that_will_be_exact_anyway_are_not_in_the_strata() -> None:
    settled = np.arange(500) < 490
    sample = Audit(0.99).hold(block(numbers=np.full(500, 0.5), is_settled=settled), agree)
    assert sample.windows.min() >= 490


def test_one_disagreement_triggers_a_larger_draw_and_no_other_one_ends_it() -> None:
    made = block()
    uniform = np.flatnonzero(made.numbers < UNIFORM_SHARE)
    audit = Audit(0.99)
    sample = audit.hold(made, disagree(uniform[0]))
    assert len(sample.windows) == round(SHARE * 500) + LARGER_DRAW
    assert len(set(sample.windows.tolist())) == len(sample.windows)
    assert (sample.uniform, sample.uniform_agreed) == (len(uniform), len(uniform) - 1)
    assert audit.level == 0
    # The larger draw counts: the next blocks have fewer draws in their strata.
    assert len(audit.hold(block(seed=1), agree).windows) == (block(seed=1).numbers < UNIFORM_SHARE).sum()


def test_several_disagreements_fail_whatever_agreed_before() -> None:
    audit = Audit(0.99)
    for number in range(100):
        audit.hold(block(seed=number), agree)
    made = block(seed=100)
    uniform = np.flatnonzero(made.numbers < UNIFORM_SHARE)
    audit.hold(made, disagree(*uniform[:3]))
    assert audit.has_failed


def test_disagreements_in_the_larger_draw_fail() -> None:
    made = block()
    order = np.argsort(made.numbers)
    drawn = (made.numbers < UNIFORM_SHARE).sum()
    audit = Audit(0.99)
    audit.hold(made, disagree(*order[[0, *range(drawn + 10, drawn + 14)]]))
    assert audit.has_failed


def test_a_doubt_is_carried_into_the_next_block() -> None:
    audit = Audit(0.99)
    small = block(4, numbers=np.array([0.01, 0.5, 0.6, 0.7]))
    assert len(audit.hold(small, disagree(0)).windows) == 4
    assert 0 < audit.level < LIMIT
    assert len(audit.hold(block(numbers=np.full(500, 0.5)), agree).windows) >= LARGER_DRAW


def test_the_opening_takes_the_place_of_the_first_strata() -> None:
    made = block()
    opening = np.argsort(made.numbers)[:48]
    audit = Audit(0.99)
    sample = audit.hold(made, agree, np.sort(opening))
    assert sorted(sample.windows) == sorted(opening)
    assert sample.uniform == (made.numbers < UNIFORM_SHARE).sum()
    assert audit.drawn == round(SHARE * 500)


def test_weights_are_log_likelihood_ratios_of_10_to_three_quarters_of_a_percent() -> None:
    right, wrong = weigh(0.99)
    assert wrong == pytest.approx(math.log(0.1 / 0.0075), rel=0.01)
    assert right == pytest.approx(math.log(0.9 / 0.9925), rel=0.01)
    stricter, looser = weigh(0.999), weigh(0.9)
    assert looser[0] < right < stricter[0] < 0


def test_without_an_agreement_to_reach_nothing_fails_and_for_all_windows_one_disagreement_does() -> None:
    never, always = Audit(0.0), Audit(1.0)
    never.hold(block(), lambda windows: ~agree(windows))
    assert not never.has_failed
    always.hold(block(), agree)
    assert not always.has_failed
    always.hold(block(), disagree(int(np.argmin(block().numbers))))
    assert always.has_failed
