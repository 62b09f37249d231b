"""20 kills like the 200 of `make soak`."""

from __future__ import annotations

import pytest

from tests.soak import kills

pytestmark = pytest.mark.slow


def test_a_run_that_is_killed_and_run_again_ends_like_an_undisturbed_run() -> None:
    figures = kills.main(20, seed=1)
    assert figures["problems"] == []
    assert figures["killed"] == 20
