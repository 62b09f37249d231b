"""One call of Edge Impulse's API: what its handler gets and gives, and what all handlers check first.

A handler takes the project and a call, and returns the answer without its envelope, or audio; what it
refuses it raises as `RequestError`. Unless a call says otherwise, an unknown query parameter is
refused (400), another project's id too (403: the key belongs to this project only; the service's status
is not established), and an unknown sample is 404. Calls that no handler is made for are answered by 404,
among them jobs and the actions themselves.
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
    """One request: the ids in its path as text, its query parameters in order, its body."""

    ids: Mapping[str, str]
    query: Sequence[tuple[str, str]]
    content_type: str
    body: bytes


Answer = Mapping[str, object] | Path | bytes
Handler = Callable[[LocalProject, Call], Answer]


@dataclass(frozen=True)
class Endpoint:
    """A method and path below /v1, and who answers."""

    method: str
    path: str
    handler: Handler


def check_project(project: LocalProject, call: Call) -> None:
    """Refuse the id of another project (403)."""
    wanted = validation.parse_id(call.ids["project"], "project")
    if wanted != project.id:
        raise RequestError(f"this key gives no access to project {wanted}, only to {project.id}", 403)


def find_sample(project: LocalProject, call: Call, job_id: int | None = None) -> LocalSample:
    """Return the sample that the path names, as the job `job_id` proposes it when one is given."""
    return project.sample(validation.parse_id(call.ids["sample"], "sample"), job_id)


def find_sample_to_write(project: LocalProject, call: Call) -> LocalSample:
    """Return the sample that a writing call is about; such calls take no query parameters."""
    check_project(project, call)
    Query.parse(call.query, ())
    return find_sample(project, call)


def parse_body(call: Call, *keys: str) -> dict[str, object]:
    """Return the JSON object in the body, which must have these keys and no others; its type must be JSON (415)."""
    if call.content_type.partition(";")[0].strip().lower() != "application/json":
        raise RequestError(f"the content type must be application/json, got {call.content_type[:80]!r}", 415)
    body = validation.parse_object(call.body)
    validation.check_keys(body, keys, "the request body")
    for key in keys:
        if key not in body:
            raise RequestError(f"the request body lacks {key}")
    return body


async def read_body(request: Request, limit: int) -> bytes:
    """Read the body of a request, of at most `limit` bytes. Raises RequestError."""
    body = bytearray()
    try:
        async for block in request.stream():
            body += block
            if len(body) > limit:
                raise RequestError(f"the request body is larger than {limit} bytes", 413)
    except ClientDisconnect:
        raise RequestError("the client hung up before its request was complete") from None
    return bytes(body)
