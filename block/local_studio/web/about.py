"""What this is, where it is, and which of its behaviours were chosen rather than known."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from block import __version__
from block.local_studio.api import assumptions
from block.local_studio.web.site import WebSite


def routes(site: WebSite) -> list[BaseRoute]:
    """The page."""

    async def page(request: Request) -> Response:
        return site.page(
            request,
            "about.html",
            version=__version__,
            address=f"{request.url.scheme}://{request.url.netloc}",
            key=site.key,
            calls=assumptions.describe_calls(),
            for_all=assumptions.list_common_choices(),
            unsupported=assumptions.list_unsupported(),
        )

    return [Route("/about", page, methods=["GET"])]
