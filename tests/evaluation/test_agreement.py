"""Agreement of two ways to label, window by window."""

from __future__ import annotations

import numpy as np
import pytest

from block.evaluation.agreement import Agreement, measure_agreement
from block.evaluation.predictions import predict
from block.labeling.agreement import Tally
from block.settings import WindowSettings
from tests.conftest import NAMES
from tests.evaluation.made import clip, settings

WINDOWS = WindowSettings(1000, 1000)


def logits(*names: str) -> np.ndarray:
    """A window a name, in which that class alone scores high; none where the name is empty."""
    values = np.full((len(names), len(NAMES)), -6.0)
    for window, name in enumerate(names):
        if name:
            values[window, NAMES.index(name)] = 4.0
    return values


def test_windows_with_the_same_label_are_counted_and_those_where_either_found_one() -> None:
    a = clip(logits("Speech", "Dog", "", ""), 4.0, WINDOWS)
    b = clip(logits("Speech", "Music", "", "Dog"), 4.0, WINDOWS)
    one, other = predict(a, settings()), predict(b, settings())
    found = measure_agreement([one, one], [one, other], 2.0)
    assert found is not None
    assert (found.tally.windows, found.tally.agreed, found.tally.heard, found.tally.heard_agreed) == (8, 6, 5, 3)
    assert found.tally.largest_error == pytest.approx(1 / (1 + np.exp(-4)) - 1 / (1 + np.exp(6)), abs=1e-6)
    assert found.to_json()["same_label"] == 0.75
    assert found.lines() == [
        "Same label: 6 of 8 (75.0 %) windows.",
        "Of those where either found a label of interest: 3 of 5 (60.0 %).",
        "Largest score difference: 0.9795.",
        "B is 2.00 times as fast as A, decoding and audits included.",
    ]


def test_different_windows_cannot_be_compared() -> None:
    whole, parts = clip(logits("Dog"), 4.0), clip(logits("Dog", "", "", ""), 4.0, WINDOWS)
    assert measure_agreement([predict(whole, settings())], [predict(parts, settings())]) is None


def test_shares_of_no_windows_are_null() -> None:
    found = Agreement(Tally(3, 3, 0, 0, 0.0))
    assert found.to_json()["same_label_of_these"] is None
    assert found.lines()[1] == "Of those where either found a label of interest: 0 of 0."
    assert len(found.lines()) == 3
