"""What every page stands on: rendering, forms, and who may post them.

Pages hold no script and no style of their own and ask nobody else for anything; the Content-Security-Policy says so to
the browser. A page of another site can make a browser send a form here, but it cannot read what the token is that each
form has to hold, and browsers say where a request comes from: both are checked, and so is that the server is addressed
by its own name, because a foreign name may be made to lead here.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import jinja2
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from block.local_studio.api.endpoint import read_body
from block.local_studio.data import validation
from block.local_studio.data.project import LocalProject
from block.local_studio.data.validation import RequestError
from block.local_studio.web.template_filters import FILTERS

if TYPE_CHECKING:
    from block.local_studio.jobs.jobs import Jobs

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with no-referrer, browsers send forms without saying where from
    "Cache-Control": "no-store",
}
COOKIE = "local-studio"
LARGEST_FORM = 1 << 20  # bytes; labels of a long recording come as JSON, with a limit of its own


@dataclass(frozen=True)
class WebSite:
    """The pages of `project`. `key` is what the API demands; with `is_open` the pages demand nothing, else a login."""

    project: LocalProject
    jobs: Jobs
    key: str
    is_open: bool
    _templates: jinja2.Environment = field(default_factory=lambda: _environment(), repr=False)

    @property
    def token(self) -> str:
        """What every form has to hold; nobody can tell the key by it."""
        return hmac.new(self.key.encode(), b"forms", hashlib.sha256).hexdigest()

    def page(self, request: Request, template: str, status: int = 200, **values: Any) -> Response:
        """The page made of `template`, which gets `values`, the project, the token and the path."""
        common = {
            "project": self.project,
            "token": self.token,
            "path": request.url.path,
            "is_open": self.is_open,
        }
        text = self._templates.get_template(template).render({**common, **values})
        return HTMLResponse(text, status, headers=HEADERS)

    def to(self, path: str) -> Response:
        """Off to another page, after a form."""
        return RedirectResponse(path, 303, headers=HEADERS)

    async def form(self, request: Request, limit: int = LARGEST_FORM) -> dict[str, str]:
        """The fields of a form that was posted, each at most once. Raises Refused."""
        _same_origin(request)
        if _media_type(request) != "application/x-www-form-urlencoded":
            raise RequestError("expected a form", 415)
        body = await read_body(request, limit)
        try:
            pairs = parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=bool(body), max_num_fields=1000)
        except ValueError as error:
            raise RequestError(f"the form cannot be read: {error}") from None
        fields = dict(pairs)
        if len(fields) != len(pairs):
            raise RequestError("the form holds a field twice")
        self._check_token(fields.pop("token", ""))
        return fields

    async def json(self, request: Request, limit: int = 16 << 20) -> dict[str, object]:
        """The JSON object that a script of ours posted; the token is in the header x-csrf-token. Raises Refused."""
        _same_origin(request)
        if _media_type(request) != "application/json":
            raise RequestError("expected JSON", 415)
        self._check_token(request.headers.get("x-csrf-token", ""))
        return validation.parse_object(await read_body(request, limit))

    def admits(self, request: Request) -> bool:
        """May whoever asks see pages?"""
        return self.is_open or hmac.compare_digest(request.cookies.get(COOKIE, ""), self.pass_)

    @property
    def pass_(self) -> str:
        """What the cookie holds once the key was given; nobody can tell the key by it."""
        return hmac.new(self.key.encode(), b"pages", hashlib.sha256).hexdigest()

    def _check_token(self, given: str) -> None:
        if not hmac.compare_digest(given.encode(), self.token.encode()):
            raise RequestError(
                "this form is not from this page, or the key has changed since: load the page again", 403
            )


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _same_origin(request: Request) -> None:
    """Refuse what a page of another origin sends. Browsers say so in one header or the other; both must fit."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise RequestError("this was sent by a page of another site", 403)
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise RequestError("this was sent by a page of another site", 403)


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_template),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters.update(FILTERS)
    return environment


def _template(name: str) -> str | None:
    found = resources.files(__package__).joinpath("templates", name)
    return found.read_text(encoding="utf-8") if found.is_file() else None


async def in_thread(call: Any, *arguments: Any) -> Any:
    """Call what waits for the disk without holding up other requests."""
    return await run_in_threadpool(call, *arguments)


def as_json(value: Mapping[str, object]) -> str:
    """JSON that may stand in an attribute or a data element of a page, where Jinja escapes it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
