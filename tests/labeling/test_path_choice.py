"""The choice of a path in the opening audit."""

from __future__ import annotations

import numpy as np
import pytest

from block.labeling.agreement import Tally
from block.labeling.path_choice import PathTrial, Trial, choose_fastest
from block.labels import LabelOfInterest
from block.settings import DecisionSettings

LABELS = tuple(LabelOfInterest(at, name, name, 0.5, name) for at, name in enumerate(("dog", "rain")))
SOFTMAX = 0


def trial(fast: list[float], exact: list[float]) -> PathTrial:
    """Return a trial on windows with these scores for the first label, and none for the other."""
    scores = [np.stack([np.array(one), np.zeros(len(one))], axis=-1) for one in (exact, fast)]
    errors = np.abs(scores[0] - scores[1]).max(axis=1)
    return PathTrial(scores[0], scores[1], np.stack([errors, errors], axis=-1).astype(np.float32), 3.0)


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


def test_a_label_that_margins_take_care_of_agrees_but_no_window_vouches_for_its_own_error() -> None:
    settings = DecisionSettings(LABELS)
    # The second window's label differs by an error that the others have, too; then its own error is the largest.
    shared = trial([0.10, 0.49, 0.90], [0.15, 0.53, 0.95]).summarize("merged", settings, SOFTMAX)
    assert (shared.tally.agreed, shared.tally.windows) == (3, 3)
    own = trial([0.10, 0.40, 0.90], [0.11, 0.53, 0.91]).summarize("merged", settings, SOFTMAX)
    assert (own.tally.agreed, own.tally.windows) == (2, 3)
    assert own.tally.largest_error == pytest.approx(0.13)
    assert own.near == pytest.approx(1 / 3)
    assert own.seconds == 1.0


def test_trials_on_several_batches_add_up() -> None:
    both = trial([0.1], [0.2]) + trial([0.3, 0.9], [0.3, 0.9])
    assert len(both.exact) == len(both.fast) == len(both.errors) == 3
    assert both.seconds == 6.0
