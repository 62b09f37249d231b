"""Label fingerprints, which show whether labels changed since the block wrote them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from block.edge_impulse.label_owner import NO_LABELS, fingerprint


def make_segments(*boundaries: int, labels: str) -> list[dict[str, Any]]:
    return [
        {"startIndex": start, "endIndex": end - 1, "label": label}
        for start, end, label in zip(boundaries, boundaries[1:], labels, strict=False)
    ]


def test_merging_or_reordering_segments_does_not_change_the_fingerprint() -> None:
    unmerged = make_segments(0, 10, 20, 30, labels="aab")
    assert fingerprint(unmerged) == fingerprint(make_segments(0, 20, 30, labels="ab")) == fingerprint(unmerged[::-1])


@given(st.lists(st.tuples(st.integers(1, 5), st.sampled_from("ab")), min_size=1, max_size=8), st.data())
def test_changing_a_boundary_or_a_label_changes_the_fingerprint(
    lengths_and_labels: list[tuple[int, str]], data: st.DataObject
) -> None:
    boundaries = [0]
    for length, _ in lengths_and_labels:
        boundaries.append(boundaries[-1] + length)
    before = make_segments(*boundaries, labels="".join(label for _, label in lengths_and_labels))
    index = data.draw(st.integers(0, len(before) - 1))
    changed = [dict(segment) for segment in before]
    changed[index]["label"] = "c"
    assert fingerprint(changed) != fingerprint(before)
    longer = [*before[:-1], {**before[-1], "endIndex": before[-1]["endIndex"] + 1}]
    assert fingerprint(longer) != fingerprint(before)


def test_missing_labels_and_an_empty_list_have_the_same_fingerprint() -> None:
    assert fingerprint(None) == fingerprint([]) == NO_LABELS


@pytest.mark.parametrize("odd", [{}, {"startIndex": None, "endIndex": 1, "label": "a"}, {"startIndex": "x"}])
def test_malformed_labels_are_unreadable_but_not_an_error(odd: dict[str, Any]) -> None:
    assert fingerprint([odd]) == "unreadable"
