"""Twenty of the kills that `make soak` makes two hundred of."""

from __future__ import annotations

import pytest

from tests.soak import kills

pytestmark = pytest.mark.slow


def test_a_run_that_is_killed_and_run_again_ends_as_one_that_was_left_alone() -> None:
    figures = kills.main(20, seed=1)
    assert figures["problems"] == []
    assert figures["killed"] == 20
