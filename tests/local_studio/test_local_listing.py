"""The filter of a list call, without a server."""

from __future__ import annotations

from dataclasses import replace

import pytest

from block.local_studio.api.list_query import DEFAULT_LIMIT, ListQuery
from block.local_studio.data.sample import LocalSample, StructuredLabel
from block.local_studio.data.validation import RequestError

SAMPLE = LocalSample(
    id=7,
    name="Dogs/bark.wav",
    category="training",
    label="dog",
    frequency_hz=16000.0,
    values_count=32000,
    is_disabled=False,
    processing_error=None,
    metadata={},
    structured_labels=None,
    sha256="",
    created="",
    modified="",
    added="",
    path=b"Dogs/bark.wav",
)


def listing(**parameters: str) -> ListQuery:
    return ListQuery.parse(list({"category": "all", **parameters}.items()))


@pytest.mark.parametrize(
    ("parameter", "accepting", "rejecting"),
    [
        ("category", "training", "testing"),
        ("labels", '["cat", "dog"]', '["cat"]'),
        ("filename", "bark", "Bark"),
        ("search", "BARK", "meow"),
        ("minLength", "1999", "2000"),
        ("maxLength", "2001", "2000"),
        ("minFrequency", "15999.5", "16000"),
        ("maxFrequency", "16000.5", "16000"),
        ("minId", "7", "8"),
        ("maxId", "8", "7"),
        ("includeDisabled", "enabled", "disabled"),
        ("signatureValidity", "valid", "invalid"),
        ("dataType", "audio", "image"),
    ],
)
def test_each_filter_accepts_and_rejects(parameter: str, accepting: str, rejecting: str):
    assert listing(**{parameter: accepting}).accepts(SAMPLE)
    assert not listing(**{parameter: rejecting}).accepts(SAMPLE)


def test_structured_labels_hide_the_single_label_from_the_filter():
    cut = replace(SAMPLE, structured_labels=(StructuredLabel(0, 9, "cat"), StructuredLabel(10, 31999, "cow")))
    assert listing(labels='["cow"]').accepts(cut)
    assert not listing(labels='["dog"]').accepts(cut)


def test_a_disabled_sample_is_found_as_disabled_and_by_default():
    disabled = replace(SAMPLE, is_disabled=True)
    assert listing().accepts(disabled)
    assert listing(includeDisabled="disabled").accepts(disabled)
    assert not listing(includeDisabled="enabled").accepts(disabled)


def test_a_sample_without_any_label_is_found_by_the_empty_label():
    assert listing(labels='[""]').accepts(replace(SAMPLE, label=""))
    assert not listing(labels='[""]').accepts(SAMPLE)


def test_the_newest_samples_come_first_and_random_order_loses_none():
    samples = [replace(SAMPLE, id=i) for i in (3, 1, 2)]
    assert [item.id for item in listing().select(samples)] == [3, 2, 1]
    assert sorted(item.id for item in listing(sortBy="random").select(samples)) == [1, 2, 3]


def test_a_page_has_the_default_limit_unless_the_query_sets_one():
    assert listing().limit == DEFAULT_LIMIT
    assert (listing(limit="1000", offset="3").limit, listing(offset="3").offset) == (1000, 3)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("category", "trainings"),
        ("limit", "0"),
        ("limit", "-1"),
        ("limit", "1.5"),
        ("offset", "x"),
        ("labels", "dog"),
        ("labels", "[1]"),
        ("labels", '{"a": 1}'),
        ("minLength", "nan"),
        ("maxFrequency", "inf"),
        ("minFrequency", "-1"),
        ("includeDisabled", "yes"),
        ("signatureValidity", "maybe"),
        ("excludeSensors", "1"),
        ("sortBy", "id-asc"),
        ("dataType", "video"),
        ("proposedActionsJobId", "0"),
    ],
)
def test_values_out_of_range_are_refused_by_name(parameter: str, value: str):
    with pytest.raises(RequestError, match=parameter):
        listing(**{parameter: value})


@pytest.mark.parametrize("parameter", ListQuery.UNSUPPORTED)
def test_unsupported_filters_are_refused_not_ignored(parameter: str):
    with pytest.raises(RequestError, match=f"{parameter} is not supported"):
        listing(**{parameter: "1"})


def test_unknown_repeated_and_absent_parameters_are_refused():
    with pytest.raises(RequestError, match="unknown query parameter 'ids'"):
        listing(ids="[1]")
    with pytest.raises(RequestError, match="limit is given 2 times"):
        ListQuery.parse([("category", "all"), ("limit", "1"), ("limit", "2")])
    with pytest.raises(RequestError, match="category is required"):
        ListQuery.parse([])


def test_booleans_are_parsed_as_the_python_bindings_send_them():
    assert listing(excludeSensors="True").exclude_sensors
    assert not listing(excludeSensors="False").exclude_sensors
