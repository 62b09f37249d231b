"""Labels out, in all formats, and in as `info.labels`."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from block.folder.label_files import INFO
from block.local_studio.data.validation import RequestError
from block.local_studio.web import exports, info_labels
from block.local_studio.web.exports import FORMATS
from block.local_studio.web.site import WebSite

LARGEST_IMPORT = 64 << 20  # bytes of a form, in which quotes and braces take three each
MOST_NAMED = 200  # recordings that a report names


def routes(site: WebSite) -> list[Route]:
    """Return the routes of the download, and of the form that takes a file."""
    return [
        site.get("/labels/export", export_labels),
        site.post("/labels/import", import_labels, LARGEST_IMPORT),
    ]


def export_labels(site: WebSite, request: Request) -> Response:
    """Send the labels of all recordings as a file: as info.labels unless the address names another format."""
    name = request.query_params.get("format", INFO)
    if name == INFO:
        return _send_file(info_labels.export(site.project.samples()).encode(), INFO, "application/json")
    chosen = FORMATS.get(name)
    if chosen is None:
        raise RequestError(f"format must be one of {', '.join((INFO, *FORMATS))}, got {name[:40]!r}")
    return _send_file(exports.export_labels(site, chosen), chosen.file, chosen.media_type)


def _send_file(content: bytes, name: str, media_type: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type=media_type, headers=headers)


def import_labels(site: WebSite, request: Request, fields: dict[str, str]) -> Response:
    """Write the labels of a file, and show the result for each of its entries."""
    replace_hand = fields.get("replace_hand") == "1"
    plan = info_labels.plan_import(fields.get("labels", ""), site.project.samples(), replace_hand=replace_hand)
    stale = info_labels.write(site.project.store, plan.changes)
    return site.render(
        request,
        "imported.html",
        most=MOST_NAMED,
        count=len(plan.changes) - len(stale),
        unlabeled=plan.unlabeled,
        unknown=plan.unknown,
        refused=[*plan.refused, *stale],
    )
