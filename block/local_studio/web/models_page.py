"""The page of the checkpoints: what is here, what can be fetched, and how far fetching is."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from block.local_studio.jobs.models import FetchState
from block.local_studio.web.site import WebSite, redirect
from block.model_store.listing import format_bytes


def routes(site: WebSite) -> list[Route]:
    """Return the routes of the page, of fetching, and of its progress as JSON."""
    return [
        site.get("/models", show_models),
        site.get("/models/state.json", send_state),
        site.post("/models/fetch", fetch),
        site.post("/models/cancel", cancel),
    ]


def show_models(site: WebSite, request: Request) -> Response:
    """Show the checkpoints, and the progress of fetching one."""
    state = site.jobs.models.fetch_state()
    described = None if state is None else _describe(state)
    return site.render(request, "models.html", models=site.jobs.models.choices(), fetch=described)


def send_state(site: WebSite, request: Request) -> Response:
    """Send the progress of fetching to the script."""
    state = site.jobs.models.fetch_state()
    return JSONResponse({"isRunning": False} if state is None else _describe(state))


def fetch(site: WebSite, request: Request, fields: dict[str, str]) -> Response:
    """Start fetching a checkpoint."""
    site.jobs.models.fetch(fields.get("name", ""))
    return redirect("/models")


def cancel(site: WebSite, request: Request, fields: dict[str, str]) -> Response:
    """Stop fetching."""
    site.jobs.models.cancel()
    return redirect("/models")


def _describe(state: FetchState) -> dict[str, Any]:
    done = "" if not state.done else format_bytes(state.done)
    of = f" of {format_bytes(state.total)}" if state.total else ""
    return {
        "name": state.name,
        "isRunning": state.is_running,
        "hasFailed": state.has_failed,
        "done": state.done,
        "total": state.total,
        "progress": f"{done}{of}" if done else "connecting",
        "log": state.log,
    }
