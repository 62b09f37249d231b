"""The calls that write: labels, metadata, proposals, and whether a sample is in use."""

from __future__ import annotations

from block.local_studio.api.endpoint import Answer, Call, Endpoint, find_sample_to_write, parse_body
from block.local_studio.data import validation
from block.local_studio.data.project import LocalProject
from block.local_studio.data.sample import Proposal
from block.local_studio.data.validation import LARGEST_ID, RequestError


def set_structured_labels(project: LocalProject, call: Call) -> Answer:
    """Replace the structured labels; they must cover every value, and are stored merged."""
    item = find_sample_to_write(project, call)
    body = parse_body(call, "structuredLabels")
    labels = validation.parse_labels(body["structuredLabels"], item.values_count, "structuredLabels")
    project.store.set_structured_labels(item.id, labels)
    return {}


def edit_label(project: LocalProject, call: Call) -> Answer:
    """Replace the single label.

    Chosen, for want of facts: structured labels stay, and go on hiding the single label. The API calls
    `label` optional, but a body without it changes nothing and is refused as a slip.
    """
    item = find_sample_to_write(project, call)
    body = parse_body(call, "label")
    project.store.set_label(item.id, validation.parse_text(body["label"], "label"))
    return {}


def set_metadata(project: LocalProject, call: Call) -> Answer:
    """Add or update metadata.

    Chosen, for want of facts: keys that the body does not name stay as they are. The API calls
    `metadata` optional, but a body without it changes nothing and is refused as a slip.
    """
    item = find_sample_to_write(project, call)
    body = parse_body(call, "metadata")
    project.store.add_metadata(item.id, validation.parse_metadata(body["metadata"], "metadata"))
    return {}


def propose_changes(project: LocalProject, call: Call) -> Answer:
    """Keep what a job proposes for the sample, in place of its earlier proposal.

    Chosen, for want of facts: proposed labels keep the same rules as labels that are set, and any positive integer is
    accepted as `jobId`, whether this Studio has started that job or not.
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
    """Include the sample again. A body is refused, except for an empty object."""
    return _set_disabled(project, call, False)


def disable(project: LocalProject, call: Call) -> Answer:
    """Exclude the sample from use. A body is refused, except for an empty object."""
    return _set_disabled(project, call, True)


def _set_disabled(project: LocalProject, call: Call, is_disabled: bool) -> Answer:
    item = find_sample_to_write(project, call)
    if call.body.strip() not in (b"", b"{}"):
        raise RequestError("this call takes no request body")
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
