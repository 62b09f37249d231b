"""The calls that read: the project, its samples, their audio, and the proposals of jobs."""

from __future__ import annotations

from block.local_studio.api import serializers
from block.local_studio.api.endpoint import Answer, Call, Endpoint, check_project, find_sample
from block.local_studio.api.list_query import ListQuery, Query
from block.local_studio.data import validation
from block.local_studio.data.project import LocalProject
from block.local_studio.data.validation import RequestError

LARGEST_PAYLOAD = 1_000_000  # values; more could exhaust the memory of this process


def list_projects(project: LocalProject, call: Call) -> Answer:
    """List the projects that the key gives access to: always exactly one."""
    Query.parse(call.query, ())
    return {"projects": [serializers.serialize_project(project)]}


def get_project(project: LocalProject, call: Call) -> Answer:
    """Return the project's settings and a summary of its data. `impulseId` is refused: there are no impulses."""
    check_project(project, call)
    Query.parse(call.query, (), ("impulseId",))
    return serializers.serialize_project_info(project, project.samples())


def list_samples(project: LocalProject, call: Call) -> Answer:
    """Return a page of samples. `totalCount` counts all samples that match the filter.

    Assumed: a page has 100 samples if `limit` is absent, `excludeSensors` leaves the required `sensors` array empty,
    and the filter applies to what the job `proposedActionsJobId` proposes.
    """
    check_project(project, call)
    query = ListQuery.parse(call.query)
    selected = query.select(project.samples(query.job_id))
    page = selected[query.offset : query.offset + query.limit]
    with_sensors = not query.exclude_sensors
    samples = [serializers.serialize_sample(project, item, with_sensors=with_sensors) for item in page]
    return {"samples": samples, "totalCount": len(selected)}


def get_sample(project: LocalProject, call: Call) -> Answer:
    """Return a sample and its payload, with the changes that the job `proposedActionsJobId` proposes if it's given.

    The payload has the first `limitPayloadValues` intervals, and never more than 1,000,000; `totalPayloadLength` is the
    full length.

    Assumed: values are 16-bit integers, channels are averaged, and the payload is empty if the audio can't be read.
    """
    check_project(project, call)
    known = ("limitPayloadValues", "proposedActionsJobId", "cacheKey")
    query = Query.parse(call.query, known, ("impulseId", "truncateStructuredLabels", "datasetVersionId"))
    limit = query.integer("limitPayloadValues")
    item = find_sample(project, call, query.integer("proposedActionsJobId", least=1))
    values = project.values(item, min(LARGEST_PAYLOAD if limit is None else limit, LARGEST_PAYLOAD))
    payload = serializers.serialize_payload(item, values)
    return {
        "sample": serializers.serialize_sample(project, item),
        "payload": payload,
        "totalPayloadLength": item.values_count,
        "datastreamPayloads": [{"index": 0, "payload": payload, "totalPayloadLength": item.values_count}],
    }


def get_wav(project: LocalProject, call: Call) -> Answer:
    """Return the sample's audio as a WAV file, or a 400 if it can't be read.

    Assumed: a file with several channels is one axis, and keeps its channels and its rate. `sliceStart` and `sliceEnd`
    count frames of the file, and `sliceEnd` is exclusive. A slice that is empty, or ends after the file, is refused.
    """
    check_project(project, call)
    query = Query.parse(call.query, ("axisIx", "sliceStart", "sliceEnd", "cacheKey"), ("datasetVersionId",))
    axis = query.integer("axisIx")
    if axis is None:
        raise RequestError("the query parameter axisIx is required")
    part = slice(query.integer("sliceStart"), query.integer("sliceEnd"))
    item = find_sample(project, call)
    if axis > 0:
        raise RequestError(f"sample {item.id} has no axis {axis}: expected 0, the only axis")
    return project.audio(item, part)


def get_proposed_changes(project: LocalProject, call: Call) -> Answer:
    """Return all changes that a job proposes, sorted by sample id; an empty list for an unknown job.

    Assumed: `step` is 0, because every job here has one step.
    """
    check_project(project, call)
    Query.parse(call.query, ())
    proposals = project.store.proposals(validation.parse_id(call.ids["job"], "job"))
    return {
        "proposedChanges": [
            {"sampleId": item.sample_id, "step": 0, "proposedChanges": item.changes.to_json()} for item in proposals
        ]
    }


ENDPOINTS = (
    Endpoint("GET", "/api/projects", list_projects),
    Endpoint("GET", "/api/{project}", get_project),
    Endpoint("GET", "/api/{project}/raw-data", list_samples),
    Endpoint("GET", "/api/{project}/raw-data/{sample}", get_sample),
    Endpoint("GET", "/api/{project}/raw-data/{sample}/wav", get_wav),
    Endpoint("GET", "/api/{project}/raw-data/ai-actions-preview/{job}/proposed-changes", get_proposed_changes),
)
