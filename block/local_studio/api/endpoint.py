"""The calls of Edge Impulse's API: what a handler gets and returns, and the checks that handlers share.

A handler takes the project and a call, and returns the answer without its envelope, or audio. It raises `RequestError`
to refuse a call. An unknown query parameter gets a 400, and an unknown sample a 404. Another project's id gets a 403,
because the key is for this project only; that status is assumed. Calls that have no handler get a 404, including those
that start jobs and actions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import ClientDisconnect, Request

from block.local_studio.api.list_query import Query
from block.local_studio.data import validation
from block.local_studio.data.project import LocalProject
from block.local_studio.data.sample import LocalSample
from block.local_studio.data.validation import RequestError


@dataclass(frozen=True)
class Call:
    """A request: the ids in its path as text, its query parameters in order, and its body."""

    ids: Mapping[str, str]
    query: Sequence[tuple[str, str]]
    content_type: str
    body: bytes


Answer = Mapping[str, object] | Path  # of a WAV
Handler = Callable[[LocalProject, Call], Answer]


@dataclass(frozen=True)
class Endpoint:
    """A method and a path below /v1, and their handler."""

    method: str
    path: str
    handler: Handler


def check_project(project: LocalProject, call: Call) -> None:
    """Raise RequestError (403) for the id of another project."""
    wanted = validation.parse_id(call.ids["project"], "project")
    if wanted != project.id:
        raise RequestError(f"this key gives no access to project {wanted}, only to {project.id}", 403)


def find_sample(project: LocalProject, call: Call, job_id: int | None = None) -> LocalSample:
    """Return the sample in the path, with the changes that the job `job_id` proposes if it's given."""
    return project.sample(validation.parse_id(call.ids["sample"], "sample"), job_id)


def find_sample_to_write(project: LocalProject, call: Call) -> LocalSample:
    """Return the sample in the path of a call that writes. Such calls take no query parameters."""
    check_project(project, call)
    Query.parse(call.query, ())
    return find_sample(project, call)


def parse_body(call: Call, *keys: str) -> dict[str, object]:
    """Return the JSON object in the body, which must have exactly these keys and the content type JSON (415)."""
    if call.content_type.partition(";")[0].strip().lower() != "application/json":
        raise RequestError(f"the content type must be application/json, got {call.content_type[:80]!r}", 415)
    body = validation.parse_object(call.body)
    validation.check_keys(body, keys, "the request body")
    for key in keys:
        if key not in body:
            raise RequestError(f"the request body is missing {key}")
    return body


async def read_body(request: Request, limit: int) -> bytes:
    """Read the body of a request. Raise RequestError (413) if it has more than `limit` bytes."""
    if int(request.headers.get("content-length", 0)) > limit:
        raise RequestError(f"the request body is larger than {limit} bytes", 413)
    body = bytearray()
    try:
        async for block in request.stream():
            body += block
            if len(body) > limit:
                raise RequestError(f"the request body is larger than {limit} bytes", 413)
    except ClientDisconnect:
        raise RequestError("the client disconnected before the request was complete") from None
    return bytes(body)
