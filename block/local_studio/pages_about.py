"""What this is, where it is, and which of its behaviours were chosen rather than known."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from block import __version__
from block.local_studio import choices
from block.local_studio.site import Site


def routes(site: Site) -> list[BaseRoute]:
    """The page."""

    async def page(request: Request) -> Response:
        return site.page(
            request,
            "about.html",
            version=__version__,
            address=f"{request.url.scheme}://{request.url.netloc}",
            key=site.key,
            calls=choices.calls(),
            for_all=choices.for_all_calls(),
            unsupported=choices.unsupported(),
        )

    return [Route("/about", page, methods=["GET"])]
