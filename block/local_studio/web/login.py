"""The login: the form that takes the key, the cookie that it sets, and the wait after a wrong key."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from block.formatting import count
from block.local_studio.data.validation import RequestError
from block.local_studio.web.site import WebSite, redirect

COOKIE = "local-studio"
FREE = 2  # wrong keys, which may be slips
LONGEST_WAIT_S = 64
MOST_CLIENTS = 1000  # of which wrong keys are remembered


class LoginWaits:
    """How long each client waits, by its address: 1 s from the third wrong key on, doubled each time, up to 64 s."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._clients: dict[str, tuple[int, float]] = {}  # the number of wrong keys, and the end of the wait

    def check(self, client: str) -> None:
        """Raise RequestError (429) while the client must wait."""
        _, until_s = self._clients.get(client, (0, 0.0))
        if (left_s := until_s - self._clock()) > 0:
            raise RequestError(f"Too many wrong keys: try again in {count(int(left_s) + 1, 'second')}.", 429)

    def note_wrong(self, client: str) -> None:
        """Make the client wait, longer than last time."""
        number, _ = self._clients.pop(client, (0, 0.0))
        wait_s = min(LONGEST_WAIT_S, 2 ** min(number - FREE, 10)) if number >= FREE else 0
        self._clients[client] = number + 1, self._clock() + wait_s
        if len(self._clients) > MOST_CLIENTS:
            del self._clients[next(iter(self._clients))]


def routes(site: WebSite) -> list[Route]:
    """Return the routes of the form, and of its submission."""
    waits = LoginWaits()

    def log_in(site: WebSite, request: Request, fields: dict[str, str]) -> Response:
        """Set the cookie that opens the pages, if the key is right."""
        client = request.client.host if request.client else ""
        waits.check(client)
        if not hmac.compare_digest(fields.get("key", "").encode(), site.key.encode()):
            waits.note_wrong(client)
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
