"""The rules for request bodies and ids, without a server."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from block.local_studio.data import validation
from block.local_studio.data.sample import ProposedChanges, StructuredLabel
from block.local_studio.data.validation import RequestError


def entry(start: object, end: object, label: object = "a") -> dict[str, object]:
    return {"startIndex": start, "endIndex": end, "label": label}


def partition(entries: object, values_count: int = 10) -> list[tuple[int, int, str]]:
    labels = validation.parse_labels(entries, values_count, "labels")
    return [(item.start_index, item.end_index, item.label) for item in labels]


def test_labels_without_gaps_or_overlaps_stay_unchanged():
    assert partition([entry(0, 3, "a"), entry(4, 9, "b")]) == [(0, 3, "a"), (4, 9, "b")]


def test_equal_neighbors_are_merged():
    assert partition([entry(0, 3), entry(4, 6), entry(7, 9, "b")]) == [(0, 6, "a"), (7, 9, "b")]


def test_a_later_entry_overrides_an_earlier_one():
    assert partition([entry(0, 9, "a"), entry(3, 5, "b")]) == [(0, 2, "a"), (3, 5, "b"), (6, 9, "a")]
    assert partition([entry(3, 5, "b"), entry(0, 9, "a")]) == [(0, 9, "a")]


def test_overlaps_by_one_value_go_to_the_later_entry():
    assert partition([entry(0, 5, "a"), entry(5, 9, "b")]) == [(0, 4, "a"), (5, 9, "b")]


def test_entries_can_come_in_any_order():
    assert partition([entry(6, 9, "b"), entry(0, 5, "a")]) == [(0, 5, "a"), (6, 9, "b")]


def test_an_empty_label_is_a_label():
    assert partition([entry(0, 9, "")]) == [(0, 9, "")]


def test_an_empty_sample_needs_no_labels():
    assert partition([], values_count=0) == []


def test_labels_of_hundreds_of_millions_of_values_need_no_array_of_values():
    assert partition([entry(0, 4 * 10**8)], values_count=4 * 10**8 + 1) == [(0, 4 * 10**8, "a")]


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([], "leaves the values 0…9 without a label"),
        ([entry(1, 9)], "leaves the values 0…0"),
        ([entry(0, 8)], "leaves the values 9…9"),
        ([entry(0, 3), entry(5, 9)], "leaves the values 4…4"),
        ([entry(-1, 9)], "spans -1…9"),
        ([entry(0, 10)], "spans 0…10"),
        ([entry(5, 4)], "spans 5…4"),
        ([entry(0.0, 9)], "startIndex must be an integer, got number 0.0"),
        ([entry("0", 9)], "startIndex must be an integer, got string"),
        ([entry(False, 9)], "startIndex must be an integer, got boolean false"),
        ([entry(0, True)], "endIndex must be an integer, got boolean true"),
        ([entry(0, None)], "endIndex must be an integer, got null"),
        ([entry(0, 9, 3)], "label must be a string, got integer 3"),
        ([entry(0, 9, None)], "label must be a string, got null"),
        ([entry(0, 9, "\ud800")], "lone surrogate"),
        ([{"startIndex": 0, "endIndex": 9}], "is missing label"),
        ([{**entry(0, 9), "labelMap": {}}], "unknown keys ['labelMap']"),
        ([[0, 9, "a"]], "[0] must be an object, got array"),
        ({"0": entry(0, 9)}, "must be an array, got object"),
        (None, "must be an array, got null"),
    ],
)
def test_invalid_labels_are_refused_with_the_reason(entries: object, message: str):
    with pytest.raises(RequestError) as caught:
        partition(entries)
    assert message in caught.value.message
    assert caught.value.status == 400


def test_an_empty_sample_accepts_no_labels():
    with pytest.raises(RequestError, match="has 0 values"):
        partition([entry(0, 0)], values_count=0)


@given(st.data(), st.integers(1, 30))
def test_labels_are_the_same_as_when_painted_value_by_value(data: st.DataObject, values_count: int):
    spans = st.tuples(st.integers(0, values_count - 1), st.integers(0, values_count - 1), st.sampled_from("abc"))
    drawn = data.draw(st.lists(spans, max_size=8))
    entries = [entry(min(a, b), max(a, b), label) for a, b, label in drawn]
    painted: list[str | None] = [None] * values_count
    for a, b, label in drawn:
        for i in range(min(a, b), max(a, b) + 1):
            painted[i] = label
    if None in painted:
        with pytest.raises(RequestError, match="without a label"):
            partition(entries, values_count)
        return
    found = partition(entries, values_count)
    assert [label for start, end, label in found for _ in range(start, end + 1)] == painted
    assert all(left[2] != right[2] for left, right in pairwise(found))


@pytest.mark.parametrize("value", [{"a": 1}, {"a": None}, {"a": ["b"]}, {"": "b"}, {"a": "\udfff"}, [], "a", None])
def test_metadata_is_a_map_of_strings_only(value: object):
    with pytest.raises(RequestError):
        validation.parse_metadata(value, "metadata")


def test_metadata_can_be_empty_or_contain_any_text():
    assert validation.parse_metadata({}, "metadata") == {}
    assert validation.parse_metadata({"ключ": "", "b": "\n\0"}, "metadata") == {"ключ": "", "b": "\n\0"}


@pytest.mark.parametrize(
    "value",
    [
        {"lable": "a"},
        {"label": 1},
        {"label": None},
        {"isDisabled": 1},
        {"isDisabled": None},
        {"metadata": {"a": 1}},
        {"metadata": None},
        {"boundingBoxes": [{"label": "a", "x": 0, "y": 0, "width": 1, "height": 1}]},
        {"boundingBoxes": None},
        {"structuredLabels": [entry(0, 8)]},
        {"structuredLabels": None},
        [],
    ],
)
def test_proposals_obey_the_rules_for_direct_changes(value: object):
    with pytest.raises(RequestError):
        validation.parse_changes(value, 10, "proposedChanges")


def test_a_proposal_can_be_empty_or_complete():
    assert validation.parse_changes({}, 10, "p") == ProposedChanges()
    value = {
        "label": "x",
        "isDisabled": False,
        "boundingBoxes": [],
        "metadata": {"a": "b"},
        "structuredLabels": [entry(0, 9)],
    }
    expected = ProposedChanges("x", False, {"a": "b"}, (StructuredLabel(0, 9, "a"),))
    assert validation.parse_changes(value, 10, "p") == expected


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"a"',
        b'{"a": NaN}',
        b'{"a": 1, "a": 2}',
        b'{"a": "\xff"}',
        b"[" * 100_000,
        b'{"a":' + b"1" * 5000 + b"}",
    ],
)
def test_a_body_that_is_not_a_json_object_is_refused(body: bytes):
    with pytest.raises(RequestError):
        validation.parse_object(body)


@pytest.mark.parametrize("text", ["0", "-1", "1.0", "1e3", "٣", "abc", "", "9" * 5000, str(2**53)])
def test_ids_that_cannot_exist_are_not_found(text: str):
    with pytest.raises(RequestError) as caught:
        validation.parse_id(text, "sample")
    assert caught.value.status == 404
