"""Write labels, metadata and proposals over HTTP, and read them back."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from block.local_studio.data.sample import StructuredLabel
from tests.local_studio.conftest import audio_file_of

Refused = Callable[..., None]
JOBS = itertools.count(1000)


def entry(start: int, end: int, label: str) -> dict[str, object]:
    return {"startIndex": start, "endIndex": end, "label": label}


def propose(studio: Any, sample_id: int, job: int, changes: object) -> Any:
    body = {"jobId": job, "proposedChanges": changes}
    return studio.post(studio.raw_data(sample_id, "propose-changes"), body)


def read_proposals(studio: Any, job: int) -> list[dict[str, Any]]:
    body = studio.get(f"1/raw-data/ai-actions-preview/{job}/proposed-changes").json()
    assert body["success"] is True
    changes: list[dict[str, Any]] = body["proposedChanges"]
    return changes


def test_structured_labels_come_back_merged(studio: Any):
    sample_id = studio.add(100)
    body = {"structuredLabels": [entry(0, 9, "a"), entry(10, 19, "a"), entry(20, 99, "b")]}
    answer = studio.post(studio.raw_data(sample_id, "structured-labels"), body)
    assert answer.json() == {"success": True}
    sample = studio.sample(sample_id)
    assert sample["structuredLabels"] == [entry(0, 19, "a"), entry(20, 99, "b")]
    assert sample["structuredLabelsList"] == ["a", "b"]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([entry(0, 98, "a")], "99…99"),
        ([entry(0, 100, "a")], "0…100"),
        ([entry(-16000, 99, "a")], "-16000…99"),
        ([], "0…99"),
        ("none", "array"),
    ],
)
def test_labels_that_do_not_cover_the_sample_are_refused_and_nothing_changes(
    studio: Any, refused: Refused, labels: object, message: str
):
    before = (StructuredLabel(0, 99, "kept"),)
    sample_id = studio.add(100, structured_labels=before)
    path = studio.raw_data(sample_id, "structured-labels")
    refused(studio.post(path, {"structuredLabels": labels}), 400, message)
    refused(studio.post(path, {}), 400, "is missing structuredLabels")
    assert studio.sample(sample_id)["structuredLabels"] == [entry(0, 99, "kept")]


def test_a_label_is_replaced_and_structured_labels_stay(studio: Any, refused: Refused):
    sample_id = studio.add(100, label="old", structured_labels=(StructuredLabel(0, 99, "kept"),))
    path = studio.raw_data(sample_id, "edit-label")
    assert studio.post(path, {"label": "new"}).ok
    sample = studio.sample(sample_id)
    assert (sample["label"], sample["structuredLabels"]) == ("new", [entry(0, 99, "kept")])
    refused(studio.post(path, {}), 400, "is missing label")
    refused(studio.post(path, {"label": 3}), 400, "must be a string")


def test_metadata_is_added_and_updated_and_the_rest_stays(studio: Any, refused: Refused):
    sample_id = studio.add(metadata={"room": "kitchen", "mic": "a"})
    path = studio.raw_data(sample_id, "metadata")
    assert studio.post(path, {"metadata": {"mic": "b", "by": "block"}}).ok
    assert studio.post(path, {"metadata": {}}).ok
    assert studio.sample(sample_id)["metadata"] == {"room": "kitchen", "mic": "b", "by": "block"}
    refused(studio.post(path, {"metadata": {"a": 1}}), 400, "must be a string, got integer 1")
    refused(studio.post(path, {}), 400, "is missing metadata")


def test_any_text_is_stored_as_data(studio: Any):
    label = "'); DROP TABLE samples; -- <script>alert(1)</script> ../../etc/passwd \0 😀"
    sample_id = studio.add(100, name=label)
    assert studio.post(studio.raw_data(sample_id, "edit-label"), {"label": label}).ok
    assert studio.post(studio.raw_data(sample_id, "metadata"), {"metadata": {label: label}}).ok
    body = {"structuredLabels": [entry(0, 99, label)]}
    assert studio.post(studio.raw_data(sample_id, "structured-labels"), body).ok
    sample = studio.sample(sample_id)
    assert sample["filename"] == sample["label"] == label
    assert sample["metadata"] == {label: label}
    assert sample["structuredLabelsList"] == [label]


def test_samples_are_disabled_and_enabled(studio: Any, refused: Refused):
    sample_id = studio.add()
    assert studio.post(studio.raw_data(sample_id, "disable")).ok
    assert studio.sample(sample_id)["isDisabled"] is True
    assert studio.post(studio.raw_data(sample_id, "enable"), {}).ok
    assert studio.sample(sample_id)["isDisabled"] is False
    refused(studio.post(studio.raw_data(sample_id, "disable"), {"a": 1}), 400, "no request body")


def test_a_write_updates_the_modification_time(studio: Any):
    sample_id = studio.add()
    before = studio.sample(sample_id)
    studio.post(studio.raw_data(sample_id, "edit-label"), {"label": "x"})
    after = studio.sample(sample_id)
    assert after["lastModified"] >= before["lastModified"]
    assert (after["added"], after["created"]) == (before["added"], before["created"])


def test_a_proposal_changes_only_what_a_query_with_its_job_returns(studio: Any):
    sample_id, job = studio.add(100, label="old", metadata={"a": "1", "b": "2"}), next(JOBS)
    before = studio.sample(sample_id)
    changes = {
        "label": "new",
        "isDisabled": True,
        "metadata": {"a": "3"},
        "structuredLabels": [entry(0, 49, "x"), entry(50, 99, "x")],
    }
    assert propose(studio, sample_id, job, changes).json() == {"success": True}
    assert studio.sample(sample_id) == before
    seen = studio.sample(sample_id, proposedActionsJobId=job)
    assert (seen["label"], seen["isDisabled"]) == ("new", True)
    assert seen["metadata"] == {"a": "3"}, "metadata in a proposal replaces the whole map"
    assert seen["structuredLabels"] == [entry(0, 99, "x")]
    assert studio.sample(sample_id, proposedActionsJobId=next(JOBS)) == before
    stored = {**changes, "structuredLabels": [entry(0, 99, "x")]}
    assert read_proposals(studio, job) == [{"sampleId": sample_id, "step": 0, "proposedChanges": stored}]


def test_a_later_proposal_overwrites_an_earlier_one_of_the_same_sample_and_job(studio: Any):
    first, second, job, other = studio.add(), studio.add(), next(JOBS), next(JOBS)
    propose(studio, first, job, {"label": "early", "metadata": {"a": "b"}})
    propose(studio, first, other, {"label": "other job"})
    propose(studio, second, job, {})
    propose(studio, first, job, {"label": "late", "boundingBoxes": []})
    found = {item["sampleId"]: item["proposedChanges"] for item in read_proposals(studio, job)}
    assert found == {first: {"label": "late"}, second: {}}
    assert [item["proposedChanges"] for item in read_proposals(studio, other)] == [{"label": "other job"}]


def test_a_job_that_has_proposed_nothing_has_no_proposals(studio: Any, refused: Refused):
    assert read_proposals(studio, next(JOBS)) == []
    refused(studio.get("1/raw-data/ai-actions-preview/abc/proposed-changes"), 404)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"structuredLabels": [entry(0, 98, "a")]}, "99…99"),
        ({"metadata": {"a": 1}}, "must be a string"),
        ({"isDisabled": "yes"}, "must be a boolean"),
        ({"labels": "a"}, "unknown keys ['labels']"),
        (None, "must be an object"),
    ],
)
def test_a_proposal_obeys_the_rules_for_direct_writes(studio: Any, refused: Refused, changes: object, message: str):
    sample_id, job = studio.add(100), next(JOBS)
    refused(propose(studio, sample_id, job, changes), 400, message)
    assert read_proposals(studio, job) == []


@pytest.mark.parametrize("job", [0, -1, "5", 5.0, True, None, 2**53, 10**400])
def test_a_job_id_is_a_positive_integer(studio: Any, refused: Refused, job: object):
    refused(propose(studio, studio.add(), job, {}), 400, "jobId")  # type: ignore[arg-type]


def test_a_proposal_needs_a_job_and_changes(studio: Any, refused: Refused):
    path = studio.raw_data(studio.add(), "propose-changes")
    refused(studio.post(path, {"jobId": 1}), 400, "is missing proposedChanges")
    refused(studio.post(path, {"proposedChanges": {}}), 400, "is missing jobId")


def test_writes_are_there_when_the_project_is_reopened(studio: Any):
    from block.local_studio.data.project import LocalProject

    sample_id, job = studio.add(100), next(JOBS)
    studio.post(studio.raw_data(sample_id, "metadata"), {"metadata": {"a": "b"}})
    propose(studio, sample_id, job, {"label": "x"})
    again = LocalProject(studio.project.root)
    assert again.sample(sample_id).metadata == {"a": "b"}
    assert again.sample(sample_id, job).label == "x"
    assert again.audio(again.sample(sample_id)) == audio_file_of(studio.project, sample_id)
    again.close()
