"""All pages, and what comes before them: the check of the host name, the login, and errors shown as pages."""

from __future__ import annotations

import hmac
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from block import __version__
from block.local_studio.api import assumptions
from block.local_studio.api.app import KEY_PATHS, WebPages
from block.local_studio.data.validation import RequestError
from block.local_studio.web import (
    actions,
    bulk_page,
    exchange_page,
    job_pages,
    list_page,
    models_page,
    recording_page,
    review_page,
)
from block.local_studio.web.site import HEADERS, WebSite, has_json, redirect
from block.recording import RecordingError

COOKIE = "local-studio"
HTTP_ERRORS = {404: "There is no such page.", 405: "This page does not take that."}


def create_pages(site: WebSite, hosts: Sequence[str] | None) -> WebPages:
    """Return the pages of `site`.

    `hosts` are the names the server answers to; None: any. Requests under another name get a 400, because an
    attacker's name may resolve to this machine (DNS rebinding).
    """
    routes: list[BaseRoute] = [
        *list_page.routes(site),
        *recording_page.routes(site),
        *review_page.routes(site),
        *actions.routes(site),
        *job_pages.routes(site),
        *bulk_page.routes(site),
        *models_page.routes(site),
        *exchange_page.routes(site),
        site.get("/about", show_about),
        site.get("/login", show_login),
        site.post("/login", log_in),
        # Not a Mount: that would accept slashes in and after the name. The name follows "static/" in the directory.
        Route("/static/{name}", StaticFiles(directory=Path(__file__).parent), methods=["GET"]),
    ]
    middleware = [
        Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False),
        Middleware(PageMiddleware, site=site),
    ]
    return WebPages(routes, middleware, lambda api_handlers: _error_handlers(site, api_handlers))


class PageMiddleware:
    """Adds the security headers to all responses but the API's, and redirects to the login where one is needed."""

    def __init__(self, app: ASGIApp, site: WebSite) -> None:
        self._app = app
        self._site = site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(KEY_PATHS):
            await self._app(scope, receive, send)
            return

        is_static = scope["path"].startswith("/static/")

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if is_static:
                    headers["Cache-Control"] = "no-cache"
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        is_admitted = (
            self._site.is_open
            or is_static
            or scope["path"] == "/login"
            or hmac.compare_digest(Request(scope).cookies.get(COOKIE, "").encode(), self._site.login_cookie.encode())
        )
        app = self._app if is_admitted else redirect("/login")
        await app(scope, receive, send_with_headers)


def show_about(site: WebSite, request: Request) -> Response:
    """Show what this is, where it runs, and which behavior is assumed."""
    return site.render(
        request,
        "about.html",
        version=__version__,
        address=f"{request.url.scheme}://{request.url.netloc}",
        key=site.key,
        calls=assumptions.describe_calls(),
        for_all=assumptions.list_common_assumptions(),
        unsupported=assumptions.list_unsupported(),
    )


def show_login(site: WebSite, request: Request) -> Response:
    """Show the form that takes the key."""
    return site.render(request, "login.html", wrong=False)


def log_in(site: WebSite, request: Request, fields: dict[str, str]) -> Response:
    """Set the cookie that opens the pages, if the key is right."""
    if not hmac.compare_digest(fields.get("key", "").encode(), site.key.encode()):
        return site.render(request, "login.html", 403, wrong=True)
    response = redirect("/")
    response.set_cookie(COOKIE, site.login_cookie, httponly=True, samesite="strict")
    return response


def _error_handlers(site: WebSite, api_handlers: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """Return handlers that show errors as pages, and leave the JSON for programs to `api_handlers`."""

    async def handle(request: Request, error: Exception) -> Response:
        if isinstance(error, sqlite3.Error):
            # For instance a full disk. Every write is one transaction, so nothing of it was kept.
            error = RequestError(f"The project's database cannot be used: {error}. Nothing was changed.", 507)
        elif isinstance(error, RecordingError):
            error = RequestError(str(error))
        kind = HTTPException if isinstance(error, HTTPException) else RequestError
        path = request.url.path
        if path.startswith(KEY_PATHS) or path.endswith((".json", ".png")) or has_json(request):
            # A program reads the answer, of the API or our own script, and not a person.
            response: Response = await api_handlers[kind](request, error)
            return response
        if isinstance(error, HTTPException):
            status, message = error.status_code, HTTP_ERRORS.get(error.status_code, error.detail)
        else:
            assert isinstance(error, RequestError)
            status, message = error.status, error.message
        return site.render(request, "error.html", status, message=message)

    return dict.fromkeys((RequestError, HTTPException, sqlite3.Error, RecordingError), handle)
