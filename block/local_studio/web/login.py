"""The login: the form that takes the key, and the cookie that it sets."""

from __future__ import annotations

import hmac

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from block.local_studio.request_head import COOKIE
from block.local_studio.web.site import WebSite, redirect


def routes(site: WebSite) -> list[Route]:
    """Return the routes of the form, and of its submission."""

    def log_in(site: WebSite, request: Request, fields: dict[str, str]) -> Response:
        """Set the cookie that opens the pages, if the key is right."""
        client = request.client.host if request.client else ""
        if not site.waits.is_right(client, fields.get("key", ""), site.key):
            return site.render(request, "login.html", 403, wrong=True)
        response = redirect("/")
        response.set_cookie(COOKIE, site.login_cookie, httponly=True, samesite="strict")
        return response

    return [site.get("/login", show_login), site.post("/login", log_in)]


def show_login(site: WebSite, request: Request) -> Response:
    """Show the form that takes the key."""
    return site.render(request, "login.html", wrong=False)


def is_admitted(site: WebSite, headers: Headers) -> bool:
    """Return True if the request has the cookie of a login.

    Other servers on this host may have set cookies of any form; parsers of cookies take seconds for some of them.
    """
    wanted = f"{COOKIE}={site.login_cookie}".encode()
    given = [one.strip().encode() for value in headers.getlist("cookie") for one in value.split(";")]
    return any(hmac.compare_digest(one, wanted) for one in given)
