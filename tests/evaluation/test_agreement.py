"""The agreement of two configurations, window by window."""

from __future__ import annotations

import numpy as np
import pytest

from block.evaluation.agreement import Agreement, measure_agreement
from block.evaluation.predictions import predict
from block.labeling.agreement import Tally
from block.settings import WindowSettings
from tests.conftest import NAMES
from tests.evaluation.synthetic import make_clip, make_settings

WINDOWS = WindowSettings(1000, 1000)


def logits(*names: str) -> np.ndarray:
    """Return one window per name, in which only that class scores high; no class does if the name is empty."""
    values = np.full((len(names), len(NAMES)), -6.0)
    for window, name in enumerate(names):
        if name:
            values[window, NAMES.index(name)] = 4.0
    return values


def test_windows_that_differ_only_in_place_are_not_compared() -> None:
    one = predict(make_clip(logits("Speech", "Dog"), 4.0, WindowSettings(2000, 2000)), make_settings())
    other = predict(make_clip(logits("Speech", "Dog"), 4.0, WindowSettings(3000, 2000)), make_settings())
    assert measure_agreement([one], [other]) is None


def test_agreement_counts_windows_with_the_same_label_and_windows_where_either_found_one() -> None:
    a = make_clip(logits("Speech", "Dog", "", ""), 4.0, WINDOWS)
    b = make_clip(logits("Speech", "Music", "", "Dog"), 4.0, WINDOWS)
    one, other = predict(a, make_settings()), predict(b, make_settings())
    found = measure_agreement([one, one], [one, other], 2.0)
    assert found is not None
    assert (found.tally.windows, found.tally.agreed, found.tally.heard, found.tally.heard_agreed) == (8, 6, 5, 3)
    assert found.tally.largest_error == pytest.approx(1 / (1 + np.exp(-4)) - 1 / (1 + np.exp(6)), abs=1e-6)
    assert found.to_json()["same_label"] == 0.75
    assert found.lines() == [
        "Same label: 6 of 8 windows (75.0 %).",
        "Same label where A or B found a label of interest: 3 of 5 windows (60.0 %).",
        "Largest score difference: 0.9795.",
        "B is 2.00 times as fast as A, including decoding and audits.",
    ]


def test_different_windows_cannot_be_compared() -> None:
    whole, parts = make_clip(logits("Dog"), 4.0), make_clip(logits("Dog", "", "", ""), 4.0, WINDOWS)
    assert measure_agreement([predict(whole, make_settings())], [predict(parts, make_settings())]) is None


def test_a_share_of_no_windows_is_null() -> None:
    found = Agreement(Tally(3, 3, 0, 0, 0.0))
    assert found.to_json()["same_label_of_these"] is None
    assert found.lines()[1] == "Same label where A or B found a label of interest: 0 of 0 windows."
    assert len(found.lines()) == 3
