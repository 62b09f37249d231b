"""Strategies that the fuzz tests share, and the number of examples.

Without FUZZ in the environment, a test draws at most 200 examples. With `FUZZ=1`, as in `make test-all`, it draws all
of its examples, and with `FUZZ=100` a hundred times as many: `FUZZ=100 python -m pytest tests/fuzz`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

FACTOR = int(os.environ.get("FUZZ", "0"))
FEW = 200


def examples(count: int) -> Callable[[Any], Any]:
    """Draw `count` times FUZZ examples, or at most 200 if FUZZ is not set. A test's examples may share a fixture."""
    return settings(
        max_examples=count * FACTOR if FACTOR else min(count, FEW),
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
    )


# With lone surrogates: JSON can contain them as \ud800, and arguments that aren't valid UTF-8 become them.
any_text = st.text(st.characters(exclude_categories=()), max_size=40)
odd_numbers = st.sampled_from(
    [0, -1, 1, 10**9, 10**15, -(10**15), 2**31, 2**53, 2**63, 2**64, 10**30, 10**400, 0.0, -0.0, 0.5, 1e-320, 1e300,
     -1e300, float("inf"), float("-inf"), float("nan"), True, False]
)  # fmt: skip
scalars = st.none() | st.booleans() | st.integers() | st.floats() | any_text | odd_numbers
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4), max_leaves=8
)


def nested(depth: int) -> Any:
    """Return `depth` nested lists."""
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def flipped(draw: Callable[[Any], Any], data: bytes, most: int = 8) -> bytes:
    """Return `data` with some bytes changed, possibly truncated."""
    damaged = bytearray(data)
    for at, value in draw(st.lists(st.tuples(st.integers(0, len(data) - 1), st.integers(0, 255)), max_size=most)):
        damaged[at] = value
    return bytes(damaged[: draw(st.just(len(data)) | st.integers(0, len(data)))])
