"""All pages together, and what stands before them: the server's own name, the login, errors as pages."""

from __future__ import annotations

import hmac
import sqlite3
from collections.abc import Mapping
from importlib import resources
from typing import Any

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from block.local_studio.api.app import KEYED, WebPages
from block.local_studio.data.validation import RequestError
from block.local_studio.web import about, actions, exchange_page, job_pages, list_page, recording_page
from block.local_studio.web.site import COOKIE, HEADERS, WebSite

MEDIA = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}


def pages(site: WebSite, hosts: frozenset[str] | None) -> WebPages:
    """The pages of `site`. `hosts` are the names that the server answers to; None: to any."""
    routes: list[BaseRoute] = [
        *list_page.routes(site),
        *recording_page.routes(site),
        *actions.routes(site),
        *job_pages.routes(site),
        *exchange_page.routes(site),
        *about.routes(site),
        Route("/login", _login(site), methods=["GET", "POST"]),
        Route("/static/{name}", _static, methods=["GET"]),
    ]
    middleware = [Middleware(HostCheck, hosts=hosts), Middleware(LoginCheck, site=site)]

    def handlers(of_api: Mapping[Any, Any]) -> Mapping[Any, Any]:
        return {
            RequestError: _refused(site, of_api[RequestError]),
            HTTPException: _http_error(site, of_api[HTTPException]),
            sqlite3.Error: _database_error(site, of_api[RequestError]),
        }

    return WebPages(routes, middleware, handlers)


class HostCheck:
    """Answers 421 to requests under a name that is not the server's: somebody may have made theirs lead here."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str] | None) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._hosts is not None:
            host = Headers(scope=scope).get("host", "")
            if _name(host) not in self._hosts:
                await PlainTextResponse(f"this server does not answer to the name {host[:80]!r}", 421)(
                    scope, receive, send
                )
                return
        await self._app(scope, receive, send)


class LoginCheck:
    """Sends whoever has not given the key to the login, where the pages demand it."""

    def __init__(self, app: ASGIApp, site: WebSite) -> None:
        self._app = app
        self._site = site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        is_free = path.startswith((*KEYED, "/static/")) or path == "/login"
        if scope["type"] == "http" and not is_free and not self._site.admits(Request(scope)):
            await self._site.to("/login")(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _name(host: str) -> str:
    """The name in a Host header, without its port."""
    return host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host


def _login(site: WebSite) -> Any:
    async def endpoint(request: Request) -> Response:
        if request.method == "GET":
            return site.page(request, "login.html", wrong=False)
        fields = await site.form(request)
        if not hmac.compare_digest(fields.get("key", "").encode(), site.key.encode()):
            return site.page(request, "login.html", 403, wrong=True)
        answer = site.to("/")
        answer.set_cookie(COOKIE, site.pass_, httponly=True, samesite="strict")
        return answer

    return endpoint


async def _static(request: Request) -> Response:
    name = str(request.path_params["name"])
    suffix = name[name.rfind(".") :]
    # Of the files that there are, by their names: no path is made of what was asked for.
    for file in resources.files(__package__).joinpath("static").iterdir():
        if file.name == name and suffix in MEDIA:
            headers = {**HEADERS, "Cache-Control": "no-cache"}
            return Response(file.read_bytes(), headers=headers, media_type=MEDIA[suffix])
    raise HTTPException(404)


def _refused(site: WebSite, of_api: Any) -> Any:
    async def handler(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestError)
        if _is_for_a_program(request):
            answer: Response = await of_api(request, error)
            return answer
        return site.page(request, "error.html", error.status, message=error.message)

    return handler


def _http_error(site: WebSite, of_api: Any) -> Any:
    async def handler(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if _is_for_a_program(request):
            answer: Response = await of_api(request, error)
            return answer
        said = {404: "There is no such page.", 405: "This page does not take that."}
        return site.page(request, "error.html", error.status_code, message=said.get(error.status_code, error.detail))

    return handler


def _database_error(site: WebSite, of_api: Any) -> Any:
    refused = _refused(site, of_api)

    async def handler(request: Request, error: Exception) -> Response:
        # Such as a full disk. What was to be written was one transaction, so that nothing of it was.
        answer: Response = await refused(
            request, RequestError(f"The project's database cannot be used: {error}. Nothing was changed.", 507)
        )
        return answer

    return handler


def _is_for_a_program(request: Request) -> bool:
    """Is the answer for a program (the API, our own scripts), which wants JSON, and not for a reader?"""
    is_json = request.headers.get("content-type", "").startswith("application/json")
    return request.url.path.startswith(KEYED) or is_json or request.url.path.endswith((".json", ".png"))
