"""All pages, and what comes before them: the check of the host name, the login, and errors shown as pages."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from starlette.datastructures import Headers, MutableHeaders
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
    login,
    models_page,
    picker,
    recording_page,
    review_page,
    similar_page,
    thresholds_page,
)
from block.local_studio.web.rendering import prepare_templates
from block.local_studio.web.site import HEADERS, WebSite, has_json, redirect
from block.palette import format_css
from block.recording import RecordingError

FOREIGN = "This was sent by a page of another site. To open this page, type its address."
HTTP_ERRORS = {404: "There is no such page.", 405: "This page does not take that."}


def create_pages(site: WebSite, hosts: Sequence[str] | None) -> WebPages:
    """Return the pages of `site`.

    `hosts` are the names the server answers to; None: any. Requests under another name get a 400, because an
    attacker's name may resolve to this machine (DNS rebinding).
    """
    # Compiled before someone waits for a page.
    threading.Thread(target=prepare_templates, name="templates", daemon=True).start()
    routes: list[BaseRoute] = [
        *list_page.routes(site),
        *recording_page.routes(site),
        *review_page.routes(site),
        *similar_page.routes(site),
        *actions.routes(site),
        *picker.routes(site),
        *job_pages.routes(site),
        *bulk_page.routes(site),
        *thresholds_page.routes(site),
        *models_page.routes(site),
        *exchange_page.routes(site),
        site.get("/about", show_about),
        *login.routes(site),
        Route("/static/labels.css", send_label_colors, methods=["GET"]),
        # Not a Mount: that would accept slashes in and after the name. The name follows "static/" in the directory.
        Route("/static/{name}", StaticFiles(directory=Path(__file__).parent), methods=["GET"]),
    ]
    middleware = [
        Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False),
        Middleware(PageMiddleware, site=site),
    ]
    return WebPages(routes, middleware, lambda api_handlers: _error_handlers(site, api_handlers))


class PageMiddleware:
    """Adds the security headers to all responses but the API's, and keeps out other sites and who must log in first."""

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

        app: ASGIApp = self._app
        if _is_from_another_site(Headers(scope=scope)):
            app = render_error(self._site, Request(scope), 403, FOREIGN)
        elif not self._is_admitted(scope, is_static):
            app = redirect("/login")
        await app(scope, receive, send_with_headers)

    def _is_admitted(self, scope: Scope, is_static: bool) -> bool:
        return (
            self._site.is_open
            or is_static
            or scope["path"] == "/login"
            or login.is_admitted(self._site, Headers(scope=scope))
        )


def _is_from_another_site(headers: Headers) -> bool:
    """Return True if the browser sends the request for a page of another site, unless the person clicked a link there.

    Without this, any page that the person visits could make this server draw pictures and read recordings for it.
    """
    is_click = headers.get("sec-fetch-dest") == "document" and headers.get("sec-fetch-user") == "?1"
    return not is_click and headers.get("sec-fetch-site", "none") not in ("same-origin", "none")


def send_label_colors(request: Request) -> Response:
    """Send the style sheet with the colors of labels, which reports hold, too."""
    return Response(format_css(), media_type="text/css")


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


def render_error(site: WebSite, request: Request, status: int, message: str) -> Response:
    """Show an error, with the way back to the page that led to it if that is one of these."""
    heading = "Not found" if status == 404 else "That was not done"
    return site.render(request, "error.html", status, heading=heading, message=message, back=_find_referrer(request))


def _find_referrer(request: Request) -> str:
    """Return the path and query of the page that sent the request; empty if that is unknown, or of another site."""
    try:
        page = urlsplit(request.headers.get("referer", ""))
    except ValueError:
        return ""
    if page.netloc != request.headers.get("host"):
        return ""
    return urlunsplit(("", "", f"/{page.path.lstrip('/')}", page.query, ""))


def _error_handlers(site: WebSite, api_handlers: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """Return handlers that show errors as pages, and leave the JSON for programs to `api_handlers`."""

    async def handle(request: Request, error: Exception) -> Response:
        if isinstance(error, sqlite3.Error):
            # For instance a full disk. Every write is one transaction, so nothing of it was kept.
            error = RequestError(f"The project's database can't be used: {error}. Nothing was changed.", 507)
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
        return render_error(site, request, status, message)

    return dict.fromkeys((RequestError, HTTPException, sqlite3.Error, RecordingError), handle)
