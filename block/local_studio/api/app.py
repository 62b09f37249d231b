"""The ASGI application: checks the key, passes calls to their handlers, and wraps answers in the envelope.

Every JSON answer is ``{"success": bool, "error"?: str, …}``, even for unknown paths and internal errors. No answer
contains a traceback. Paths below `KEY_PATHS` need the key in the header; all other paths are pages.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from block.local_studio.api import reads, writes
from block.local_studio.api.endpoint import Call, Handler, read_body
from block.local_studio.data.project import LocalProject
from block.local_studio.data.validation import RequestError
from block.local_studio.key_waits import LONGEST_WAIT_S, LoginWaits

KEY_PATHS = ("/v1", "/ids.json")
LARGEST_BODY = 64 * 2**20  # bytes; the service's own limit isn't documented
log = logging.getLogger(__name__)


def create_app(
    project: LocalProject, key: str, pages: WebPages | None = None, waits: LoginWaits | None = None
) -> Starlette:
    """Create the application that serves `pages`, and `project` to requests with `key` as ``x-api-key``.

    `waits` are shared with the login, so that a client that tries keys waits for both. Without, no client waits: on a
    loopback address, all programs of this machine would wait for one of them.
    """
    routes: list[BaseRoute] = [
        Route(f"/v1{endpoint.path}", _make_endpoint(project, endpoint.handler), methods=[endpoint.method])
        for endpoint in (*reads.ENDPOINTS, *writes.ENDPOINTS)
    ]
    handlers: dict[Any, Any] = {RequestError: _answer_refusal, HTTPException: _answer_http_error}
    handlers[Exception] = _answer_unexpected
    app = Starlette(
        routes=[*routes, Route("/ids.json", _make_ids_endpoint(project)), *(pages.routes if pages else ())],
        middleware=[Middleware(KeyCheck, key=key, waits=waits), *(pages.middleware if pages else ())],
        exception_handlers={**handlers, **(pages.handlers(handlers) if pages else {})},
    )
    app.router.redirect_slashes = False  # the service's paths have no trailing slash; a redirect would hide the mistake
    return app


@dataclass(frozen=True)
class WebPages:
    """What the pages add to the API: routes, middleware and error handlers.

    `handlers` gets the error handlers of the API, which it calls for API paths, and returns the handlers for all paths.
    """

    routes: Sequence[BaseRoute]
    middleware: Sequence[Middleware]
    handlers: Callable[[Mapping[Any, Any]], Mapping[Any, Any]]


class KeyCheck:
    """Answers 401 to requests below `KEY_PATHS` unless they have the key exactly once, and 429 after wrong keys."""

    def __init__(self, app: ASGIApp, key: str, waits: LoginWaits | None) -> None:
        self._app = app
        self._key = key
        self._waits = waits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app
        if scope["type"] == "http" and scope["path"].startswith(KEY_PATHS):
            try:
                if not self._has_key(scope):
                    app = _make_failure(401, "the header x-api-key is missing, or isn't the key of this project")
            except RequestError as error:
                app = _make_failure(error.status, error.message, {"Retry-After": str(LONGEST_WAIT_S)})
        await app(scope, receive, send)

    def _has_key(self, scope: Scope) -> bool:
        given = Headers(scope=scope).getlist("x-api-key")
        if len(given) != 1:
            return False
        if self._waits is None:
            return hmac.compare_digest(given[0].encode(), self._key.encode())
        return self._waits.is_right(scope["client"][0], given[0], self._key)


def _make_endpoint(project: LocalProject, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        call = Call(
            ids={name: str(value) for name, value in request.path_params.items()},
            query=request.query_params.multi_items(),
            content_type=request.headers.get("content-type", ""),
            body=await read_body(request, LARGEST_BODY),
        )
        try:
            answer = await run_in_threadpool(handler, project, call)
        except RequestError:
            raise
        except Exception as error:
            # If an exception left the application, the server would close the connection, and the client's next
            # request on it would fail.
            log.exception("%s %s failed", request.method, request.url.path)
            return await _answer_unexpected(request, error)
        # As documented: answers may be cached for long only if a `cacheKey` is given.
        caching = "private, max-age=31536000" if "cacheKey" in request.query_params else "no-cache"
        headers = {"Cache-Control": caching}
        if isinstance(answer, Path):
            return make_audio_response(answer, headers)
        return JSONResponse({"success": True, **answer}, headers=headers)

    return endpoint


def _make_ids_endpoint(project: LocalProject) -> Callable[[Request], Awaitable[Response]]:
    """Create a call that only the local Studio has: an ids file of all samples, in the documented form."""

    async def endpoint(request: Request) -> Response:
        samples = await run_in_threadpool(project.samples)
        return JSONResponse({"ids": [sample.id for sample in samples]})

    return endpoint


def make_audio_response(audio: Path, headers: dict[str, str]) -> Response:
    """Return a WAV, or the byte ranges that the request asks for: several too, and malformed ones are refused (400)."""
    return FileResponse(audio, headers=headers, media_type="audio/wav")


def _make_failure(status: int, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"success": False, "error": message}, status, headers)


async def _answer_refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return _make_failure(error.status, error.message)


async def _answer_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    messages = {404: "there is no such API call", 405: f"this API call doesn't accept {request.method}"}
    return _make_failure(error.status_code, messages.get(error.status_code, error.detail), dict(error.headers or {}))


async def _answer_unexpected(request: Request, error: Exception) -> Response:
    return _make_failure(500, "internal error in the local Studio; its output has the traceback")
