"""Labels out and in as `info.labels`."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from block.local_studio.web import info_labels
from block.local_studio.web.info_labels import Refusal
from block.local_studio.web.site import HEADERS, WebSite, in_thread

LARGEST_IMPORT = 64 << 20  # bytes of a form, in which quotes and braces take three each
MOST_NAMED = 200  # recordings that a report names


def routes(site: WebSite) -> list[BaseRoute]:
    """The file to download, and the form that takes one."""

    async def out(request: Request) -> Response:
        text = await in_thread(lambda: info_labels.exported(site.project.samples()))
        headers = {**HEADERS, "Content-Disposition": 'attachment; filename="info.labels"'}
        return Response(text, media_type="application/json", headers=headers)

    async def into(request: Request) -> Response:
        fields = await site.form(request, LARGEST_IMPORT)
        is_replacing = fields.get("replace_hand") == "1"
        report = await in_thread(_read_in, site, fields.get("labels", ""), is_replacing)
        return site.page(request, "imported.html", most=MOST_NAMED, **report)

    return [
        Route("/labels/export", out, methods=["GET"]),
        Route("/labels/import", into, methods=["POST"]),
    ]


def _read_in(site: WebSite, text: str, is_replacing: bool) -> dict[str, object]:
    plan = info_labels.planned(text, site.project.samples(), replace_hand=is_replacing)
    stale: list[Refusal] = info_labels.write(site.project.store, plan.settings)
    return {
        "count": len(plan.settings) - len(stale),
        "unlabelled": plan.unlabelled,
        "unknown": plan.unknown,
        "refused": [*plan.refused, *stale],
    }
