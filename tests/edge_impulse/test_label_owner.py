"""Fingerprints of labels."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from block.edge_impulse.label_owner import NO_LABELS, fingerprint


def spans(*cuts: int, labels: str) -> list[dict[str, Any]]:
    return [
        {"startIndex": start, "endIndex": end - 1, "label": label}
        for start, end, label in zip(cuts, cuts[1:], labels, strict=False)
    ]


def test_labels_that_are_stored_merged_or_in_another_order_are_the_same_labels() -> None:
    apart = spans(0, 10, 20, 30, labels="aab")
    assert fingerprint(apart) == fingerprint(spans(0, 20, 30, labels="ab")) == fingerprint(apart[::-1])


@given(st.lists(st.tuples(st.integers(1, 5), st.sampled_from("ab")), min_size=1, max_size=8), st.data())
def test_any_change_of_a_boundary_or_a_label_shows(pieces: list[tuple[int, str]], data: st.DataObject) -> None:
    cuts = [0]
    for length, _ in pieces:
        cuts.append(cuts[-1] + length)
    before = spans(*cuts, labels="".join(label for _, label in pieces))
    at = data.draw(st.integers(0, len(before) - 1))
    changed = [dict(one) for one in before]
    changed[at]["label"] = "c"
    assert fingerprint(changed) != fingerprint(before)
    longer = [*before[:-1], {**before[-1], "endIndex": before[-1]["endIndex"] + 1}]
    assert fingerprint(longer) != fingerprint(before)


def test_no_labels_have_a_fingerprint_of_their_own() -> None:
    assert fingerprint(None) == fingerprint([]) == NO_LABELS


@pytest.mark.parametrize("odd", [{}, {"startIndex": None, "endIndex": 1, "label": "a"}, {"startIndex": "x"}])
def test_labels_of_an_odd_form_are_nobodys_and_no_error(odd: dict[str, Any]) -> None:
    assert fingerprint([odd]) == "unreadable"
