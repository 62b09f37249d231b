"""Call the local Studio with the official Python bindings, over a loopback socket."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import soundfile

edgeimpulse_api = pytest.importorskip("edgeimpulse_api")

from edgeimpulse_api import models  # noqa: E402
from edgeimpulse_api.api.projects_api import ProjectsApi  # noqa: E402
from edgeimpulse_api.api.raw_data_api import RawDataApi  # noqa: E402
from edgeimpulse_api.exceptions import (  # noqa: E402
    ApiException,
    ForbiddenException,
    NotFoundException,
    UnauthorizedException,
)

MakeWav = Callable[..., bytes]
TIMEOUT = {"_request_timeout": 10}


def client_of(studio: Any, key: str) -> Any:
    configuration = edgeimpulse_api.Configuration(host=studio.address.endpoint, api_key={"ApiKeyAuthentication": key})
    return edgeimpulse_api.ApiClient(configuration)


@pytest.fixture
def client(studio: Any) -> Iterator[Any]:
    with client_of(studio, studio.address.key) as client:
        yield client


def test_projects_and_their_details_arrive_complete(client: Any, studio: Any):
    (project,) = ProjectsApi(client).list_projects(**TIMEOUT).projects
    assert (project.id, project.name) == (studio.project.id, studio.project.name)
    models.Project.parse_obj(studio.get("projects").json()["projects"][0])
    info = ProjectsApi(client).get_project_info(project.id, **TIMEOUT)
    assert info.project.id == project.id
    models.ProjectInfoResponse.parse_obj(studio.get("1").json())


def test_every_field_of_a_sample_arrives(client: Any, studio: Any):
    sample_id = studio.add(100, metadata={"a": "b"}, label="x")
    labels = [{"startIndex": 0, "endIndex": 99, "label": "y"}]
    studio.post(studio.raw_data(sample_id, "structured-labels"), {"structuredLabels": labels})
    sent = studio.get(studio.raw_data(sample_id), params={"limitPayloadValues": 2}).json()
    found = RawDataApi(client).get_sample(1, sample_id, limit_payload_values=2, **TIMEOUT)
    assert found.to_dict() == sent
    models.GetSampleResponse.parse_obj(sent)


def test_samples_are_listed_with_filters(client: Any, studio: Any):
    made = [studio.add(name="bound.wav", label="a label") for _ in range(3)]
    found = RawDataApi(client).list_samples(
        1, models.RawDataFilterCategory.TRAINING, limit=2, filename="bound", exclude_sensors=True, **TIMEOUT
    )
    assert [sample.id for sample in found.samples] == sorted(made, reverse=True)[:2]
    assert found.total_count == 3
    labeled = RawDataApi(client).list_samples(
        1, models.RawDataFilterCategory.ALL, labels='["a label"]', min_id=made[0], **TIMEOUT
    )
    assert len(labeled.samples) == 3
    sent = studio.get("1/raw-data", params={"category": "all", "minId": made[0]}).json()
    models.ListSamplesResponse.parse_obj(sent)


def test_the_wav_arrives_byte_for_byte(client: Any, studio: Any, audio_bytes: MakeWav):
    data = audio_bytes(100, 44100, subtype="PCM_24")
    sample_id = studio.add(audio=data)
    answer = RawDataApi(client).get_sample_as_audio(1, sample_id, 0, _preload_content=False, **TIMEOUT)
    assert answer.data == data
    part = RawDataApi(client).get_sample_as_audio(
        1, sample_id, 0, slice_start=10, slice_end=20, _preload_content=False, **TIMEOUT
    )
    assert soundfile.info(io.BytesIO(part.data)).frames == 10


def test_labels_and_metadata_are_set_and_read_back(client: Any, studio: Any):
    sample_id, calls = studio.add(100, metadata={"room": "hall"}), RawDataApi(client)
    labels = [
        models.StructuredLabel(start_index=0, end_index=49, label="speech"),
        models.StructuredLabel(start_index=50, end_index=99, label="other"),
    ]
    request = models.SetSampleStructuredLabelsRequest(structured_labels=labels)
    assert calls.set_sample_structured_labels(1, sample_id, request, **TIMEOUT).success
    metadata = models.SetSampleMetadataRequest(metadata={"labeled_by": "a test"})
    assert calls.set_sample_metadata(1, sample_id, metadata, **TIMEOUT).success
    label = models.EditSampleLabelRequest(label="single")
    assert calls.edit_label(1, sample_id, label, **TIMEOUT).success
    assert calls.disable_sample(1, sample_id, **TIMEOUT).success
    sample = calls.get_sample(1, sample_id, limit_payload_values=0, **TIMEOUT).sample
    assert [item.to_dict() for item in sample.structured_labels] == [item.to_dict() for item in labels]
    assert sample.structured_labels_list == ["speech", "other"]
    assert sample.metadata == {"room": "hall", "labeled_by": "a test"}
    assert (sample.label, sample.is_disabled) == ("single", True)
    assert calls.enable_sample(1, sample_id, **TIMEOUT).success


def test_changes_are_proposed_and_read_back(client: Any, studio: Any):
    sample_id, calls = studio.add(100), RawDataApi(client)
    changes = models.SampleProposedChanges(
        metadata={"a": "b"},
        structured_labels=[models.StructuredLabel(start_index=0, end_index=99, label="x")],
    )
    request = models.SetSampleProposedChangesRequest(job_id=77, proposed_changes=changes)
    assert calls.set_sample_proposed_changes(1, sample_id, request, **TIMEOUT).success
    (found,) = calls.get_ai_actions_proposed_changes(1, 77, **TIMEOUT).proposed_changes
    assert (found.sample_id, found.proposed_changes) == (sample_id, changes)
    plain = calls.get_sample(1, sample_id, limit_payload_values=0, **TIMEOUT).sample
    assert (plain.structured_labels, plain.metadata) == (None, None)
    seen = calls.get_sample(1, sample_id, limit_payload_values=0, proposed_actions_job_id=77, **TIMEOUT).sample
    assert seen.structured_labels == changes.structured_labels
    assert seen.metadata == {"a": "b"}


def test_refusals_raise_the_exceptions_of_the_bindings(client: Any, studio: Any):
    calls, sample_id = RawDataApi(client), studio.add(audio=b"no audio")
    with pytest.raises(NotFoundException):
        calls.get_sample(1, 999_999, **TIMEOUT)
    with pytest.raises(ForbiddenException):
        calls.get_sample(2, sample_id, **TIMEOUT)
    with pytest.raises(ApiException) as caught:
        calls.get_sample_as_audio(1, sample_id, 0, _preload_content=False, **TIMEOUT)
    assert (caught.value.status, "not audio" in caught.value.body) == (400, True)
    with client_of(studio, "ei_wrong") as stranger, pytest.raises(UnauthorizedException):
        ProjectsApi(stranger).list_projects(**TIMEOUT)
