"""The block computes the logits of its scores version: stored scores and labels of that version stay valid."""

from __future__ import annotations

import re

import numpy as np
import pytest

from block.model.arithmetic import FIRST_SCORES_VERSION, SCORES_VERSION
from tests.model.scores import FOLDER, compute_logits

# What rounding may do, in logits of -16 to 0. Changed arithmetic moves them more: see the second test. On a CPU with
# other kernels, a value may be rounded to another 8-bit integer.
TOLERANCES = {"exact": 5e-5, "merged": 1e-4, "merged-32": 1e-4, "merged-int8": 0.2, "merged-int8-16": 0.2}


def test_logits_are_those_of_the_scores_version() -> None:
    expected = np.load(FOLDER / f"{SCORES_VERSION}.npz")
    found = compute_logits()
    assert {name for name in found if "int8" not in name} == {name for name in expected if "int8" not in name}
    for name, logits in found.items():
        np.testing.assert_allclose(
            logits, expected[name], rtol=0, atol=TOLERANCES[name.partition(",")[0]], err_msg=(
                f"{name}: stored scores would no longer be valid. Raise SCORES_VERSION, "
                "then run python -m tests.model.scores"
            ),
        )  # fmt: skip


@pytest.mark.parametrize(
    ("constant", "value"),
    [
        ("block.model.features.PREEMPHASIS", 0.969),
        ("block.model.features.LOW_HZ", 20.5),
        ("block.model.classifier.GROUPS", {"merged": 120, "merged-32": 32, "merged-int8": 64, "merged-int8-16": 16}),
        ("block.model.classifier.GROUPS", {"merged": 128, "merged-32": 30, "merged-int8": 64, "merged-int8-16": 16}),
    ],
)
def test_a_small_change_of_the_arithmetic_is_noticed(
    monkeypatch: pytest.MonkeyPatch, constant: str, value: object
) -> None:
    expected = np.load(FOLDER / f"{SCORES_VERSION}.npz")
    monkeypatch.setattr(constant, value)
    tolerances = {name: TOLERANCES[name.partition(",")[0]] for name in expected}
    assert any(np.abs(logits - expected[name]).max() > tolerances[name] for name, logits in compute_logits().items())


def test_every_version_has_its_logits() -> None:
    recorded = {path.stem for path in FOLDER.glob("*.npz")}
    assert {FIRST_SCORES_VERSION, SCORES_VERSION} <= recorded
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in recorded)
