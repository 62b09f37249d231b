"""What all pages share: templates, security headers, forms, and who may see pages and post forms.

Pages hold no inline script or style and load nothing from elsewhere; the Content-Security-Policy enforces that. A page
of another site can make a browser post a form here, but it can't read the token that each form must hold, and browsers
name the origin of a request. Both are checked.
"""

from __future__ import annotations

import hmac
import math
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from markupsafe import Markup
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from block.local_studio.api.endpoint import read_body
from block.local_studio.data import validation
from block.local_studio.data.project import LocalProject
from block.local_studio.data.validation import LARGEST_ID, RequestError
from block.local_studio.jobs.sound_index import SoundIndexes
from block.local_studio.key_waits import LoginWaits
from block.local_studio.web.label_colors import DEFAULT_OTHER, LabelColors
from block.local_studio.web.recordings_list import LabelShare, RowCache
from block.local_studio.web.rendering import load_template

if TYPE_CHECKING:
    from block.local_studio.jobs.jobs import Jobs

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; "
        "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with no-referrer, browsers post forms without naming their origin
    "Cache-Control": "no-store",  # unless a response has its own
}
OTHER_LABEL = "other-label"  # the block's parameter that names the label for everything else
LARGEST_FORM = 1 << 20  # bytes; labels of a long recording come as JSON, with a limit of its own
LARGEST_JSON = 16 << 20  # bytes
DRAWN = 4096  # recordings whose bar of labels is kept as it was drawn


@dataclass(frozen=True)
class WebSite:
    """The pages of `project`. They demand a login with `key`, as the API demands the key, unless `is_open`."""

    project: LocalProject
    jobs: Jobs
    key: str
    is_open: bool
    waits: LoginWaits = field(default_factory=LoginWaits)

    @cached_property
    def rows(self) -> RowCache:
        return RowCache(self.project.store, self.jobs.store)

    @cached_property
    def review_cache(self) -> dict[tuple[int, int, str], tuple[Any, Any]]:
        """What `review_queue` made of a job's labels for a sample, with what it was made of."""
        return {}

    @cached_property
    def review_queues(self) -> dict[Any, tuple[tuple[int, int], Any]]:
        """The queues that were loaded last, by filter, each with the version of the database."""
        return {}

    @cached_property
    def sounds(self) -> SoundIndexes:
        return SoundIndexes(self.jobs.store, self.jobs.scores)

    @cached_property
    def colors(self) -> LabelColors:
        item = self.jobs.block.item(OTHER_LABEL)
        return LabelColors(self.project.store, (item.default if item is not None else "") or DEFAULT_OTHER)

    def find_other_label(self, job_id: int) -> str:
        """Return the label for everything else, as the job named it; for job 0, as the newest job or the block does."""
        jobs = [self.jobs.store.get(job_id)] if job_id else self.jobs.store.latest(1)
        item = self.jobs.block.item(OTHER_LABEL)
        named = next((job.parameters.get(OTHER_LABEL) for job in jobs if job is not None), None)
        return named or (item.default if item is not None else "") or DEFAULT_OTHER

    @cached_property
    def _shared(self) -> dict[str, Any]:
        """The values that all templates get."""

        @lru_cache(maxsize=DRAWN)
        def draw_shares(shares: tuple[LabelShare, ...]) -> Markup:
            return Markup(load_template("shares.html").render(all=shares, color=self.colors))  # noqa: S704

        return {
            "project": self.project,
            "token": self.form_token,
            "is_open": self.is_open,
            "color": self.colors,
            "draw_shares": draw_shares,
        }

    @cached_property
    def form_token(self) -> str:
        """The token that every form must hold: not made from the key, which could be guessed from it."""
        return secrets.token_hex(32)

    @cached_property
    def login_cookie(self) -> str:
        """The cookie of a browser that has given the key; not made from it either."""
        return secrets.token_hex(32)

    def get(self, path: str, handler: Callable[[WebSite, Request], Response]) -> Route:
        """Return a route to `handler`, which runs in a thread because it may wait for the disk."""
        return Route(path, partial(handler, self), methods=["GET"])

    def post(
        self, path: str, handler: Callable[[WebSite, Request, dict[str, str]], Response], limit: int = LARGEST_FORM
    ) -> Route:
        """Return a route for forms of up to `limit` bytes; `handler` gets the fields and runs in a thread."""

        async def handle_form(request: Request) -> Response:
            return await run_in_threadpool(handler, self, request, await self.read_form(request, limit))

        return Route(path, handle_form, methods=["POST"])

    def render(self, request: Request, template: str, status: int = 200, **values: Any) -> Response:
        """Render `template` with `values`."""
        return HTMLResponse(load_template(template).render(**self._shared, path=request.url.path, **values), status)

    async def read_form(self, request: Request, limit: int = LARGEST_FORM) -> dict[str, str]:
        """Read a posted form, in which each field may occur once. Raise RequestError if it isn't from a page here."""
        _check_request(request, "application/x-www-form-urlencoded", "a form")
        body = await read_body(request, limit)
        try:
            pairs = parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=bool(body), max_num_fields=1000)
        except ValueError as error:
            raise RequestError(f"the form can't be read: {error}") from None
        fields = dict(pairs)
        if len(fields) != len(pairs):
            raise RequestError("the form holds a field twice")
        self._check_token(fields.pop("token", ""))
        return fields

    async def read_json(self, request: Request) -> dict[str, object]:
        """Read a JSON object that our own script posted, with the token in the header x-csrf-token."""
        _check_request(request, "application/json", "JSON")
        self._check_token(request.headers.get("x-csrf-token", ""))
        return validation.parse_object(await read_body(request, LARGEST_JSON))

    def _check_token(self, token: str) -> None:
        if not hmac.compare_digest(token.encode(), self.form_token.encode()):
            raise RequestError(
                "this form is not from this page, or the server has been started again since: load the page again", 403
            )


def redirect(path: str) -> Response:
    """Send the browser to another page after a form."""
    return RedirectResponse(path, 303)


def has_json(request: Request) -> bool:
    """Return True if the body of the request is JSON."""
    return _media_type(request) == "application/json"


def parse_whole_number(text: str, refusal: str, least: int = 0, most: int = LARGEST_ID) -> int:
    """Return the integer `text`, written in plain digits. Raise RequestError(refusal) if it isn't `least`…`most`."""
    if not (text.isascii() and text.isdigit() and len(text) <= 16 and least <= int(text) <= most):
        raise RequestError(refusal)
    return int(text)


def parse_share(text: str, what: str, default: float) -> float:
    """Return the number `text`, or `default` if it's empty. Raise RequestError, naming `what`, if it isn't 0…1."""
    try:
        value = float(text) if text else default
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise RequestError(f"{what} must be a number from 0 to 1, got {text[:40]!r}")
    return value


def _check_request(request: Request, media_type: str, what: str) -> None:
    """Raise RequestError if a page of another origin sent the request, or if its body is of another type.

    Browsers name the origin in one of two headers; both must fit.
    """
    origin = request.headers.get("origin")
    try:
        is_foreign = origin is not None and urlsplit(origin).netloc != request.headers.get("host")
    except ValueError:
        raise RequestError("the header Origin is not an address") from None
    if is_foreign or request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise RequestError("this was sent by a page of another site", 403)
    if _media_type(request) != media_type:
        raise RequestError(f"expected {what}", 415)


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()
