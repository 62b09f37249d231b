"""The calls that read: the project, its samples, their audio, and what jobs have proposed."""

from __future__ import annotations

from block.local_studio.api import serializers
from block.local_studio.api.endpoint import Answer, Call, Endpoint, check_project, find_sample
from block.local_studio.api.list_query import ListQuery, Query
from block.local_studio.data import validation
from block.local_studio.data.project import LocalProject
from block.local_studio.data.validation import RequestError

LARGEST_PAYLOAD = 1_000_000  # values that fit an answer without bringing this process down


def list_projects(project: LocalProject, call: Call) -> Answer:
    """The one project that the key belongs to."""
    Query.parse(call.query, ())
    return {"projects": [serializers.serialize_project(project)]}


def get_project(project: LocalProject, call: Call) -> Answer:
    """Facts of the project. `impulseId` is refused: there are no impulses."""
    check_project(project, call)
    Query.parse(call.query, (), ("impulseId",))
    return serializers.serialize_project_info(project, project.samples())


def list_samples(project: LocalProject, call: Call) -> Answer:
    """A page of samples; `totalCount` counts all that the filter lets through.

    Chosen, for want of facts: the page is of 100 when `limit` is absent, `excludeSensors` leaves the
    (required) array of sensors empty, and the filter sees the proposals of `proposedActionsJobId`.
    """
    check_project(project, call)
    query = ListQuery.parse(call.query)
    selected = query.select(project.samples(query.job_id))
    page = selected[query.offset : query.offset + query.limit]
    with_sensors = not query.exclude_sensors
    samples = [serializers.serialize_sample(project, item, with_sensors=with_sensors) for item in page]
    return {"samples": samples, "totalCount": len(selected)}


def get_sample(project: LocalProject, call: Call) -> Answer:
    """One sample with its payload, as proposed by the job `proposedActionsJobId` when that is given.

    The payload holds the first `limitPayloadValues` intervals, or at most 1,000,000 when that is absent;
    `totalPayloadLength` is always the whole. Chosen, for want of facts: values are 16-bit integers,
    several channels are averaged, and a sample without readable audio has none.
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
    """The sample's audio as a WAV file; a sample without readable audio is refused (400).

    Chosen, for want of facts: a file of several channels is one axis and keeps its channels and its own
    rate; `sliceEnd` is exclusive and, like `sliceStart`, counts frames of the file; a slice that is empty
    or reaches beyond the end is refused.
    """
    check_project(project, call)
    query = Query.parse(call.query, ("axisIx", "sliceStart", "sliceEnd", "cacheKey"), ("datasetVersionId",))
    axis = query.integer("axisIx")
    if axis is None:
        raise RequestError("the query parameter axisIx is required")
    part = slice(query.integer("sliceStart"), query.integer("sliceEnd"))
    item = find_sample(project, call)
    if axis > 0:
        raise RequestError(f"sample {item.id} has no axis {axis}: expected 0…0")
    return project.audio(item, part)


def get_proposed_changes(project: LocalProject, call: Call) -> Answer:
    """All that a job has proposed, by sample id; nothing for a job that is not known.

    Chosen, for want of facts: `step` is 0, because every job here has one step.
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
