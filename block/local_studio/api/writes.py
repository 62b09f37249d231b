"""The calls that write: labels, metadata, proposals, and whether a sample is disabled."""

from __future__ import annotations

from block.local_studio.api.endpoint import Answer, Call, Endpoint, find_sample_to_write, parse_body
from block.local_studio.data import validation
from block.local_studio.data.project import LocalProject
from block.local_studio.data.sample import Proposal
from block.local_studio.data.validation import LARGEST_ID, RequestError


def set_structured_labels(project: LocalProject, call: Call) -> Answer:
    """Replace the structured labels. They must cover every value; equal neighbors are merged."""
    item = find_sample_to_write(project, call)
    body = parse_body(call, "structuredLabels")
    labels = validation.parse_labels(body["structuredLabels"], item.values_count, "structuredLabels")
    project.store.set_structured_labels(item.id, labels)
    return {}


def edit_label(project: LocalProject, call: Call) -> Answer:
    """Replace the single label.

    Assumed: structured labels stay, and still hide the single label. `label` is optional in the API, but a body without
    it would change nothing, so it's refused as a mistake.
    """
    item = find_sample_to_write(project, call)
    body = parse_body(call, "label")
    project.store.set_label(item.id, validation.parse_text(body["label"], "label"))
    return {}


def set_metadata(project: LocalProject, call: Call) -> Answer:
    """Add or update metadata.

    Assumed: keys that aren't in the body stay unchanged. `metadata` is optional in the API, but a body without it would
    change nothing, so it's refused as a mistake.
    """
    item = find_sample_to_write(project, call)
    body = parse_body(call, "metadata")
    project.store.add_metadata(item.id, validation.parse_metadata(body["metadata"], "metadata"))
    return {}


def propose_changes(project: LocalProject, call: Call) -> Answer:
    """Store what a job proposes for the sample. It replaces the job's earlier proposal.

    Assumed: the rules for proposed labels are the same as for labels set directly, and `jobId` can be any positive
    integer, even if this Studio didn't start that job.
    """
    item = find_sample_to_write(project, call)
    body = parse_body(call, "jobId", "proposedChanges")
    job_id = validation.parse_integer(body["jobId"], "jobId")
    if not 1 <= job_id <= LARGEST_ID:
        raise RequestError(f"jobId must be a positive integer, got {job_id}")
    changes = validation.parse_changes(body["proposedChanges"], item.values_count, "proposedChanges")
    project.store.propose(Proposal(job_id, item.id, changes))
    return {}


def enable(project: LocalProject, call: Call) -> Answer:
    """Enable the sample. The body must be empty or an empty object."""
    return _set_disabled(project, call, False)


def disable(project: LocalProject, call: Call) -> Answer:
    """Disable the sample. The body must be empty or an empty object."""
    return _set_disabled(project, call, True)


def _set_disabled(project: LocalProject, call: Call, is_disabled: bool) -> Answer:
    item = find_sample_to_write(project, call)
    if call.body.strip() not in (b"", b"{}"):
        raise RequestError("this API call takes no request body")
    project.store.set_disabled(item.id, is_disabled)
    return {}


ENDPOINTS = (
    Endpoint("POST", "/api/{project}/raw-data/{sample}/structured-labels", set_structured_labels),
    Endpoint("POST", "/api/{project}/raw-data/{sample}/edit-label", edit_label),
    Endpoint("POST", "/api/{project}/raw-data/{sample}/metadata", set_metadata),
    Endpoint("POST", "/api/{project}/raw-data/{sample}/propose-changes", propose_changes),
    Endpoint("POST", "/api/{project}/raw-data/{sample}/enable", enable),
    Endpoint("POST", "/api/{project}/raw-data/{sample}/disable", disable),
)
